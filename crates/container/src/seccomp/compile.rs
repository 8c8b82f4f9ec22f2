//! `linux.seccomp` → a BPF program, by libseccomp. Pure: nothing is loaded.

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag,
    LinuxSeccompOperator, LinuxSyscall,
};
use rustix::fs::MemfdFlags;

use crate::error::{Doing, Error, Result};

/// The instructions (`struct sock_filter`) of the whole filter.
pub(super) fn compile(seccomp: &LinuxSeccomp) -> Result<Vec<u8>> {
    let default = action(seccomp.default_action(), seccomp.default_errno_ret())?;
    let mut context = ScmpFilterContext::new(default).map_err(refused)?;
    let architectures = architectures(seccomp)?;
    for arch in &architectures {
        context.add_arch(*arch).map_err(refused)?;
    }
    if seccomp.syscalls().iter().flatten().map(|syscall| syscall.names().len()).sum::<usize>() > 32
    {
        // A binary tree instead of a list; a library too old for it makes a list.
        let _ = context.set_ctl_optimize(2);
    }
    for syscall in seccomp.syscalls().iter().flatten() {
        let action = action(syscall.action(), syscall.errno_ret())?;
        // A rule that says what holds anyway is refused by libseccomp.
        if action != default {
            add(&mut context, syscall, action)?;
        }
    }
    let mut program = super::unknown::instructions(seccomp, &architectures);
    program.extend(export(&context)?);
    Ok(program)
}

/// The profile's, and the machine's own, which profiles need not name.
fn architectures(seccomp: &LinuxSeccomp) -> Result<Vec<ScmpArch>> {
    let mut architectures = vec![ScmpArch::native()];
    for arch in seccomp.architectures().iter().flatten() {
        let name = serde_json::to_value(arch).unwrap_or_default();
        let arch: ScmpArch = name.as_str().unwrap_or_default().parse().map_err(refused)?;
        let arch = if arch == ScmpArch::Native { ScmpArch::native() } else { arch };
        if !architectures.contains(&arch) {
            architectures.push(arch);
        }
    }
    Ok(architectures)
}

fn add(context: &mut ScmpFilterContext, syscall: &LinuxSyscall, action: ScmpAction) -> Result<()> {
    for name in syscall.names() {
        // Profiles name system calls of newer kernels and other machines, which need no rule here.
        let Ok(number) = ScmpSyscall::from_name(name) else { continue };
        let args = syscall.args().as_deref().unwrap_or_default();
        let conditions: Vec<_> = args.iter().map(condition).collect();
        let twice = (1..args.len())
            .any(|at| args[..at].iter().any(|before| before.index() == args[at].index()));
        // One rule compares an argument once; runc makes a rule of each condition then.
        let rules = if twice { conditions.chunks(1).collect() } else { vec![&conditions[..]] };
        for rule in rules {
            context
                .add_rule_conditional(action, number, rule)
                .map_err(|error| Error::spec("linux.seccomp", format!("{name}: {error}")))?;
        }
    }
    Ok(())
}

/// `value` is the mask of a masked comparison and `valueTwo` what must remain (seccomp_rule_add(3)).
fn condition(arg: &LinuxSeccompArg) -> ScmpArgCompare {
    let (operator, value) = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => (ScmpCompareOp::NotEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpLt => (ScmpCompareOp::Less, arg.value()),
        LinuxSeccompOperator::ScmpCmpLe => (ScmpCompareOp::LessOrEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpEq => (ScmpCompareOp::Equal, arg.value()),
        LinuxSeccompOperator::ScmpCmpGe => (ScmpCompareOp::GreaterEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpGt => (ScmpCompareOp::Greater, arg.value()),
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            (ScmpCompareOp::MaskedEqual(arg.value()), arg.value_two().unwrap_or(0))
        }
    };
    ScmpArgCompare::new(arg.index() as u32, operator, value)
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<ScmpAction> {
    let errno = errno.map_or(libc::EPERM, |errno| errno as i32);
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            ScmpAction::KillThread
        }
        LinuxSeccompAction::ScmpActKillProcess => ScmpAction::KillProcess,
        LinuxSeccompAction::ScmpActTrap => ScmpAction::Trap,
        LinuxSeccompAction::ScmpActErrno => ScmpAction::Errno(errno),
        LinuxSeccompAction::ScmpActTrace => ScmpAction::Trace(
            u16::try_from(errno)
                .map_err(|_| Error::spec("linux.seccomp", "errnoRet is larger than 65535"))?,
        ),
        LinuxSeccompAction::ScmpActAllow => ScmpAction::Allow,
        LinuxSeccompAction::ScmpActNotify => ScmpAction::Notify,
        LinuxSeccompAction::ScmpActLog => ScmpAction::Log,
    })
}

/// seccomp(2)'s flags. All threads would be told by TSYNC; there is one. Without a list runc allows
/// speculation, as kernels do since 5.16.
pub(super) fn flags(seccomp: &LinuxSeccomp) -> u64 {
    if seccomp.flags().is_none() {
        return libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    }
    seccomp.flags().iter().flatten().fold(0, |flags, flag| {
        flags
            | match flag {
                LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
                LinuxSeccompFilterFlag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG,
                LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => {
                    libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW
                }
                LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
                    libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
                }
            }
    })
}

fn export(context: &ScmpFilterContext) -> Result<Vec<u8>> {
    let doing = || "write the compiled seccomp filter".to_owned();
    let file = rustix::fs::memfd_create("seccomp", MemfdFlags::CLOEXEC).doing(doing)?;
    context.export_bpf(&file).map_err(refused)?;
    let mut file = std::fs::File::from(file);
    let mut bytes = Vec::new();
    use std::io::{Read, Seek};
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).doing(doing)?;
    Ok(bytes)
}

fn refused(error: libseccomp::error::SeccompError) -> Error {
    Error::spec("linux.seccomp", error.to_string())
}
