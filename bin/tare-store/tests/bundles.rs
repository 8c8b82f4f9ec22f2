//! Bundles: made, run by another runtime, and released without a trace.

mod support;

use std::fs;
use std::process::Command;

use support::{Said, World, said};

#[test]
fn a_bundle_runs_under_runc_and_is_released_without_a_trace() {
    let world = World::with_image();
    for driver in ["erofs", "directory"] {
        let dir = world.path(driver);
        let dir = dir.to_str().unwrap();
        world.ok(&[
            "bundle",
            "--driver",
            driver,
            "box",
            dir,
            "--",
            "sh",
            "-c",
            "cat /etc/motd; echo x > /new",
        ]);
        let id = format!("tare-store-test-{}-{driver}", std::process::id());
        let mut runc = Command::new("runc");
        // It leaves a log of criu where it works.
        let runc = runc.current_dir(world.path("")).args(["run", "--bundle", dir, &id]).output();
        let run = said(runc.expect("runc is installed"));
        assert_eq!(run, Said { code: 0, out: "welcome\n".into(), err: String::new() }, "{driver}");
        assert_eq!(fs::read_to_string(format!("{dir}/rw/upper/new")).unwrap(), "x\n");
        world.ok(&["unbundle", dir]);
        assert!(!fs::exists(dir).unwrap());
    }
    assert_eq!(world.mounts(), [""; 0]);
}

#[test]
fn options_are_in_the_runtime_configuration() {
    let world = World::with_image();
    let dir = world.path("b");
    let dir = dir.to_str().unwrap();
    world.ok(&[
        "bundle",
        "-e",
        "A=1",
        "-u",
        "7:8",
        "-w",
        "/etc",
        "-m",
        "64m",
        "--read-only",
        "--cap-drop",
        "ALL",
        "-h",
        "name",
        "box",
        dir,
        "echo",
        "-n",
        "hi",
    ]);
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(world.path("b/config.json")).unwrap()).unwrap();
    let process = &config["process"];
    assert_eq!(process["args"], serde_json::json!(["echo", "-n", "hi"]));
    assert!(process["env"].as_array().unwrap().contains(&"A=1".into()));
    assert_eq!((&process["user"]["uid"], &process["user"]["gid"]), (&7.into(), &8.into()));
    assert_eq!((&process["cwd"], &config["hostname"]), (&"/etc".into(), &"name".into()));
    assert_eq!(config["root"]["readonly"], true);
    assert_eq!(config["linux"]["resources"]["memory"]["limit"], 64 << 20);
    assert_eq!(process["capabilities"]["bounding"].as_array().map_or(0, Vec::len), 0);
}

#[test]
fn a_bundle_keeps_its_image_from_gc() {
    let world = World::with_image();
    let dir = world.path("b");
    let dir = dir.to_str().unwrap();
    world.ok(&["bundle", "box", dir]);
    world.ok(&["rm", "box"]);
    world.ok(&["gc"]);
    assert_eq!(fs::read_to_string(world.path("b/rootfs/etc/motd")).unwrap(), "welcome\n");
    world.ok(&["unbundle", dir]);
    world.ok(&["gc"]);
    assert_eq!(world.blobs(), 0);
}

#[test]
fn errors_leave_nothing_behind() {
    let world = World::with_image();
    let dir = world.path("b");
    let name = dir.to_str().unwrap();
    for (arguments, cause) in [
        (&["bundle", "boxx", name][..], "no such image: boxx\n  hint: did you mean box?\n"),
        (&["bundle", "-m", "1m", "box", name], "a memory limit of 1048576 bytes is too small"),
        (&["bundle", "-u", "nobody", "box", name], "unable to find user nobody"),
    ] {
        let run = world.run(arguments);
        let start = format!(
            "tare-store: error: cannot make a bundle of {} in {name}\n  caused by: ",
            arguments[arguments.len() - 2]
        );
        assert!(run.code == 1 && run.err.starts_with(&start) && run.err.contains(cause), "{run:?}");
        assert!(!dir.exists());
    }
    assert_eq!(world.mounts(), [""; 0]);
    assert_eq!(fs::read_dir(world.path("store/tare/leases")).map_or(0, Iterator::count), 0);
}

#[test]
fn a_directory_that_is_no_bundle_is_not_touched() {
    let world = World::with_image();
    let dir = world.path("precious");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "x").unwrap();
    let run = world.run(&["unbundle", dir.to_str().unwrap()]);
    let start = format!("tare-store: error: cannot release the bundle {}\n", dir.display());
    assert!(run.code == 1 && run.err.starts_with(&start), "{run:?}");
    let occupied = world.run(&["bundle", "box", dir.to_str().unwrap()]);
    assert_eq!(occupied.code, 1, "{occupied:?}");
    assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "x");
}

#[test]
fn an_ordinary_user_is_told_that_bundles_need_root() {
    let world = World::new();
    let open = |path: &std::path::Path| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    };
    open(world.path("").as_path());
    // The program itself may lie where another user cannot look.
    let program = world.path("tare-store");
    fs::copy(env!("CARGO_BIN_EXE_tare-store"), &program).unwrap();
    let as_nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        command.args(arguments).env("TARE_STORE", world.path("store"));
        said(command.output().expect("setpriv is installed"))
    };
    let tar = world.path("image.tar");
    let import = as_nobody(&["import", "-q", tar.to_str().unwrap(), "box"]);
    assert_eq!((import.code, import.err.as_str()), (0, ""));
    assert_eq!(as_nobody(&["ls", "-q"]).out.trim().len(), 12);
    let dir = world.path("b");
    let bundle = as_nobody(&["bundle", "box", dir.to_str().unwrap()]);
    let err = format!(
        "tare-store: error: cannot make a bundle of box in {}\n  caused by: a bundle's root file system is mounted, and that needs root\n  hint: try it with sudo, or be root of a user namespace for as long as the bundle is to last: tare unshare\n",
        dir.display()
    );
    assert_eq!(bundle, Said { code: 1, out: String::new(), err });
}

#[test]
fn an_image_without_a_command_has_a_shell() {
    let world = World::new();
    let tar = world.path("image.tar");
    world.ok(&["import", "-q", tar.to_str().unwrap(), "bare"]);
    let dir = world.path("b");
    world.ok(&["bundle", "bare", dir.to_str().unwrap()]);
    let config = fs::read(dir.join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["process"]["args"], serde_json::json!(["sh"]));
    world.ok(&["unbundle", dir.to_str().unwrap()]);
}
