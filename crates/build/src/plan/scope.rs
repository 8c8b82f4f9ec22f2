//! Which variables an instruction sees, and with which values.
//!
//! The rules are BuildKit's. Before the first `FROM`: the platform arguments, then each global `ARG`.
//! In a stage: the base's environment, then each `ENV` and each `ARG` in order, the later one wins. An
//! `ARG` without default takes the value that was given to the build, else the global one.

use std::collections::BTreeMap;

use image::Platform;

/// The values that were given to the build by `--build-arg`.
pub type BuildArgs = BTreeMap<String, String>;

/// Names and values in the order in which they were first set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Environment(Vec<(String, String)>);

impl Environment {
    /// From `NAME=value` strings.
    pub(super) fn from_list(list: &[String]) -> Self {
        let mut environment = Self::default();
        environment.set_all(list);
        environment
    }

    /// Sets what `NAME=value` strings say.
    pub(super) fn set_all(&mut self, list: &[String]) {
        for entry in list {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            self.set(name, value);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }

    /// The names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// As `NAME=value` strings.
    pub(super) fn to_list(&self) -> Vec<String> {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }
}

/// The arguments that every Dockerfile may use without declaring them before the first `FROM`
/// (Dockerfile reference, "Automatic platform ARGs in the global scope").
pub(super) fn platform_args(
    target: &Platform,
    build: &Platform,
    stage: &str,
    given: &BuildArgs,
) -> Environment {
    let mut environment = Environment::default();
    for (prefix, platform) in [("BUILD", build), ("TARGET", target)] {
        let parts = [
            ("PLATFORM", platform.to_string()),
            ("OS", platform.os().to_owned()),
            ("OSVERSION", String::new()),
            ("ARCH", platform.architecture().to_owned()),
            ("VARIANT", platform.variant().unwrap_or_default().to_owned()),
        ];
        for (suffix, value) in parts {
            environment.set(&format!("{prefix}{suffix}"), &value);
        }
    }
    environment.set("TARGETSTAGE", if stage.is_empty() { "default" } else { stage });
    let names: Vec<String> = environment.0.iter().map(|(name, _)| name.clone()).collect();
    for name in names {
        if let Some(value) = given.get(&name) {
            environment.set(&name, value);
        }
    }
    environment
}

/// Proxies among the build arguments. A `RUN` sees them without an `ARG`, and they are in no cache
/// key and no history (Dockerfile reference, "Predefined ARGs").
pub(super) fn proxies(given: &BuildArgs) -> Vec<String> {
    let mut list = Vec::new();
    for (name, value) in given.iter().filter(|(name, _)| is_proxy(name)) {
        for spelled in [name.to_ascii_uppercase(), name.to_ascii_lowercase()] {
            if !list.iter().any(|entry: &String| entry.starts_with(&format!("{spelled}="))) {
                list.push(format!("{spelled}={value}"));
            }
        }
    }
    list
}

/// The name of the host that commands see: the same on every machine, for some programs write it into
/// files.
pub(crate) fn hostname(given: &BuildArgs) -> &str {
    let own = given.get("BUILDKIT_SANDBOX_HOSTNAME").filter(|name| !name.is_empty());
    own.map_or("tare-build", String::as_str)
}

/// Whether the build is asked to write its cache into the image.
pub(super) fn wants_inline_cache(given: &BuildArgs) -> bool {
    given.get("BUILDKIT_INLINE_CACHE").is_some_and(|value| !matches!(&**value, "" | "0" | "false"))
}

/// Whether this build argument is predefined and needs no `ARG`.
pub(super) fn is_proxy(name: &str) -> bool {
    let known = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];
    known.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether a build argument means something to the builder itself.
pub(super) fn is_builders(name: &str) -> bool {
    is_proxy(name) || name.starts_with("BUILDKIT_") || name == "SOURCE_DATE_EPOCH"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_args_can_be_overridden() {
        let platform: Platform = "linux/arm/v7".parse().unwrap();
        let host: Platform = "linux/amd64".parse().unwrap();
        let given = BuildArgs::from([("TARGETARCH".to_owned(), "mine".to_owned())]);
        let scope = platform_args(&platform, &host, "", &given);
        for (name, value) in [
            ("TARGETPLATFORM", "linux/arm/v7"),
            ("TARGETARCH", "mine"),
            ("TARGETVARIANT", "v7"),
            ("BUILDPLATFORM", "linux/amd64"),
            ("BUILDOS", "linux"),
            ("TARGETSTAGE", "default"),
        ] {
            assert_eq!(scope.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn proxies_come_in_both_spellings() {
        let given =
            BuildArgs::from([("HTTP_PROXY".to_owned(), "p".to_owned()), ("X".into(), "y".into())]);
        assert_eq!(proxies(&given), ["HTTP_PROXY=p", "http_proxy=p"]);
    }
}
