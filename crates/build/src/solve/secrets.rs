//! `RUN --mount=type=secret`: a file or a variable that the command sees, and nothing else keeps.
//!
//! A step with secrets has its bundle, its configuration included, in a file system in memory that is
//! gone after the step. A secret's content is in no layer, history, record, key or message.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::{Solver, run};
use crate::Error;
use crate::options::SecretValue;
use crate::plan::{Access, Run};

/// What a command sees of its secrets.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) mounts: Vec<image::Mount>,
    /// `NAME=value`
    pub(super) env: Vec<String>,
}

/// Shows the command its secrets; files go into `folder`, which is in memory.
pub(super) fn show(solver: &Solver<'_>, run: &Run, folder: &Path) -> Result<Shown, Error> {
    let mut shown = Shown::default();
    for (number, secret) in run.secrets.iter().enumerate() {
        let Some(value) = solver.options.secrets.get(&secret.id) else {
            if secret.required {
                return Err(Error::NoSecret { id: secret.id.clone() });
            }
            continue;
        };
        if let Some(target) = &secret.target {
            let file = folder.join(number.to_string());
            write(&file, value, secret.access)
                .map_err(|error| Error::io("write a secret to", &file, error))?;
            shown.mounts.push(mount(file, target));
        }
        if let Some(name) = &secret.env {
            shown.env.push(variable(&secret.id, name, value)?);
        }
    }
    Ok(shown)
}

fn write(file: &Path, value: &SecretValue, access: Access) -> io::Result<()> {
    fs::create_dir_all(file.parent().unwrap_or(Path::new("/")))?;
    fs::write(file, value.expose())?;
    chown(file, Some(access.uid), Some(access.gid))?;
    fs::set_permissions(file, fs::Permissions::from_mode(access.mode & 0o777))
}

fn mount(file: PathBuf, target: &str) -> image::Mount {
    let options = ["nosuid", "nodev", "noexec"].map(str::to_owned).to_vec();
    image::Mount { options, ..run::bind(file, PathBuf::from(target), true) }
}

fn variable(id: &str, name: &str, value: &SecretValue) -> Result<String, Error> {
    let text = std::str::from_utf8(value.expose()).ok().filter(|text| !text.contains('\0'));
    let text = text.ok_or_else(|| Error::SecretNotText { id: id.to_owned() })?;
    Ok(format!("{name}={text}"))
}
