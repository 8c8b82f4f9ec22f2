//! `RUN --mount` to what a container sees.

use dockerfile::{Lines, MountOptions, Sharing};

use super::super::{From, Mount, MountKind};
use super::{Lowering, absolute};
use crate::Error;

impl Lowering<'_, '_> {
    pub(super) fn mounts(
        &mut self,
        options: &[MountOptions],
        lines: Lines,
    ) -> Result<Vec<Mount>, Error> {
        let mut mounts = Vec::new();
        for options in options {
            let mount = options.resolve().map_err(|error| self.error(lines, error))?;
            mounts.extend(self.mount(&mount, lines)?);
        }
        Ok(mounts)
    }

    fn mount(&mut self, mount: &dockerfile::Mount, lines: Lines) -> Result<Option<Mount>, Error> {
        let target = mount.target.as_deref().unwrap_or_default();
        let target = absolute(&self.config.config.working_dir, target);
        let kind = match mount.kind {
            dockerfile::MountKind::Bind => self.bind(mount, lines)?,
            dockerfile::MountKind::Cache => self.cache(mount, &target, lines)?,
            dockerfile::MountKind::Tmpfs => MountKind::Tmpfs { size: mount.size },
            dockerfile::MountKind::Secret | dockerfile::MountKind::Ssh => {
                return self.secret(mount, lines);
            }
        };
        if target == "/" {
            return Err(self.error(lines, "a mount cannot be at /"));
        }
        Ok(Some(Mount { target, kind, read_only: mount.read_only }))
    }

    fn bind(&mut self, mount: &dockerfile::Mount, lines: Lines) -> Result<MountKind, Error> {
        let from = self.mount_from(mount, lines)?;
        let source = absolute("/", mount.source.as_deref().unwrap_or_default());
        Ok(MountKind::Bind { from, source })
    }

    fn cache(
        &self,
        mount: &dockerfile::Mount,
        target: &str,
        lines: Lines,
    ) -> Result<MountKind, Error> {
        if mount.sharing == Sharing::Private {
            return Err(
                self.error(lines, "--mount=type=cache,sharing=private is not supported yet")
            );
        }
        if mount.from.is_some() {
            return Err(self.error(lines, "--mount=type=cache,from=… is not supported yet"));
        }
        Ok(MountKind::Cache {
            id: mount.id.clone().unwrap_or_else(|| target.to_owned()),
            locked: mount.sharing == Sharing::Locked,
            mode: mount.mode.unwrap_or(0o755),
            owner: (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0)),
        })
    }

    /// A secret that nobody gave is left out, unless it is required.
    fn secret(&self, mount: &dockerfile::Mount, lines: Lines) -> Result<Option<Mount>, Error> {
        let flag = match mount.kind {
            dockerfile::MountKind::Ssh => "ssh",
            _ => "secret",
        };
        if mount.required {
            let message = format!(
                "--mount=type={flag},required: giving one to the build (--{flag}) is not supported yet"
            );
            return Err(self.error(lines, message));
        }
        Ok(None)
    }

    fn mount_from(&mut self, mount: &dockerfile::Mount, lines: Lines) -> Result<From, Error> {
        match &mount.from {
            Some(name) => self.from(name, lines),
            None => Ok(From::Context),
        }
    }
}
