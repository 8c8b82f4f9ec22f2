//! One call of git, confined.

use std::path::Path;
use std::process::Command;

use dockerfile::redacted;

use crate::options::GitProgram;
use crate::{Error, Interrupt, program};

/// Settings that no repository and no user can change.
const SETTINGS: [&str; 12] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.symlinks=true",
    "core.askPass=",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "init.defaultBranch=master",
    "advice.detachedHead=false",
    "safe.directory=*",
];

/// What git may speak. Not `file`, nor `ext`, which runs programs.
const PROTOCOLS: &str = "http:https:git:ssh";

/// The same program with its confinement.
#[derive(Clone, Copy)]
pub(super) struct Git<'a> {
    program: &'a GitProgram,
    interrupt: &'a Interrupt,
    with_agent: bool,
}

/// A call in the making.
pub(super) struct Call<'a> {
    git: Git<'a>,
    command: Command,
    /// For messages: what is done, and to which repository.
    action: String,
    remote: String,
}

impl<'a> Git<'a> {
    pub(super) fn new(program: &'a GitProgram, interrupt: &'a Interrupt, with_agent: bool) -> Self {
        Self { program, interrupt, with_agent }
    }

    /// A call that does `action` to `remote`. Where its arguments name the remote, they name
    /// [`address`], which has no password; git puts it back.
    pub(super) fn call(self, action: impl Into<String>, remote: &str) -> Call<'a> {
        let mut command = Command::new(&self.program.program);
        command.env_clear().envs(self.program.environment.iter().cloned());
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ALLOW_PROTOCOL", PROTOCOLS),
            ("GIT_SSH_COMMAND", SSH),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("HOME", "/nonexistent"),
            ("LC_ALL", "C"),
        ] {
            command.env(name, value);
        }
        if let Some(agent) = self.program.ssh_agent.as_ref().filter(|_| self.with_agent) {
            command.env("SSH_AUTH_SOCK", agent);
        }
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let clean = address(remote);
        if clean != remote {
            // In the environment, because every user of the machine sees arguments.
            command
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", format!("url.{remote}.insteadOf"))
                .env("GIT_CONFIG_VALUE_0", clean);
        }
        let remote = redacted(remote).into_owned();
        Call { git: self, command, action: action.into(), remote }
    }
}

/// No configuration of the user's, no questions; a host that is met for the first time is believed.
const SSH: &str = "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=accept-new";

impl Call<'_> {
    /// On this repository.
    pub(super) fn in_repository(mut self, git_dir: &Path) -> Self {
        self.command.arg("--git-dir").arg(git_dir);
        self
    }

    /// With this work tree, and this index of it.
    pub(super) fn in_tree(mut self, tree: &Path, index: &Path) -> Self {
        self.command.arg("--work-tree").arg(tree).current_dir(tree);
        self.command.env("GIT_INDEX_FILE", index);
        self
    }

    /// In a repository that has its work tree around it.
    pub(super) fn in_clone(mut self, tree: &Path) -> Self {
        self.command.arg("-C").arg(tree);
        self
    }

    /// Reads from a repository of this machine.
    pub(super) fn on_this_machine(mut self) -> Self {
        self.command.env("GIT_ALLOW_PROTOCOL", "file");
        self
    }

    /// Runs git to its end; its standard output.
    pub(super) fn run(
        mut self,
        arguments: &[&str],
        hear: &mut dyn FnMut(&[u8]),
    ) -> Result<Vec<u8>, Error> {
        self.command.args(arguments);
        let fail = |said: String| Error::Git {
            action: self.action.clone(),
            remote: self.remote.clone(),
            said: redacted(&without_advice(&said)).into_owned(),
        };
        let mut told = |bytes: &[u8]| {
            hear(redacted(&String::from_utf8_lossy(bytes)).as_bytes());
        };
        program::output(&mut self.command, b"", &mut told, self.git.interrupt, fail)
    }

    /// As [`Call::run`], where nobody hears it.
    pub(super) fn quietly(self, arguments: &[&str]) -> Result<Vec<u8>, Error> {
        self.run(arguments, &mut |_| {})
    }
}

/// The remote as arguments name it: without the password of an HTTP URL.
pub(super) fn address(remote: &str) -> String {
    let (scheme, rest) = remote.split_once("://").unwrap_or(("", ""));
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(sign) if scheme.to_ascii_lowercase().starts_with("http") => {
            format!("{scheme}://{}", &rest[sign + 1..])
        }
        _ => remote.to_owned(),
    }
}

/// What git said of a server that it cannot talk to, without the advice that follows, which is the same for all
/// causes, and which would be taken for the cause.
fn without_advice(said: &str) -> String {
    const NOTHING: &str = "fatal: Could not read from remote repository.";
    const ADVICE: &str = "Please make sure you have the correct access rights";
    let Some((before, _)) = said.split_once(ADVICE) else { return said.to_owned() };
    let cause: Vec<&str> = before.lines().filter(|line| line.trim() != NOTHING).collect();
    match cause.iter().all(|line| line.trim().is_empty()) {
        true => NOTHING.to_owned(),
        false => cause.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_no_cause() {
        let advice = "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct \
                      access rights\nand the repository exists.\n";
        let refused = "ssh: connect to host a port 22: Connection refused\n";
        assert_eq!(without_advice(&format!("{refused}{advice}")).trim(), refused.trim());
        assert_eq!(without_advice(advice), "fatal: Could not read from remote repository.");
        assert_eq!(without_advice("fatal: x\n"), "fatal: x\n");
    }

    #[test]
    fn addresses_hold_no_password() {
        for (remote, want) in [
            ("https://u:p@example.com/a@b.git", "https://example.com/a@b.git"),
            ("https://example.com/a.git", "https://example.com/a.git"),
            ("ssh://git@example.com/a", "ssh://git@example.com/a"),
            ("git@example.com:a", "git@example.com:a"),
        ] {
            assert_eq!(address(remote), want);
        }
    }
}
