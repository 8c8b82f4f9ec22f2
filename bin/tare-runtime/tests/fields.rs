//! Fields of `process` and `linux` that stand for themselves, by what the container sees of them.

mod support;

use serde_json::json;
use support::{Bundle, error, text};

#[test]
fn memory_policy() {
    let script = "read first policy rest < /proc/self/numa_maps; echo $policy";
    let run = |policy| {
        Bundle::shell(script).with(|config| config["linux"]["memoryPolicy"] = policy).run()
    };
    let bound = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    assert_eq!(text(&run(bound), 0), "bind=static:0\n");
    let wrong = json!({"mode": "MPOL_DEFAULT", "nodes": "0"});
    assert!(error(&run(wrong)).contains("set_mempolicy: invalid argument"));
}

#[test]
fn processors_of_further_processes() {
    let look = ["exec", "@", "grep", "Cpus_allowed_list", "/proc/self/status"];
    let bundle = Bundle::new(&["sleep", "600"]).with(|config| {
        config["process"]["execCPUAffinity"] = json!({"initial": "0", "final": "1"})
    });
    bundle.create();
    assert_eq!(bundle.succeed(&look), "Cpus_allowed_list:\t1\n");
}

#[test]
fn unknown_capabilities_are_warned_of() {
    let bundle = Bundle::new(&["grep", "CapBnd", "/proc/self/status"]).with(|config| {
        config["process"]["capabilities"]["bounding"] = json!(["CAP_KILL", "CAP_X"])
    });
    let output = bundle.run();
    assert_eq!(text(&output, 0), "CapBnd:\t0000000000000020\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("CAP_X"));
}

#[test]
fn null_members() {
    let bundle = Bundle::new(&["true"]).with(|config| {
        config["linux"]["resources"] = json!(null);
        config["process"]["user"] = json!(null);
        config["hooks"] = json!(null);
    });
    text(&bundle.run(), 0);
}

/// Takes a pair of interfaces away again, by the end that stays on the host.
struct Pair(String);

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = std::process::Command::new("ip").args(["link", "del", &self.0]).output();
    }
}

#[test]
fn network_devices_keep_their_addresses() {
    let (moved, stays) = (format!("tm{}", std::process::id()), format!("ts{}", std::process::id()));
    let ip = |args: &[&str]| {
        let status = std::process::Command::new("ip").args(args).status();
        assert!(status.expect("iproute2 is installed").success(), "{args:?}");
    };
    ip(&["link", "add", &moved, "type", "veth", "peer", "name", &stays]);
    let _pair = Pair(stays);
    ip(&["addr", "add", "10.99.9.9/24", "dev", &moved]);
    let bundle = Bundle::new(&["/bin/busybox", "ip", "addr", "show", "dev", "eth7"])
        .with(|config| config["linux"]["netDevices"] = json!({ moved: {"name": "eth7"} }));
    let shown = text(&bundle.run(), 0);
    assert!(shown.contains("inet 10.99.9.9/24") && shown.contains("UP"), "{shown}");
}
