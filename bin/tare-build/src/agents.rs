//! `--ssh`: the agents that it names.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use build::AgentSource;
use cli::ErrorExt as _;

use crate::arguments::environment;

/// `default`, `NAME=SOCKET` or `NAME=KEY[,KEY…]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentFlag {
    id: String,
    paths: Vec<PathBuf>,
}

impl FromStr for AgentFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, paths) = text.split_once('=').unwrap_or((text, ""));
        if id.is_empty() {
            return Err("an agent needs a name: default, or NAME=SOCKET".to_owned());
        }
        let paths = paths.split(',').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
        Ok(Self { id: id.to_owned(), paths })
    }
}

/// The agents by id.
pub(crate) fn given(flags: &[AgentFlag]) -> anyhow::Result<BTreeMap<String, AgentSource>> {
    let found = |flag: &AgentFlag| {
        let source = flag.source().with_context(|| format!("cannot use the SSH agent {}", flag.id));
        Ok((flag.id.clone(), source?))
    };
    flags.iter().map(found).collect()
}

impl AgentFlag {
    /// Paths are sockets or keys by what is there: a single socket, or keys alone.
    fn source(&self) -> anyhow::Result<AgentSource> {
        let paths = match self.paths.as_slice() {
            [] => vec![self.default_socket()?],
            paths => paths.to_vec(),
        };
        let mut sockets = 0;
        for path in &paths {
            let found = fs::metadata(path).with_context(|| path.display().to_string())?;
            sockets += usize::from(found.file_type().is_socket());
        }
        match (sockets, &paths[..]) {
            (0, keys) => keys.iter().map(absolute).collect::<Result<_, _>>().map(AgentSource::Keys),
            (1, [socket]) => absolute(socket).map(AgentSource::Socket),
            _ => bail!("an agent is one socket, or key files alone"),
        }
    }

    fn default_socket(&self) -> anyhow::Result<PathBuf> {
        let socket = environment("SSH_AUTH_SOCK").filter(|path| !path.is_empty());
        let missing = || anyhow::anyhow!("SSH_AUTH_SOCK is not set, so no agent is known");
        socket
            .map(PathBuf::from)
            .ok_or_else(missing)
            .hint(format!("start one with ssh-agent, or name a key: --ssh {}=FILE", self.id))
    }
}

fn absolute(path: &PathBuf) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_buildx_takes_them() {
        for (text, id, paths) in [
            ("default", "default", &[] as &[&str]),
            ("a=/b", "a", &["/b"]),
            ("a=/b,c", "a", &["/b", "c"]),
            ("a=", "a", &[]),
        ] {
            let flag: AgentFlag = text.parse().unwrap();
            let paths = paths.iter().map(PathBuf::from).collect();
            assert_eq!(flag, AgentFlag { id: id.to_owned(), paths }, "{text}");
        }
        "=/b".parse::<AgentFlag>().unwrap_err();
    }
}
