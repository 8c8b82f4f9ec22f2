//! Device rules on cgroup v2: a small BPF program that the kernel asks at each opening and making of a
//! device node (`BPF_PROG_TYPE_CGROUP_DEVICE`).
//!
//! The last rule that matches decides, so the program asks the rules backwards and leaves at the first
//! match; after them all, nothing is allowed.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::device::Rule;
use crate::error::{Doing, Result};

const BPF_PROG_LOAD: u32 = 5;
const BPF_PROG_ATTACH: u32 = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// One instruction (`struct bpf_insn`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u8,
    /// Destination in the low four bits, source in the high.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// Loads and attaches the rules to the cgroup at `path`.
pub(super) fn attach(path: &Path, rules: &[Rule]) -> Result<()> {
    let group =
        rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .doing(|| format!("open {}", path.display()))?;
    let program = load(&compile(rules)).doing(|| "load the device filter".into())?;
    let attributes = [
        group.as_raw_fd() as u32,
        program.as_raw_fd() as u32,
        BPF_CGROUP_DEVICE,
        BPF_F_ALLOW_MULTI,
    ];
    bpf(BPF_PROG_ATTACH, &attributes)
        .map(drop)
        .doing(|| format!("attach the device filter to {}", path.display()))
}

/// The program. On entry r1 points to `struct bpf_cgroup_dev_ctx { access_type, major, minor }`, whose
/// access_type has the device's kind in its low and the access in its high 16 bits.
fn compile(rules: &[Rule]) -> Vec<Instruction> {
    let load = |to: u8, offset| instruction(0x61, to | 1 << 4, offset, 0);
    let mut program = vec![
        load(2, 0),
        instruction(0xbc, 3 | 2 << 4, 0, 0), // w3 = w2
        instruction(0x54, 2, 0, 0xffff),     // w2 &= 0xffff: the kind
        instruction(0x74, 3, 0, 16),         // w3 >>= 16: the access
        load(4, 4),
        load(5, 8),
    ];
    for rule in rules.iter().rev() {
        program.extend(ask(rule));
        if rule.kind == b'a' {
            // It always matches, and the kernel refuses a program with instructions that nothing reaches.
            return program;
        }
    }
    program.extend(answer(false));
    program
}

/// Each condition that fails jumps over the rest of the rule.
fn ask(rule: &Rule) -> Vec<Instruction> {
    let mut conditions = Vec::new();
    let unless_equal = |register, value: u32| instruction(0x56, register, 0, value as i32);
    if rule.kind != b'a' {
        conditions.push(unless_equal(2, if rule.kind == b'b' { 1 } else { 2 }));
        conditions.extend(access(rule));
        conditions.extend(rule.major.map(|major| unless_equal(4, major)));
        conditions.extend(rule.minor.map(|minor| unless_equal(5, minor)));
    }
    let end = conditions.len() + 2;
    for (index, condition) in conditions.iter_mut().enumerate() {
        if condition.code == 0x56 || condition.code == 0x16 {
            condition.offset = (end - index - 1) as i16;
        }
    }
    conditions.extend(answer(rule.allow));
    conditions
}

/// An allowing rule must cover all that is asked; a denying one matches any part of it.
fn access(rule: &Rule) -> Vec<Instruction> {
    let mask = i32::from(rule.mknod) | i32::from(rule.read) << 1 | i32::from(rule.write) << 2;
    if mask == 7 {
        return Vec::new();
    }
    let copy = instruction(0xbc, 1 | 3 << 4, 0, 0); // w1 = w3
    let and = |bits| instruction(0x54, 1, 0, bits);
    let compare = if rule.allow { 0x56 } else { 0x16 };
    let masked = if rule.allow { !mask & 7 } else { mask };
    // Allowing: leave the rule when bits outside the mask are asked (w1 != 0). Denying: when none is.
    vec![copy, and(masked), instruction(compare, 1, 0, 0)]
}

fn answer(allow: bool) -> [Instruction; 2] {
    [instruction(0xb4, 0, 0, i32::from(allow)), instruction(0x95, 0, 0, 0)]
}

fn instruction(code: u8, registers: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers, offset, immediate }
}

/// The head of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    rest: [u64; 4],
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache".as_ptr() as u64,
        rest: [0; 4],
    };
    let fd = bpf(BPF_PROG_LOAD, &attributes)?;
    // SAFETY: BPF_PROG_LOAD returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf<T>(command: u32, attributes: &T) -> io::Result<RawFd> {
    // SAFETY: the attributes, and the program and license that they point to, live across the call;
    // their size is given, and the kernel takes what is not given as zero.
    match unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) } {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result as RawFd),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::process::Command;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::device::default_rules;
    use super::*;

    /// A directory of cgroup v2, wherever the host has it mounted.
    struct Group(PathBuf);

    impl Group {
        fn new() -> Self {
            let root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
                .into_iter()
                .find(|root| Path::new(root).join("cgroup.procs").exists())
                .expect("cgroup v2 is mounted");
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = Path::new(root).join(format!("device-filter-{name}"));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn can(&self, script: &str) -> bool {
            let script = format!("echo $$ > {}/cgroup.procs; {script}", self.0.display());
            Command::new("sh").args(["-c", &script]).output().unwrap().status.success()
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            let _ = fs::remove_dir(&self.0);
        }
    }

    #[test]
    fn the_kernel_obeys_the_rules() {
        let group = Group::new();
        let zero = "head -c 1 /dev/zero";
        let kmsg = "exec 3</dev/kmsg";
        assert!(group.can(zero) && group.can(kmsg), "before");
        let mut rules = default_rules();
        let log = Rule { minor: Some(11), major: Some(1), write: false, ..rules[2] };
        attach(&group.0, &rules).unwrap();
        assert!(group.can(zero) && !group.can(kmsg));
        rules.push(log);
        // Several programs must all agree, so another group shows the longer list.
        drop(group);
        let group = Group::new();
        attach(&group.0, &rules).unwrap();
        assert!(group.can(kmsg));
        assert!(!group.can("exec 3>/dev/kmsg"), "only reading was allowed");
        drop(group);
        let group = Group::new();
        rules.push(Rule { allow: false, read: true, write: false, mknod: false, ..log });
        attach(&group.0, &rules).unwrap();
        assert!(!group.can(kmsg) && group.can(zero), "the last rule counts");
    }

    #[test]
    fn a_rule_about_all_hides_those_before_it() {
        let kmsg = "exec 3</dev/kmsg";
        let all = |allow| Rule { allow, kind: b'a', read: true, write: true, ..default_rules()[0] };
        for (rules, can) in [(vec![all(false)], false), (vec![all(false), all(true)], true)] {
            let group = Group::new();
            let rules: Vec<Rule> = rules.into_iter().chain(default_rules()).collect();
            attach(&group.0, &rules).unwrap();
            assert_eq!(group.can(kmsg), can);
            assert!(group.can("head -c 1 /dev/zero"));
        }
    }
}
