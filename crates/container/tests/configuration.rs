//! Properties of reading `config.json`: nothing in it makes the reader fail otherwise than by an error.

use container::check_configuration;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A configuration that uses a member of every kind.
fn full() -> Value {
    json!({
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs"},
        "hostname": "h",
        "process": {
            "args": ["true"], "cwd": "/", "env": ["A=1"],
            "user": {"uid": 1, "gid": 2, "additionalGids": [3]},
            "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"]},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}],
            "scheduler": {"policy": "SCHED_BATCH", "nice": 3, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
            "execCPUAffinity": {"initial": "0", "final": "0-1"},
        },
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": ["ro"]}],
        "hooks": {"poststop": [{"path": "/bin/true", "timeout": 1}]},
        "annotations": {"a": "b"},
        "linux": {
            "namespaces": [{"type": "uts"}, {"type": "time"}, {"type": "network"}],
            "timeOffsets": {"boottime": {"secs": 1, "nanosecs": 2}},
            "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}],
            "resources": {"memory": {"limit": 1}, "pids": {"limit": 2}},
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"},
            "personality": {"domain": "LINUX32"},
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO",
                 "args": [{"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]}]},
            "maskedPaths": ["/proc/kcore"],
        },
    })
}

/// The pointers (RFC 6901) of all members and elements.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(object) => object.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => return,
    };
    for (name, value) in members {
        let pointer = format!("{at}/{name}");
        pointers(value, &pointer, found);
        found.push(pointer);
    }
}

fn all() -> Vec<String> {
    let mut found = Vec::new();
    pointers(&full(), "", &mut found);
    found
}

fn check(config: &Value) -> Result<(), String> {
    check_configuration(config.to_string().as_bytes()).map_err(|error| error.to_string())
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{0,5}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn the_whole_holds() {
    check(&full()).expect("it holds");
}

/// As Go has it: a member that is null is one that is missing.
#[test]
fn null_is_absence() {
    for pointer in all() {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let mut without = full();
        let Some(Value::Object(members)) = without.pointer_mut(parent) else { continue };
        members.remove(name);
        let mut null = full();
        *null.pointer_mut(&pointer).expect("it is there") = Value::Null;
        let (without, null) = (check(&without), check(&null));
        assert_eq!(without.is_ok(), null.is_ok(), "{pointer}: {without:?} {null:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes(text in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(check_configuration(&text).is_err(), "too little for a configuration");
    }

    /// Whatever stands for a member, the answer comes, and the words for it are not empty.
    #[test]
    fn any_value_for_any_member(
        pointer in prop::sample::select(all()),
        value in any_value(),
    ) {
        let mut config = full();
        *config.pointer_mut(&pointer).expect("it is there") = value;
        if let Err(error) = check(&config) {
            prop_assert!(!error.is_empty());
        }
    }

    /// Members that no version of the specification has are passed over, wherever they stand.
    #[test]
    fn unknown_members_are_passed_over(
        pointer in prop::sample::select(all()),
        value in any_value(),
    ) {
        let mut config = full();
        let maps = ["/annotations", "/linux/timeOffsets"];
        if let Some(Value::Object(members)) = config.pointer_mut(&pointer)
            && !maps.contains(&pointer.as_str())
        {
            members.insert("no-such-member".into(), value);
        }
        prop_assert_eq!(check(&config), Ok(()));
    }
}
