//! The command line that containerd gives a shim, in the form of Go's flag package: `-name value`,
//! `-name=value`, with one dash or two, and then the command.

use std::ffi::OsString;

use anyhow::{Context, bail};

/// What containerd says on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Log what is done.
    pub(crate) debug: bool,
    /// Print the version.
    pub(crate) version: bool,
    /// Print what containerd asks of a runtime before it starts one.
    pub(crate) info: bool,
    /// containerd's namespace.
    pub(crate) namespace: String,
    /// The container's id.
    pub(crate) id: String,
    /// The shim's own socket: set for the serving process.
    pub(crate) socket: String,
    /// The bundle, for `delete`; else it is the working directory.
    pub(crate) bundle: String,
    /// containerd's gRPC socket.
    pub(crate) address: String,
    /// The program that publishes events, of daemons without a ttrpc socket: not used.
    pub(crate) publish_binary: String,
    /// `start`, `delete`, or nothing: serve.
    pub(crate) action: String,
}

impl Arguments {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// An unknown flag, one without its value, words after the command.
    pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> anyhow::Result<Self> {
        let mut arguments = Self::default();
        let mut words = words.into_iter().map(|word| {
            word.into_string().map_err(|word| anyhow::anyhow!("{word:?} is not UTF-8"))
        });
        while let Some(word) = words.next() {
            let word = word?;
            let Some(flag) = word.strip_prefix('-') else {
                arguments.action = word;
                break;
            };
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            if let Some(switch) = arguments.switch(name) {
                *switch = value.is_none_or(|value| value == "true" || value == "1");
            } else if let Some(text) = arguments.text(name) {
                let mut next = || words.next().with_context(|| format!("-{name} needs a value"));
                *text = match value {
                    Some(value) => value,
                    None => next()??,
                };
            } else {
                bail!("-{name} is no flag of a shim");
            }
        }
        match words.next() {
            Some(word) => bail!("{:?} after the command {:?}", word?, arguments.action),
            None => Ok(arguments),
        }
    }

    fn switch(&mut self, name: &str) -> Option<&mut bool> {
        match name {
            "debug" => Some(&mut self.debug),
            "v" | "version" => Some(&mut self.version),
            "info" => Some(&mut self.info),
            _ => None,
        }
    }

    fn text(&mut self, name: &str) -> Option<&mut String> {
        match name {
            "namespace" => Some(&mut self.namespace),
            "id" => Some(&mut self.id),
            "socket" => Some(&mut self.socket),
            "bundle" => Some(&mut self.bundle),
            "address" => Some(&mut self.address),
            "publish-binary" => Some(&mut self.publish_binary),
            _ => None,
        }
    }

    /// Refuses what no shim can do without.
    ///
    /// # Errors
    /// No namespace or no id, or one that is no plain name.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for (name, value) in [("-namespace", &self.namespace), ("-id", &self.id)] {
            if !is_identifier(value) {
                bail!("{name} {value:?}: letters, digits, '.', '_' and '-' are allowed");
            }
        }
        Ok(())
    }
}

/// Whether a text is a name that is safe as a part of a path, as containerd's own are.
pub(crate) fn is_identifier(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.len() <= 128 && text.bytes().all(plain) && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> anyhow::Result<Arguments> {
        Arguments::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn flags_in_all_forms() {
        let arguments =
            parse("-namespace k8s.io --address=/run/c.sock -debug -id a-1 start").unwrap();
        assert_eq!(arguments.namespace, "k8s.io");
        assert_eq!(arguments.address, "/run/c.sock");
        assert_eq!((arguments.id.as_str(), arguments.action.as_str()), ("a-1", "start"));
        assert!(arguments.debug && !arguments.info);
        assert!(parse("-v").unwrap().version);
        assert!(!parse("-debug=false").unwrap().debug);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for line in ["-nonsense x", "-id", "start now", "-namespace"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn identifiers_are_no_paths() {
        for good in ["a", "k8s.io", "abc_1-2"] {
            assert!(is_identifier(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "a\0"] {
            assert!(!is_identifier(bad), "{bad:?}");
        }
    }
}
