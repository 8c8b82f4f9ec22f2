//! What an engine asks of the runtime itself: its features, its version, a pidfd.

mod support;

use std::os::unix::net::UnixListener;

use serde_json::{Value, json};
use support::{Bundle, text};

#[test]
fn features_name_what_works() {
    let bundle = Bundle::new(&["true"]);
    let features: Value = serde_json::from_str(&bundle.succeed(&["features"])).unwrap();
    assert_eq!(features["ociVersionMax"], "1.3.0");
    assert_eq!(features["linux"]["namespaces"].as_array().unwrap().len(), 8);
    for (field, name) in [
        ("cgroup", "systemd"),
        ("intelRdt", "enabled"),
        ("netDevices", "enabled"),
        ("seccomp", "enabled"),
    ] {
        assert_eq!(features["linux"][field][name], true, "{field}.{name}");
    }
    for option in ["rro", "ridmap", "tmpcopyup", "rslave"] {
        assert!(features["mountOptions"].as_array().unwrap().contains(&json!(option)), "{option}");
    }
}

#[test]
fn the_version_has_the_shape_of_runcs() {
    let bundle = Bundle::new(&["true"]);
    for flag in ["--version", "-v"] {
        let output = bundle.runtime().arg(flag).output().unwrap();
        let lines = text(&output, 0);
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines[0], concat!("tare-runtime version ", env!("CARGO_PKG_VERSION")));
        assert_eq!(lines[1], "spec: 1.3.0");
    }
}

#[test]
fn an_empty_home_is_none() {
    let bundle = Bundle::shell("echo $HOME").with(|config| {
        let env = config["process"]["env"].as_array_mut().unwrap();
        env.push(json!("HOME="));
    });
    std::fs::create_dir(bundle.rootfs().join("etc")).unwrap();
    std::fs::write(bundle.rootfs().join("etc/passwd"), "root:x:0:0::/hearth:/bin/sh\n").unwrap();
    assert_eq!(text(&bundle.run(), 0), "/hearth\n");
}

#[test]
fn a_pidfd_is_handed_over() {
    let bundle = Bundle::new(&["sleep", "600"]);
    bundle.write();
    let socket = bundle.directory.path().join("pidfd.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (socket, path) = (socket.to_str().unwrap(), bundle.directory.path().to_str().unwrap());
    bundle.succeed(&["create", "--pidfd-socket", socket, "--bundle", path, "@"]);
    assert_eq!(pid_received(&listener), pid(&bundle));
    bundle.succeed(&["start", "@"]);
    bundle.succeed(&["exec", "--pidfd-socket", socket, "@", "true"]);
    assert_ne!(pid_received(&listener), pid(&bundle));
}

fn pid(bundle: &Bundle) -> i64 {
    let state: Value = serde_json::from_str(&bundle.succeed(&["state", "@"])).expect("JSON");
    state["pid"].as_i64().expect("a number")
}

/// The process that a received descriptor stands for (proc_pid_fdinfo(5)); -1 once it is gone.
fn pid_received(listener: &UnixListener) -> i64 {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    use std::mem::MaybeUninit;
    use std::os::fd::AsRawFd;
    let (stream, _) = listener.accept().expect("a connection");
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 64];
    let mut buffers = [std::io::IoSliceMut::new(&mut name)];
    recvmsg(&stream, &mut buffers, &mut ancillary, RecvFlags::empty()).expect("a message");
    let fd = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    let info = format!("/proc/self/fdinfo/{}", fd.as_ref().expect("a descriptor").as_raw_fd());
    let info = std::fs::read_to_string(info).expect("read it");
    info.lines()
        .find_map(|line| line.strip_prefix("Pid:"))
        .expect("a pidfd")
        .trim()
        .parse()
        .expect("a number")
}
