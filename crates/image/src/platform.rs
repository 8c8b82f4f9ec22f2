//! Platforms: operating system, architecture and its variant, in the names that images use.
//!
//! Normal forms and matching follow containerd (`platforms`, "Normalization" in its package
//! comment), which follows Go's `GOOS` and `GOARCH`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A platform in normal form: `linux/amd64`, `linux/arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// Why text is not a [`Platform`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid platform {0:?}: want OS/ARCHITECTURE[/VARIANT], such as linux/amd64")]
pub struct PlatformError(String);

impl Platform {
    /// Brings the parts to their normal form: `aarch64` is `arm64`, `x86_64` is `amd64`.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let variant = variant.unwrap_or_default().to_lowercase();
        let (architecture, variant) = normal_architecture(&architecture.to_lowercase(), &variant);
        Self { os: normal_os(&os.to_lowercase()), architecture, variant }
    }

    /// The platform that this program was built for, which is the one that it runs on.
    pub fn host() -> Self {
        Self::new(std::env::consts::OS, std::env::consts::ARCH, None)
    }

    /// The operating system: `linux`.
    pub fn os(&self) -> &str {
        &self.os
    }

    /// The architecture as Go names it: `amd64`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The variant, when it is not the architecture's usual one: `v7`.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// Whether an image for `other` is what was asked for with this platform: the same system and
    /// architecture, and a variant that this one can run (32-bit ARM runs what is below it).
    pub fn accepts(&self, other: &Self) -> bool {
        self.preference(other).is_some()
    }

    /// How well an image for `other` fits, 0 best; `None` where it does not fit.
    pub fn preference(&self, other: &Self) -> Option<u32> {
        if (&self.os, &self.architecture) != (&other.os, &other.architecture) {
            return None;
        }
        self.level().checked_sub(other.level()).filter(|&below| below == 0 || self.runs_below())
    }

    fn runs_below(&self) -> bool {
        matches!(self.architecture.as_str(), "arm" | "amd64" | "arm64")
    }

    /// The variant as a number, with the architecture's default filled in.
    fn level(&self) -> u32 {
        let default = match self.architecture.as_str() {
            "arm" => 7,
            "arm64" => 8,
            "amd64" => 1,
            _ => 0,
        };
        let number = |variant: &str| variant.trim_start_matches('v').parse().ok();
        self.variant.as_deref().and_then(number).unwrap_or(default)
    }
}

fn normal_os(os: &str) -> String {
    match os {
        "macos" => "darwin",
        os => os,
    }
    .to_owned()
}

fn normal_architecture(architecture: &str, variant: &str) -> (String, Option<String>) {
    let (architecture, variant) = match (architecture, variant) {
        ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        // Rust's name has no byte order; of the two only the little one has images.
        ("powerpc64le" | "powerpc64", variant) => ("ppc64le", variant),
        ("loongarch64", variant) => ("loong64", variant),
        other => other,
    };
    (architecture.to_owned(), (!variant.is_empty()).then(|| variant.to_owned()))
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// `os/architecture[/variant]`, or one word: an operating system (with the host's architecture)
    /// or an architecture (of linux).
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let valid = |part: &&str| {
            let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            !part.is_empty() && part.chars().all(word)
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(valid) {
            return Err(PlatformError(text.to_owned()));
        }
        match parts[..] {
            [os @ ("linux" | "windows" | "darwin" | "macos" | "freebsd")] => {
                Ok(Self::new(os, std::env::consts::ARCH, None))
            }
            [architecture] if is_architecture(architecture) => {
                Ok(Self::new("linux", architecture, None))
            }
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(PlatformError(text.to_owned())),
        }
    }
}

fn is_architecture(word: &str) -> bool {
    let (normal, _) = normal_architecture(&word.to_lowercase(), "");
    matches!(
        normal.as_str(),
        "386"
            | "amd64"
            | "arm"
            | "arm64"
            | "loong64"
            | "mips"
            | "mips64"
            | "mips64le"
            | "mipsle"
            | "ppc64"
            | "ppc64le"
            | "riscv64"
            | "s390x"
            | "wasm"
    )
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

impl TryFrom<String> for Platform {
    type Error = PlatformError;

    fn try_from(text: String) -> Result<Self, PlatformError> {
        text.parse()
    }
}

impl From<&oci_spec::image::Platform> for Platform {
    fn from(platform: &oci_spec::image::Platform) -> Self {
        let (os, architecture) = (platform.os().to_string(), platform.architecture().to_string());
        Self::new(&os, &architecture, platform.variant().as_deref())
    }
}

impl From<&Platform> for oci_spec::image::Platform {
    fn from(platform: &Platform) -> Self {
        let mut made = Self::default();
        made.set_os(platform.os().into());
        made.set_architecture(platform.architecture().into());
        made.set_variant(platform.variant.clone());
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_forms() {
        for (input, want) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/7", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("arm64", "linux/arm64"),
            ("s390x", "linux/s390x"),
            ("linux/powerpc64", "linux/ppc64le"),
            ("loongarch64", "linux/loong64"),
            ("macos/arm64", "darwin/arm64"),
        ] {
            assert_eq!(input.parse::<Platform>().unwrap().to_string(), want, "{input}");
        }
        for input in ["", "linux/", "/amd64", "a/b/c/d", "linux/am d64", "nonsense"] {
            input.parse::<Platform>().expect_err(input);
        }
    }

    #[test]
    fn matching() {
        for (wanted, offered, preference) in [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64", "linux/amd64/v2", None),
            ("linux/amd64/v3", "linux/amd64", Some(2)),
            ("linux/amd64", "linux/arm64", None),
            ("linux/amd64", "windows/amd64", None),
            ("linux/arm/v7", "linux/arm/v6", Some(1)),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/arm64", "linux/arm64/v8", Some(0)),
        ] {
            let [wanted, offered] = [wanted, offered].map(|text| text.parse::<Platform>().unwrap());
            assert_eq!(wanted.preference(&offered), preference, "{wanted} and {offered}");
        }
    }
}
