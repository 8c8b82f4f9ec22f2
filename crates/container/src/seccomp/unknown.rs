//! What a filter answers to system calls that are newer than its profile: `ENOSYS`, so that programs
//! fall back to older ones, where the profile's own default would have them fail (as runc has it).
//!
//! Instructions that come before libseccomp's, which begin by themselves with the architecture: calls
//! with a larger number than any that the profile names for their architecture end here.

use libseccomp::{ScmpArch, ScmpSyscall};
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction};

/// Set in the numbers of x32's system calls, which share their architecture with x86-64's.
const X32_BIT: u32 = 0x4000_0000;

/// The instructions (`struct sock_filter`) to put first; none where new calls pass anyway.
pub(super) fn instructions(seccomp: &LinuxSeccomp, architectures: &[ScmpArch]) -> Vec<u8> {
    // A tracer is expected to know new calls itself.
    let passes = matches!(
        seccomp.default_action(),
        LinuxSeccompAction::ScmpActAllow
            | LinuxSeccompAction::ScmpActLog
            | LinuxSeccompAction::ScmpActTrace
    );
    if passes {
        return Vec::new();
    }
    let mut program = vec![Instruction::load(ARCHITECTURE)];
    let mut seen = Vec::new();
    for &architecture in architectures {
        let Some(number) = audit_number(architecture) else { continue };
        if seen.contains(&number) {
            continue;
        }
        seen.push(number);
        program.extend(section(seccomp, architectures, architecture, number));
    }
    if program.len() == 1 {
        return Vec::new();
    }
    let end = program.len();
    for (index, instruction) in program.iter_mut().enumerate() {
        if instruction.code == JUMP {
            instruction.value = (end - index - 1) as u32;
        }
    }
    program.iter().flat_map(Instruction::bytes).collect()
}

/// The part for one architecture of the kernel's; x86-64's and x32's numbers are two kinds of one.
fn section(
    seccomp: &LinuxSeccomp,
    architectures: &[ScmpArch],
    architecture: ScmpArch,
    number: u32,
) -> Vec<Instruction> {
    let last = |architecture| {
        architectures.contains(&architecture).then(|| last_known(seccomp, architecture)).flatten()
    };
    let mut body = vec![Instruction::load(NUMBER)];
    match architecture {
        ScmpArch::X8664 | ScmpArch::X32 => match (last(ScmpArch::X8664), last(ScmpArch::X32)) {
            (None, None) => return Vec::new(),
            (Some(plain), None) => {
                body.extend([jump(BITS, X32_BIT, 2, 0), jump(GREATER, plain, 0, 1)]);
            }
            (None, Some(x32)) => {
                body.extend([jump(BITS, X32_BIT, 0, 2), jump(GREATER, x32, 0, 1)]);
            }
            (Some(plain), Some(x32)) => body.extend([
                jump(BITS, X32_BIT, 1, 0),
                jump(GREATER, plain, 1, 2),
                jump(GREATER, x32, 0, 1),
            ]),
        },
        _ => {
            let Some(last) = last(architecture) else { return Vec::new() };
            if matches!(architecture, ScmpArch::S390 | ScmpArch::S390X) {
                // Numbers that do not fit the instruction arrive there as 0.
                body.push(jump(EQUAL, 0, 1, 0));
            }
            body.push(jump(GREATER, last, 0, 1));
        }
    }
    body.push(Instruction { code: RETURN, if_true: 0, if_false: 0, value: NOT_KNOWN });
    body.push(Instruction { code: JUMP, if_true: 0, if_false: 0, value: 0 });
    body.insert(0, jump(EQUAL, number, 0, body.len() as u8));
    body
}

/// The largest number of a system call that the profile names.
fn last_known(seccomp: &LinuxSeccomp, architecture: ScmpArch) -> Option<u32> {
    let names = seccomp.syscalls().iter().flatten().flat_map(|syscall| syscall.names());
    let numbers = names.filter_map(|name| ScmpSyscall::from_name_by_arch(name, architecture).ok());
    // Calls that an architecture does not have are known by negative numbers.
    let numbers = numbers.filter_map(|number| u32::try_from(i32::from(number)).ok());
    numbers.max().filter(|last| *last != 0)
}

/// `AUDIT_ARCH_*` (linux/audit.h): the ELF machine, with bits for 64 bits and for little endian.
fn audit_number(architecture: ScmpArch) -> Option<u32> {
    const WIDE: u32 = 0x8000_0000;
    const LITTLE: u32 = 0x4000_0000;
    const N32: u32 = 0x2000_0000;
    Some(match architecture {
        ScmpArch::X86 => 3 | LITTLE,
        ScmpArch::X8664 | ScmpArch::X32 => 62 | WIDE | LITTLE,
        ScmpArch::Arm => 40 | LITTLE,
        ScmpArch::Aarch64 => 183 | WIDE | LITTLE,
        ScmpArch::Mips => 8,
        ScmpArch::Mips64 => 8 | WIDE,
        ScmpArch::Mips64N32 => 8 | WIDE | N32,
        ScmpArch::Mipsel => 8 | LITTLE,
        ScmpArch::Mipsel64 => 8 | WIDE | LITTLE,
        ScmpArch::Mipsel64N32 => 8 | WIDE | LITTLE | N32,
        ScmpArch::Ppc => 20,
        ScmpArch::Ppc64 => 21 | WIDE,
        ScmpArch::Ppc64Le => 21 | WIDE | LITTLE,
        ScmpArch::S390 => 22,
        ScmpArch::S390X => 22 | WIDE,
        ScmpArch::Riscv64 => 243 | WIDE | LITTLE,
        _ => return None,
    })
}

/// `SECCOMP_RET_ERRNO`.
const NOT_KNOWN: u32 = 0x0005_0000 | libc::ENOSYS as u32;
/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// `BPF_LD | BPF_W | BPF_ABS` and others of linux/bpf_common.h.
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const EQUAL: u16 = 0x15;
const GREATER: u16 = 0x25;
const BITS: u16 = 0x45;
const RETURN: u16 = 0x06;

/// `struct sock_filter`.
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

impl Instruction {
    fn load(value: u32) -> Self {
        Self { code: LOAD, if_true: 0, if_false: 0, value }
    }

    fn bytes(&self) -> [u8; 8] {
        let (code, value) = (self.code.to_ne_bytes(), self.value.to_ne_bytes());
        let [c0, c1] = code;
        let [v0, v1, v2, v3] = value;
        [c0, c1, self.if_true, self.if_false, v0, v1, v2, v3]
    }
}

fn jump(code: u16, value: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, if_true, if_false, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the instructions answer; None where they leave it to the filter behind them.
    fn answer(program: &[u8], architecture: u32, number: u32) -> Option<u32> {
        let program: Vec<&[u8]> = program.chunks(8).collect();
        let (mut at, mut loaded) = (0, 0);
        while let Some(&instruction) = program.get(at) {
            let [c0, c1, if_true, if_false, v0, v1, v2, v3] = instruction.try_into().unwrap();
            let value = u32::from_ne_bytes([v0, v1, v2, v3]);
            let mut branch =
                |holds: bool| at += usize::from(if holds { if_true } else { if_false });
            match u16::from_ne_bytes([c0, c1]) {
                LOAD => loaded = if value == NUMBER { number } else { architecture },
                JUMP => at += value as usize,
                EQUAL => branch(loaded == value),
                GREATER => branch(loaded > value),
                BITS => branch(loaded & value != 0),
                RETURN => return Some(value),
                code => panic!("instruction {code:#x}"),
            }
            at += 1;
        }
        assert_eq!(at, program.len(), "ends where the filter begins");
        None
    }

    fn profile(default: &str) -> LinuxSeccomp {
        let text = format!(
            r#"{{"defaultAction":"{default}","syscalls":[
            {{"names":["read","openat2","no-such-call"],"action":"SCMP_ACT_ALLOW"}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn calls_above_the_last_known_are_not_known() {
        const OPENAT2: u32 = 437;
        let seccomp = profile("SCMP_ACT_ERRNO");
        let all = [ScmpArch::X8664, ScmpArch::X86, ScmpArch::X32, ScmpArch::S390X, ScmpArch::Arm];
        for architectures in [&all[..], &all[..1], &all[2..3], &all[3..]] {
            let program = instructions(&seccomp, architectures);
            for &architecture in architectures {
                let bit = if architecture == ScmpArch::X32 { X32_BIT } else { 0 };
                let number = audit_number(architecture).unwrap();
                for (call, known) in [(3, true), (OPENAT2, true), (438, false), (1000, false)] {
                    let expected = (!known).then_some(NOT_KNOWN);
                    let found = answer(&program, number, call | bit);
                    assert_eq!(found, expected, "{architecture:?} {call} of {architectures:?}");
                }
            }
            assert_eq!(answer(&program, 0xdead, 1000), None);
        }
        let multiplexed = answer(&instructions(&seccomp, &[ScmpArch::S390X]), 22 | 1 << 31, 0);
        assert_eq!(multiplexed, Some(NOT_KNOWN));
        // Of two kinds of numbers the other one is the filter's business.
        let plain = instructions(&seccomp, &[ScmpArch::X8664]);
        assert_eq!(answer(&plain, 62 | 3 << 30, 1000 | X32_BIT), None);
    }

    #[test]
    fn what_passes_anyway_is_left_alone() {
        for default in ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"] {
            assert!(instructions(&profile(default), &[ScmpArch::X8664]).is_empty(), "{default}");
        }
        for default in ["SCMP_ACT_KILL", "SCMP_ACT_TRAP", "SCMP_ACT_KILL_PROCESS"] {
            assert!(!instructions(&profile(default), &[ScmpArch::X8664]).is_empty(), "{default}");
        }
    }
}
