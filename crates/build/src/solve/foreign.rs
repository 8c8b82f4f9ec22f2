//! Whether this machine can run programs for a platform: its own, or by an emulator that is
//! registered with the kernel (binfmt_misc, Documentation/admin-guide/binfmt-misc.rst).

use std::fs;

use image::Platform;

/// Where the kernel tells of its emulators, one file each.
const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";

/// What can be done about a platform's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ability {
    /// They run.
    Runs,
    /// There is an emulator, but a container has no way to it.
    NotFixed,
    /// There is none.
    Missing,
}

pub(super) fn ability(platform: &Platform) -> Ability {
    if is_native(&Platform::host(), platform) {
        return Ability::Runs;
    }
    let Some(header) = elf_header(platform.architecture()) else { return Ability::Missing };
    let mut best = Ability::Missing;
    for entry in fs::read_dir(REGISTERED).into_iter().flatten().flatten() {
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        match emulates(&text, &header) {
            Some(true) => return Ability::Runs,
            Some(false) => best = Ability::NotFixed,
            None => {}
        }
    }
    best
}

/// Whether the kernel runs the programs itself, as far as the platform tells: it knows nothing of the
/// processor's extensions. 64-bit x86 and ARM run the 32-bit programs of their kind.
fn is_native(host: &Platform, platform: &Platform) -> bool {
    let pair = (host.architecture(), platform.architecture());
    let alike = pair.0 == pair.1 || matches!(pair, ("amd64", "386") | ("arm64", "arm"));
    host.os() == platform.os() && alike
}

/// The first 20 bytes of a program (elf(5)): class, byte order, type, machine.
fn elf_header(architecture: &str) -> Option<[u8; 20]> {
    let (wide, big, machine): (bool, bool, u16) = match architecture {
        "386" => (false, false, 3),
        "amd64" => (true, false, 62),
        "arm" => (false, false, 40),
        "arm64" => (true, false, 183),
        "loong64" => (true, false, 258),
        "mips" => (false, true, 8),
        "mipsle" => (false, false, 8),
        "mips64" => (true, true, 8),
        "mips64le" => (true, false, 8),
        "ppc64" => (true, true, 21),
        "ppc64le" => (true, false, 21),
        "riscv64" => (true, false, 243),
        "s390x" => (true, true, 22),
        _ => return None,
    };
    let two = |number: u16| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let mut header = [0; 20];
    header[..4].copy_from_slice(b"\x7fELF");
    header[4..7].copy_from_slice(&[1 + u8::from(wide), 1 + u8::from(big), 1]);
    header[16..18].copy_from_slice(&two(2));
    header[18..].copy_from_slice(&two(machine));
    Some(header)
}

/// Whether an entry is for programs that begin so, and then whether its emulator was opened when it
/// was registered (flag `F`), so that containers need not have it.
fn emulates(entry: &str, header: &[u8]) -> Option<bool> {
    let value = |name: &str| entry.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    entry.lines().next().filter(|state| *state == "enabled")?;
    let offset: usize = value("offset ")?.parse().ok()?;
    let magic = bytes(value("magic ")?)?;
    let mask = value("mask ").and_then(bytes).unwrap_or_else(|| vec![0xff; magic.len()]);
    let start = header.get(offset..)?;
    // What lies behind the header tells nothing of the machine.
    let mut compared = magic.iter().zip(&mask).zip(start);
    let fits = compared.all(|((magic, mask), byte)| byte & mask == magic & mask);
    fits.then(|| value("flags:").is_some_and(|flags| flags.contains('F')))
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(byte).collect()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AARCH64: &str = "\
enabled
interpreter /usr/bin/qemu-aarch64-static
flags: OCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
";

    #[test]
    fn entries_are_told_by_their_magic() {
        let arm64 = elf_header("arm64").unwrap();
        assert_eq!(emulates(AARCH64, &arm64), Some(true));
        assert_eq!(emulates(&AARCH64.replace("OCF", "OC"), &arm64), Some(false));
        assert_eq!(emulates(&AARCH64.replace("enabled", "disabled"), &arm64), None);
        assert_eq!(emulates("enabled\n", &arm64), None, "the kernel's own status file");
        for other in ["amd64", "arm", "ppc64le", "s390x", "mips64"] {
            assert_eq!(emulates(AARCH64, &elf_header(other).unwrap()), None, "{other}");
        }
    }

    #[test]
    fn machines_run_their_own_kind() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        for (host, other, want) in [
            ("linux/amd64", "linux/amd64/v3", true),
            ("linux/amd64", "linux/386", true),
            ("linux/arm64", "linux/arm/v7", true),
            ("linux/amd64", "linux/arm64", false),
            ("linux/386", "linux/amd64", false),
            ("linux/amd64", "windows/amd64", false),
        ] {
            assert_eq!(is_native(&platform(host), &platform(other)), want, "{host} {other}");
        }
    }
}
