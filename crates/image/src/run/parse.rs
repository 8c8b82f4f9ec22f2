//! The words of docker's command line: sizes, CPUs, limits, volumes, tmpfs mounts.
//!
//! Text in, values of [`RunOptions`](super::RunOptions) out. Whether a source exists on the host is
//! for the caller to see.

use std::path::PathBuf;

use super::{Mount, MountKind, Propagation, Ulimit};

/// Why a word of the command line means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {word:?}: want {want}")]
pub struct ParseError {
    /// What kind of word it should be.
    pub what: &'static str,
    /// The word.
    pub word: String,
    /// What it should look like.
    pub want: &'static str,
}

fn error(what: &'static str, word: &str, want: &'static str) -> ParseError {
    ParseError { what, word: word.to_owned(), want }
}

/// A size in bytes: `64m`, `1.5g`, `512`, `100kb`; units are powers of 1024.
///
/// # Errors
/// What is no number with an optional unit, or over 64 bits.
pub fn size(word: &str) -> Result<u64, ParseError> {
    let invalid = || error("size", word, "a number with an optional unit b, k, m, g, t or p");
    let lower = word.trim().to_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit.trim_start() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return Err(invalid()),
    };
    scaled(number, 1 << shift).ok_or_else(invalid)
}

/// A size in bytes, or `-1` for unlimited.
///
/// # Errors
/// As [`size`].
pub fn size_or_unlimited(word: &str) -> Result<i64, ParseError> {
    match word {
        "-1" => Ok(-1),
        word => i64::try_from(size(word)?)
            .map_err(|_| error("size", word, "at most 9223372036854775807 bytes")),
    }
}

/// A number of CPUs, in billionths: `1.5` is 1,500,000,000. 0 is no limit, as for docker.
///
/// # Errors
/// What is no decimal number.
pub fn cpus(word: &str) -> Result<u64, ParseError> {
    scaled(word, 1_000_000_000)
        .ok_or_else(|| error("number of CPUs", word, "a decimal number such as 1.5"))
}

/// `number × scale` without the rounding of binary fractions; digits beyond the scale fall away.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let value = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
    let fraction = &fraction[..fraction.len().min(18)];
    let unit = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let whole = value(whole)?.checked_mul(u128::from(scale))?;
    let part = value(fraction)?.checked_mul(u128::from(scale))? / unit;
    u64::try_from(whole.checked_add(part)?).ok()
}

/// A limit: `nofile=1024:2048`, `core=0`, `memlock=-1`.
///
/// # Errors
/// No `=`, an unknown name, or a value that is no number.
pub fn ulimit(word: &str) -> Result<Ulimit, ParseError> {
    const NAMES: [&str; 16] = [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let invalid = || error("ulimit", word, "NAME=SOFT[:HARD], such as nofile=1024:2048");
    let value = |text: &str| match text {
        "-1" | "unlimited" => Some(u64::MAX),
        text => text.parse().ok(),
    };
    let (name, limits) = word.split_once('=').ok_or_else(invalid)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    if !NAMES.contains(&name) {
        return Err(error("ulimit type", name, "one of those of getrlimit(2), such as nofile"));
    }
    let (soft, hard) = value(soft).zip(value(hard)).ok_or_else(invalid)?;
    match soft <= hard {
        true => Ok(Ulimit { name: name.to_owned(), soft, hard }),
        false => Err(error("ulimit", word, "a soft limit that is not above the hard one")),
    }
}

/// A bind mount: `SOURCE:DESTINATION[:OPTION,…]` with `ro`, `rw`, a propagation, and `nocopy`, `z`,
/// `Z`, `cached`, `delegated`, `consistent`, which change nothing here.
///
/// # Errors
/// Not two or three parts, or an option that docker does not know. Relative sources are refused:
/// docker has named volumes for them, and there are none here.
pub fn volume(word: &str) -> Result<Mount, ParseError> {
    const WANT: &str = "HOST:CONTAINER[:ro], absolute paths or one that begins with ./; there are no named volumes";
    let invalid = || error("volume", word, WANT);
    let parts: Vec<&str> = word.split(':').collect();
    let (source, destination, options) = match parts[..] {
        [source, destination] => (source, destination, ""),
        [source, destination, options] => (source, destination, options),
        _ => return Err(invalid()),
    };
    if !source.starts_with('/') || !destination.starts_with('/') {
        return Err(invalid());
    }
    let (mut read_only, mut propagation) = (false, Propagation::default());
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" | "z" | "Z" | "nocopy" | "cached" | "delegated" | "consistent" => {}
            other => {
                propagation = propagation_of(other).ok_or_else(|| {
                    error("volume option", other, "ro, rw, or a propagation such as rslave")
                })?;
            }
        }
    }
    Ok(Mount {
        destination: destination.into(),
        kind: MountKind::Bind { source: PathBuf::from(source), recursive: true, propagation },
        read_only,
        options: Vec::new(),
    })
}

fn propagation_of(word: &str) -> Option<Propagation> {
    use Propagation::{Private, RPrivate, RShared, RSlave, Shared, Slave};
    let all = [Private, RPrivate, RShared, RSlave, Shared, Slave];
    all.into_iter().find(|propagation| propagation.name() == word)
}

/// A file system in memory: `DESTINATION[:OPTION,…]`, options as mount(8) has them for tmpfs.
///
/// # Errors
/// A relative destination, or an option that tmpfs does not have.
pub fn tmpfs(word: &str) -> Result<Mount, ParseError> {
    const FLAGS: [&str; 16] = [
        "rw",
        "exec",
        "noexec",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "sync",
        "async",
        "atime",
        "noatime",
        "diratime",
        "nodiratime",
        "relatime",
        "norelatime",
        "strictatime",
    ];
    const VALUES: [&str; 8] =
        ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge"];
    let (destination, words) = word.split_once(':').unwrap_or((word, ""));
    if !destination.starts_with('/') {
        return Err(error("tmpfs mount", word, "DESTINATION[:OPTIONS], an absolute path"));
    }
    let (mut read_only, mut options) = (false, Vec::new());
    for option in words.split(',').filter(|option| !option.is_empty()) {
        let known = |(name, value): (&str, &str)| VALUES.contains(&name) && !value.is_empty();
        match option {
            "ro" => read_only = true,
            option if FLAGS.contains(&option) || option.split_once('=').is_some_and(known) => {
                options.push(option.to_owned());
            }
            other => {
                return Err(error("tmpfs option", other, "one of tmpfs(5), such as size=64m"));
            }
        }
    }
    Ok(Mount { destination: destination.into(), kind: MountKind::Tmpfs, read_only, options })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (word, want) in [
            ("0", Some(0)),
            ("512", Some(512)),
            ("6m", Some(6 << 20)),
            ("6MB", Some(6 << 20)),
            ("1.5g", Some(3 << 29)),
            ("1GiB", Some(1 << 30)),
            ("10 k", Some(10 << 10)),
            ("16383p", Some(16383 << 50)),
            ("16384p", None),
            ("", None),
            (".", None),
            ("m", None),
            ("-1", None),
            ("1.2.3", None),
            ("5x", None),
        ] {
            assert_eq!(size(word).ok(), want, "{word:?}");
        }
        assert_eq!(size_or_unlimited("-1"), Ok(-1));
    }

    #[test]
    fn cpu_numbers() {
        assert_eq!(cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(cpus(".25"), Ok(250_000_000));
        assert_eq!(cpus("0"), Ok(0));
        for word in ["", "-1", "1e3", "nan"] {
            cpus(word).expect_err(word);
        }
    }

    #[test]
    fn limits() {
        let limit = |name: &str, soft, hard| Ok(Ulimit { name: name.to_owned(), soft, hard });
        assert_eq!(ulimit("nofile=1:2"), limit("nofile", 1, 2));
        assert_eq!(ulimit("memlock=-1"), limit("memlock", u64::MAX, u64::MAX));
        for word in ["nofile", "nofile=", "nofile=2:1", "files=1", "nofile=a"] {
            ulimit(word).expect_err(word);
        }
    }

    #[test]
    fn volumes() {
        let mount = volume("/a:/b:ro,rslave").unwrap();
        assert!(mount.read_only);
        let (source, recursive) = (PathBuf::from("/a"), true);
        let propagation = Propagation::RSlave;
        assert_eq!(mount.kind, MountKind::Bind { source, recursive, propagation });
        for word in ["/a", "a:/b", "/a:b", "/a:/b:no", "/a:/b:ro:x", ""] {
            volume(word).expect_err(word);
        }
    }

    #[test]
    fn memory_file_systems() {
        let mount = tmpfs("/run:size=64m,noexec,ro").unwrap();
        assert_eq!(
            (mount.options.as_slice(), mount.read_only),
            (&["size=64m".to_owned(), "noexec".to_owned()][..], true)
        );
        for word in ["run", "/run:size", "/run:bind", "/run:upperdir=/x"] {
            tmpfs(word).expect_err(word);
        }
    }
}
