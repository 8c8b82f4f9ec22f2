//! The runtime configuration, rule by rule, and whole against golden files. To renew a golden file,
//! delete it and run the test, which writes it and fails once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use image::{
    ContainerConfig, Device, Error, ImageConfig, Mount, MountKind, Network, Propagation, Resources,
    RunOptions, Seccomp, Ulimit, UserError, Users, parse, runtime_spec,
};
use oci_spec::runtime::{LinuxNamespaceType, Spec};
use serde_json::Value;

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// An image that says something about everything.
fn config() -> ImageConfig {
    ImageConfig {
        architecture: "amd64".into(),
        os: "linux".into(),
        config: ContainerConfig {
            user: "app".into(),
            env: words(&["PATH=/app/bin", "LANG=C", "EMPTY="]),
            entrypoint: Some(words(&["/entry"])),
            cmd: Some(words(&["serve", "--all"])),
            working_dir: "/srv".into(),
            stop_signal: "SIGQUIT".into(),
            ..ContainerConfig::default()
        },
        ..ImageConfig::default()
    }
}

fn users() -> Users {
    Users {
        passwd: "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n".into(),
        group: "root:x:0:\napp:x:1000:\nlog:x:4:app\n".into(),
    }
}

fn spec(options: &RunOptions) -> Spec {
    runtime_spec(&config(), options, &users()).unwrap()
}

fn json(options: &RunOptions) -> Value {
    serde_json::to_value(spec(options)).unwrap()
}

fn error(options: &RunOptions) -> Error {
    runtime_spec(&config(), options, &users()).unwrap_err()
}

fn process(options: &RunOptions) -> oci_spec::runtime::Process {
    spec(options).process().clone().unwrap()
}

/// Sets have no order; sorted, the text is the same each time.
fn sorted(value: &mut Value, key: &str) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| sorted(value, key)),
        Value::Array(items) => {
            items.iter_mut().for_each(|item| sorted(item, key));
            if ["bounding", "effective", "permitted", "inheritable", "ambient"].contains(&key) {
                items.sort_by_key(ToString::to_string);
            }
        }
        _ => {}
    }
}

fn assert_golden(name: &str, options: &RunOptions) {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let mut got = json(options);
    sorted(&mut got, "");
    let got = serde_json::to_string_pretty(&got).unwrap() + "\n";
    match std::fs::read_to_string(&path) {
        Ok(want) => assert!(got == want, "{path} differs; got:\n{got}"),
        Err(_) => {
            std::fs::write(&path, got).unwrap();
            panic!("{path} was missing; it has been written: look at it");
        }
    }
}

#[test]
fn whole_configurations() {
    let root = RunOptions { user: Some("root".into()), ..RunOptions::default() };
    assert_golden("default", &root);
    let lean = RunOptions {
        args: words(&["true"]),
        seccomp: Seccomp::Unconfined,
        cgroup_mount: false,
        mqueue_mount: false,
        masked_paths: false,
        ..root.clone()
    };
    assert_golden("lean", &lean);
    let privileged = RunOptions { privileged: true, tty: true, ..root };
    assert_golden("privileged", &privileged);
}

#[test]
fn entrypoint_and_command() {
    type Case<'a> = (&'a [&'a str], Option<&'a [&'a str]>, &'a [&'a str]);
    let cases: &[Case] = &[
        (&[], None, &["/entry", "serve", "--all"]),
        (&["x"], None, &["/entry", "x"]),
        (&[], Some(&["/own"]), &["/own"]),
        (&["x"], Some(&["/own", "-a"]), &["/own", "-a", "x"]),
        (&["x"], Some(&[]), &["x"]),
        (&["x"], Some(&[""]), &["x"]),
    ];
    for (args, entrypoint, want) in cases {
        let options = RunOptions {
            args: words(args),
            entrypoint: entrypoint.map(words),
            ..RunOptions::default()
        };
        assert_eq!(process(&options).args().clone().unwrap(), words(want));
    }
    let nothing = RunOptions { entrypoint: Some(Vec::new()), ..RunOptions::default() };
    assert_eq!(error(&nothing), Error::NoCommand);
    let init = RunOptions { init: Some("/usr/bin/init".into()), ..RunOptions::default() };
    let args = process(&init).args().clone().unwrap();
    assert_eq!(args, words(&["/sbin/tare-init", "--", "/entry", "serve", "--all"]));
    let text = json(&init).to_string();
    assert!(text.contains(r#""source":"/usr/bin/init""#), "{text}");
}

#[test]
fn environment() {
    let env = |options: &RunOptions| process(options).env().clone().unwrap();
    assert_eq!(
        env(&RunOptions::default()),
        words(&["PATH=/app/bin", "LANG=C", "EMPTY=", "HOME=/home/app"])
    );
    let options = RunOptions {
        env: words(&["LANG=de", "NEW=a=b", "EMPTY", "NEW=c"]),
        tty: true,
        hostname: Some("box".into()),
        ..RunOptions::default()
    };
    let want =
        ["PATH=/app/bin", "HOSTNAME=box", "TERM=xterm", "LANG=de", "NEW=c", "HOME=/home/app"];
    assert_eq!(env(&options), words(&want));
    let own = RunOptions { env: words(&["HOME=/x", "PATH=/y"]), ..RunOptions::default() };
    assert_eq!(env(&own), words(&["PATH=/y", "HOME=/x", "LANG=C", "EMPTY="]));
    for bad in ["=x", "A=\0"] {
        let options = RunOptions { env: words(&[bad]), ..RunOptions::default() };
        assert_eq!(error(&options), Error::Text(bad.into()));
    }
}

#[test]
fn user_and_directory() {
    let user = |name: &str, add: &[&str]| {
        let options =
            RunOptions { user: Some(name.into()), group_add: words(add), ..RunOptions::default() };
        let user = process(&options).user().clone();
        (user.uid(), user.gid(), user.additional_gids().clone().unwrap())
    };
    assert_eq!(user("app", &[]), (1000, 1000, vec![1000, 4]));
    assert_eq!(user("7:log", &["9"]), (7, 4, vec![4, 9]));
    let unknown = RunOptions { user: Some("eve".into()), ..RunOptions::default() };
    assert_eq!(error(&unknown), Error::User(UserError::NoUser("eve".into())));

    let cwd = |workdir: Option<&str>| {
        let options = RunOptions { workdir: workdir.map(Into::into), ..RunOptions::default() };
        runtime_spec(&config(), &options, &users())
            .map(|spec| spec.process().as_ref().unwrap().cwd().to_string_lossy().into_owned())
    };
    assert_eq!(cwd(None).unwrap(), "/srv");
    assert_eq!(cwd(Some("/tmp")).unwrap(), "/tmp");
    assert_eq!(cwd(Some("/a//./b/../c/")).unwrap(), "/a/c");
    assert_eq!(cwd(Some("tmp")), Err(Error::WorkingDir("tmp".into())));
}

#[test]
fn capabilities() {
    let held = |add: &[&str], drop: &[&str]| {
        let options = RunOptions {
            user: Some("0".into()),
            cap_add: words(add),
            cap_drop: words(drop),
            ..RunOptions::default()
        };
        let sets = process(&options).capabilities().clone().unwrap();
        assert_eq!(sets.bounding(), sets.effective());
        assert_eq!(sets.inheritable().as_ref().map(|set| set.len()), Some(0));
        let mut names: Vec<String> =
            sets.bounding().as_ref().unwrap().iter().map(ToString::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(held(&[], &[]).len(), 14);
    assert_eq!(held(&["CAP_NET_ADMIN", "sys_time"], &[]).len(), 16);
    assert_eq!(held(&[], &["all"]), Vec::<String>::new());
    assert_eq!(held(&["KILL"], &["ALL"]), ["KILL"]);
    assert_eq!(held(&["ALL"], &[]).len(), 41);
    assert_eq!(held(&["ALL"], &["CAP_SYS_ADMIN"]).len(), 40);
    assert_eq!(held(&[], &["CHOWN"]).len(), 13);
    let limited = RunOptions {
        user: Some("0".into()),
        privileged: true,
        host_capabilities: Some(0b1001),
        ..RunOptions::default()
    };
    let sets = process(&limited).capabilities().clone().unwrap();
    let mut names: Vec<_> = sets.bounding().iter().flatten().map(ToString::to_string).collect();
    names.sort();
    assert_eq!(names, ["CHOWN", "FOWNER"]);
    let bad = RunOptions { cap_drop: words(&["FLY"]), ..RunOptions::default() };
    assert_eq!(error(&bad), Error::Capability("FLY".into()));

    let app = process(&RunOptions::default()).capabilities().clone().unwrap();
    assert_eq!(app.effective().as_ref().map(|set| set.len()), Some(0), "not root");
    assert_eq!(app.bounding().as_ref().map(|set| set.len()), Some(14));
}

#[test]
fn namespaces() {
    let kinds = |options: &RunOptions| -> Vec<LinuxNamespaceType> {
        let spec = spec(options);
        let namespaces = spec.linux().as_ref().unwrap().namespaces().clone().unwrap();
        namespaces.iter().map(|namespace| namespace.typ()).collect()
    };
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network as Net, Pid, Uts};
    assert_eq!(kinds(&RunOptions::default()), [Mount, Uts, Pid, Ipc, Cgroup]);
    let none =
        RunOptions { network: Network::None, cgroup_namespace: false, ..RunOptions::default() };
    assert_eq!(kinds(&none), [Mount, Uts, Pid, Ipc, Net]);
    let joined =
        RunOptions { network: Network::Path("/run/netns/a".into()), ..RunOptions::default() };
    assert!(json(&joined).to_string().contains("/run/netns/a"));
}

fn bind(source: &str, destination: &str) -> Mount {
    let kind = MountKind::Bind {
        source: source.into(),
        recursive: true,
        propagation: Propagation::default(),
    };
    Mount { destination: destination.into(), kind, read_only: false, options: Vec::new() }
}

fn destinations(mounts: Vec<Mount>) -> Vec<String> {
    let spec = spec(&RunOptions { mounts, ..RunOptions::default() });
    let mounts = spec.mounts().clone().unwrap();
    mounts.iter().map(|mount| mount.destination().display().to_string()).collect()
}

#[test]
fn mounts() {
    let defaults =
        ["/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm"];
    assert_eq!(destinations(vec![]), defaults);
    let own =
        destinations(vec![bind("/a", "/b/c/d"), bind("/e", "/b/../b//f"), bind("/g", "/dev/shm")]);
    assert_eq!(own[..6], defaults[..6]);
    assert_eq!(own[6..], ["/b/f", "/dev/shm", "/b/c/d"], "the higher first");
    assert_eq!(
        destinations(vec![bind("/dev", "/dev")]),
        ["/proc", "/sys", "/sys/fs/cgroup", "/dev"]
    );

    let fails = |mounts: Vec<Mount>| error(&RunOptions { mounts, ..RunOptions::default() });
    assert_eq!(fails(vec![bind("/a", "b")]), Error::MountDestination("b".into()));
    assert_eq!(fails(vec![bind("/a", "/..")]), Error::MountDestination("/..".into()));
    assert_eq!(fails(vec![bind("a", "/b")]), Error::MountSource("a".into()));
    let twice = vec![bind("/a", "/b"), bind("/c", "/b/")];
    assert_eq!(fails(twice), Error::DuplicateMount("/b".into()));
}

#[test]
fn mount_options() {
    let mounts =
        vec![parse::volume("/a:/b:ro,rslave").unwrap(), parse::tmpfs("/t:size=1m,exec").unwrap()];
    let value = json(&RunOptions { mounts, shm_size: 1 << 20, ..RunOptions::default() });
    let options = |destination: &str| {
        let mounts = value["mounts"].as_array().unwrap();
        let found = mounts.iter().find(|mount| mount["destination"] == destination).unwrap();
        found["options"].to_string()
    };
    assert_eq!(options("/b"), r#"["rbind","ro","rslave"]"#);
    assert_eq!(options("/t"), r#"["nosuid","nodev","noexec","rw","size=1m","exec"]"#);
    assert!(options("/dev/shm").contains("size=1048576"));
    assert!(options("/sys").contains("\"ro\""));
    assert_eq!(value["linux"]["rootfsPropagation"], "rslave");
}

#[test]
fn limits() {
    let resources = |resources: Resources| {
        json(&RunOptions { resources, ..RunOptions::default() })["linux"]["resources"].clone()
    };
    let memory = |memory, memory_swap| {
        let limits = Resources { memory, memory_swap, ..Resources::default() };
        let value = resources(limits);
        (value["memory"]["limit"].as_i64(), value["memory"]["swap"].as_i64())
    };
    let mib = 1 << 20;
    assert_eq!(memory(None, None), (None, None));
    assert_eq!(memory(Some(64 * mib), None), (Some(64 << 20), Some(128 << 20)));
    assert_eq!(memory(Some(64 * mib), Some(-1)), (Some(64 << 20), Some(-1)));
    assert_eq!(memory(Some(64 * mib), Some(64 << 20)), (Some(64 << 20), Some(64 << 20)));
    assert_eq!(memory(Some(6 * mib), None).0, Some(6 << 20));
    let blind =
        Resources { memory: Some(64 * mib), no_swap_accounting: true, ..Resources::default() };
    assert_eq!(resources(blind)["memory"].to_string(), r#"{"limit":67108864}"#);

    let cpu = resources(Resources {
        nano_cpus: Some(1_500_000_000),
        cpuset_cpus: Some("0-1,3".into()),
        pids_limit: Some(100),
        ..Resources::default()
    });
    assert_eq!((&cpu["cpu"]["quota"], &cpu["cpu"]["period"]), (&150_000.into(), &100_000.into()));
    assert_eq!((&cpu["cpu"]["cpus"], &cpu["pids"]["limit"]), (&"0-1,3".into(), &100.into()));
    let unlimited = resources(Resources { pids_limit: Some(-1), ..Resources::default() });
    assert!(unlimited.get("pids").is_none());
}

#[test]
fn limits_refused() {
    let fails = |resources| error(&RunOptions { resources, ..RunOptions::default() });
    let memory = |memory, memory_swap| Resources { memory, memory_swap, ..Resources::default() };
    let low = fails(memory(Some((6 << 20) - 1), None));
    assert_eq!(low, Error::MemoryTooLow((6 << 20) - 1));
    assert!(low.to_string().contains("minimum memory limit allowed is 6MB"), "{low}");
    assert_eq!(fails(memory(None, Some(1 << 30))), Error::SwapWithoutMemory);
    for swap in [1 << 20, -2] {
        assert!(matches!(fails(memory(Some(8 << 20), Some(swap))), Error::Memory { .. }));
    }
    let reservation = Resources {
        memory: Some(8 << 20),
        memory_reservation: Some(9 << 20),
        ..Resources::default()
    };
    assert!(matches!(fails(reservation), Error::Memory { .. }));
    let cpus = Resources { nano_cpus: Some(9_999_999), ..Resources::default() };
    assert_eq!(fails(cpus), Error::Cpus("0.009999999".into()));
    for bad in ["", "a", "1-", "3-1", "1,,2", "+1"] {
        let set = Resources { cpuset_cpus: Some(bad.into()), ..Resources::default() };
        assert!(matches!(fails(set), Error::CpuSet { .. }), "{bad}");
    }
    let limit = |name: &str, soft, hard| {
        let ulimits = vec![Ulimit { name: name.into(), soft, hard }];
        runtime_spec(&config(), &RunOptions { ulimits, ..RunOptions::default() }, &users())
    };
    limit("nofile", 1, 2).unwrap();
    assert!(matches!(limit("nofile", 2, 1), Err(Error::Ulimit { .. })));
    assert!(matches!(limit("luck", 1, 2), Err(Error::UlimitName(_))));
    let host = RunOptions { hostname: Some("a b".into()), ..RunOptions::default() };
    assert_eq!(error(&host), Error::Hostname("a b".into()));
}

#[test]
fn privileged_and_devices() {
    let device = Device {
        path: "/dev/fuse".into(),
        block: false,
        major: 10,
        minor: 229,
        mode: 0o666,
        uid: 0,
        gid: 0,
        access: "rw".into(),
    };
    let options = RunOptions { devices: vec![device], ..RunOptions::default() };
    let value = json(&options);
    assert_eq!(value["linux"]["devices"][0]["path"], "/dev/fuse");
    let rules = value["linux"]["resources"]["devices"].as_array().unwrap();
    assert_eq!(rules[0].to_string(), r#"{"access":"rwm","allow":false,"type":"a"}"#);
    assert_eq!(rules.last().unwrap()["minor"], 229);
    assert_eq!(value["linux"]["maskedPaths"].as_array().unwrap().len(), 11);

    let value = json(&RunOptions { privileged: true, ..options });
    assert!(value["linux"].get("seccomp").is_none());
    assert_eq!(value["linux"]["maskedPaths"].as_array().unwrap().len(), 0);
    assert_eq!(value["linux"]["resources"]["devices"].as_array().unwrap().len(), 1);
    let sys =
        value["mounts"].as_array().unwrap().iter().find(|mount| mount["destination"] == "/sys");
    assert!(sys.unwrap()["options"].to_string().contains("\"rw\""));
}

#[test]
fn system_calls_follow_capabilities() {
    let allowed = |add: &[&str], name: &str| {
        let options =
            RunOptions { user: Some("0".into()), cap_add: words(add), ..RunOptions::default() };
        let spec = spec(&options);
        let seccomp = spec.linux().as_ref().unwrap().seccomp().clone().unwrap();
        let rules = seccomp.syscalls().clone().unwrap();
        let names = |rule: &oci_spec::runtime::LinuxSyscall| {
            rule.names().iter().any(|found| found == name) && rule.args().is_none()
        };
        let allow = oci_spec::runtime::LinuxSeccompAction::ScmpActAllow;
        rules.iter().any(|rule| names(rule) && rule.action() == allow)
    };
    for name in ["read", "execve", "openat2", "futex_waitv", "chroot"] {
        assert!(allowed(&[], name), "{name}");
    }
    for name in ["keyctl", "io_uring_setup", "kexec_load", "userfaultfd"] {
        assert!(!allowed(&["ALL"], name), "{name}");
    }
    for (capability, name) in [
        ("SYS_ADMIN", "mount"),
        ("SYS_ADMIN", "clone3"),
        ("SYS_MODULE", "init_module"),
        ("SYS_TIME", "settimeofday"),
    ] {
        assert!(!allowed(&[], name), "{name} without");
        assert!(allowed(&[capability], name), "{name} with {capability}");
    }
}

#[test]
fn annotations() {
    let value = json(&RunOptions::default());
    assert_eq!(value["annotations"]["org.opencontainers.image.stopSignal"], "SIGQUIT");
    let own = RunOptions { stop_signal: Some("SIGINT".into()), ..RunOptions::default() };
    assert_eq!(json(&own)["annotations"]["org.opencontainers.image.stopSignal"], "SIGINT");
}
