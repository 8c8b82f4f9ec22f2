//! `RUN --mount` to what a container sees.

use dockerfile::{Lines, MountKind as Kind, MountOptions};

use super::super::{Access, Agent, From, Mount, MountKind, Run, Secret};
use super::{Lowering, absolute};
use crate::Error;

/// Of a directory for a cache.
const DIRECTORY: u32 = 0o755;
/// Of a secret's file.
const SECRET: u32 = 0o400;
/// Of an agent's socket.
const SOCKET: u32 = 0o600;

impl Lowering<'_, '_> {
    /// Adds what the options ask for to the command.
    pub(super) fn mounts(
        &mut self,
        run: &mut Run,
        options: &[MountOptions],
        lines: Lines,
    ) -> Result<(), Error> {
        for options in options {
            let source = &self.dockerfile().source;
            let mount = options.resolve().map_err(|error| source.problem(lines, error.into()))?;
            self.outline.mount(&mount, lines);
            match mount.kind {
                Kind::Secret => run.secrets.push(self.secret(&mount, lines)?),
                Kind::Ssh => run.agents.push(self.agent(&mount, run.agents.len())),
                _ => run.mounts.push(self.mount(&mount, lines)?),
            }
        }
        // As BuildKit: the first agent is the one that programs find, there or not.
        if let Some(first) = run.agents.first()
            && !run.env.iter().any(|entry| entry.starts_with("SSH_AUTH_SOCK="))
        {
            run.env.push(format!("SSH_AUTH_SOCK={}", first.target));
        }
        Ok(())
    }

    fn mount(&mut self, mount: &dockerfile::Mount, lines: Lines) -> Result<Mount, Error> {
        let target = self.target(mount.target.as_deref().unwrap_or_default());
        let kind = match mount.kind {
            Kind::Cache => self.cache(mount, lines)?,
            Kind::Tmpfs => MountKind::Tmpfs { size: mount.size.filter(|&size| size > 0) },
            _ => self.bind(mount, lines)?,
        };
        if target == "/" {
            let word = mount.target.as_deref().unwrap_or_default();
            return Err(self.error_at(lines, word, "a mount cannot be at /"));
        }
        Ok(Mount { target, kind, read_only: mount.read_only })
    }

    fn target(&self, path: &str) -> String {
        absolute(&self.config.config.working_dir, path)
    }

    fn bind(&mut self, mount: &dockerfile::Mount, lines: Lines) -> Result<MountKind, Error> {
        let from = match &mount.from {
            Some(name) => self.from(name, lines)?,
            None => From::Context,
        };
        Ok(MountKind::Bind { from, source: source(mount) })
    }

    fn cache(&mut self, mount: &dockerfile::Mount, lines: Lines) -> Result<MountKind, Error> {
        let from = mount.from.as_ref().map(|name| self.from(name, lines)).transpose()?;
        let source = source(mount);
        let given = mount.mode.or(mount.uid).or(mount.gid).is_some() && source == "/";
        // A cache is named by its target as the Dockerfile has it, whatever the working directory.
        let name = mount.id.as_deref().filter(|id| !id.is_empty());
        let name = name.unwrap_or(mount.target.as_deref().unwrap_or_default());
        Ok(MountKind::Cache {
            id: absolute("/", name),
            sharing: mount.sharing,
            from,
            source,
            access: given.then(|| access(mount, DIRECTORY)),
        })
    }

    fn secret(&self, mount: &dockerfile::Mount, lines: Lines) -> Result<Secret, Error> {
        let named = [&mount.source, &mount.id].into_iter().flatten().find(|id| !id.is_empty());
        let target = mount.target.as_deref().filter(|target| !target.is_empty());
        let id = named.map(String::as_str).or(target.map(last)).unwrap_or_default();
        if id.is_empty() {
            return Err(self.error(lines, "a secret mount needs an id, a source or a target"));
        }
        let default = || format!("/run/secrets/{}", last(id));
        let target = match (target, &mount.env) {
            (Some(target), _) => Some(self.target(target)),
            (None, None) => Some(default()),
            (None, Some(_)) => None,
        };
        Ok(Secret {
            id: id.to_owned(),
            target,
            env: mount.env.clone(),
            access: access(mount, SECRET),
            required: mount.required,
        })
    }

    fn agent(&self, mount: &dockerfile::Mount, number: usize) -> Agent {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let default = || format!("/run/buildkit/ssh_agent.{number}");
        Agent {
            id: given(&mount.id).unwrap_or_else(|| "default".to_owned()),
            target: given(&mount.target).map_or_else(default, |target| self.target(&target)),
            access: access(mount, SOCKET),
            required: mount.required,
        }
    }
}

fn source(mount: &dockerfile::Mount) -> String {
    absolute("/", mount.source.as_deref().unwrap_or_default())
}

fn access(mount: &dockerfile::Mount, mode: u32) -> Access {
    let (uid, gid) = (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0));
    Access { mode: mount.mode.unwrap_or(mode), uid, gid }
}

/// The last part of a path.
fn last(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}
