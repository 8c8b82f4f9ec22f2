//! Docker's default seccomp profile: what is not allowed fails with `EPERM`.
//!
//! Runtime-spec, config-linux.md, "Seccomp". The names are in [`super::syscalls`].

use std::collections::BTreeSet;

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompBuilder, LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};

use super::syscalls::{ALWAYS, ARCHITECTURE, CAPABILITY};
use super::{Error, RunOptions, capabilities};

/// `EPERM`: the default answer.
const EPERM: u32 = 1;
/// `ENOSYS`: makes libc fall back from clone3(2), whose flags a filter cannot read, to clone(2).
const ENOSYS: u32 = 38;
/// `CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET`.
const CLONE_NAMESPACES: u64 = 0x7e02_0000;
/// `AF_VSOCK`: reaches the hypervisor past every namespace.
const AF_VSOCK: u64 = 40;
/// personality(2): Linux, Linux 32, their `UNAME26` forms, and the question what is set.
const PERSONALITIES: [u64; 5] = [0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The profile for a container with these options: more capabilities allow more calls.
pub(super) fn profile(options: &RunOptions) -> Result<LinuxSeccomp, Error> {
    let capabilities = capabilities::names(options)?;
    let mut syscalls = vec![allow(&words(ALWAYS))];
    syscalls.extend(conditional());
    syscalls.extend(by_capability(&capabilities));
    syscalls.extend(clone(capabilities.contains("SYS_ADMIN")));
    syscalls.extend(by_architecture());
    let builder = LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActErrno)
        .default_errno_ret(EPERM)
        .architectures(architectures())
        .syscalls(syscalls);
    Ok(builder.build().expect("the default action is given"))
}

fn words(list: &'static str) -> Vec<&'static str> {
    list.split_whitespace().collect()
}

fn allow(names: &[&str]) -> LinuxSyscall {
    rule(names, Vec::new())
}

fn rule(names: &[&str], args: Vec<LinuxSeccompArg>) -> LinuxSyscall {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let builder =
        LinuxSyscallBuilder::default().names(names).action(LinuxSeccompAction::ScmpActAllow);
    let builder = if args.is_empty() { builder } else { builder.args(args) };
    builder.build().expect("names and action are given")
}

fn argument(index: usize, op: LinuxSeccompOperator, value: u64) -> LinuxSeccompArg {
    let builder = LinuxSeccompArgBuilder::default().index(index).op(op).value(value);
    builder.build().expect("index, operator and value are given")
}

/// Calls that are allowed with some arguments only.
fn conditional() -> Vec<LinuxSyscall> {
    use LinuxSeccompOperator::{ScmpCmpEq, ScmpCmpNe};
    let personality = |value| rule(&["personality"], vec![argument(0, ScmpCmpEq, value)]);
    let mut rules: Vec<_> = PERSONALITIES.map(personality).into();
    rules.push(rule(&["socket"], vec![argument(0, ScmpCmpNe, AF_VSOCK)]));
    rules
}

/// Without `CAP_SYS_ADMIN` clone(2) makes no namespaces, and clone3(2) does not exist.
fn clone(admin: bool) -> Vec<LinuxSyscall> {
    if admin {
        return vec![allow(&["clone", "clone3"])];
    }
    // On s390 the flags are the second argument (clone(2), "C library/kernel differences").
    let flags = usize::from(cfg!(target_arch = "s390x"));
    let masked = LinuxSeccompArgBuilder::default()
        .index(flags)
        .op(LinuxSeccompOperator::ScmpCmpMaskedEq)
        .value(CLONE_NAMESPACES)
        .value_two(0_u64)
        .build()
        .expect("index, operator and value are given");
    let absent = LinuxSyscallBuilder::default()
        .names(vec!["clone3".to_owned()])
        .action(LinuxSeccompAction::ScmpActErrno)
        .errno_ret(ENOSYS)
        .build()
        .expect("names and action are given");
    vec![rule(&["clone"], vec![masked]), absent]
}

fn by_capability(held: &BTreeSet<&str>) -> Vec<LinuxSyscall> {
    let granted = CAPABILITY.iter().filter(|(capability, _)| held.contains(capability));
    granted.map(|(_, names)| allow(&words(names))).collect()
}

fn by_architecture() -> Vec<LinuxSyscall> {
    let own = ARCHITECTURE.iter().filter(|(name, _)| *name == std::env::consts::ARCH);
    own.map(|(_, names)| allow(&words(names))).collect()
}

/// The architecture and those whose programs its kernel runs too: a call in another one's numbering
/// must not slip past the filter.
fn architectures() -> Vec<Arch> {
    match std::env::consts::ARCH {
        "x86_64" => vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32],
        "aarch64" => vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm],
        "s390x" => vec![Arch::ScmpArchS390x, Arch::ScmpArchS390],
        "riscv64" => vec![Arch::ScmpArchRiscv64],
        "loongarch64" => vec![Arch::ScmpArchLoongarch64],
        "powerpc64" => vec![Arch::ScmpArchPpc64le],
        _ => vec![Arch::ScmpArchNative],
    }
}
