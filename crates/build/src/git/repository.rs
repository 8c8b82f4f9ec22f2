//! The bare repository that keeps what was fetched of one remote.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use image::Digest;
use rustix::fs::{FlockOperation, flock};

use super::command::{Git, address};
use super::refs::Commit;
use crate::{Error, hold};

/// A repository that is ours while this lives.
pub(super) struct Repository<'a> {
    git: Git<'a>,
    remote: String,
    path: PathBuf,
    _lock: File,
}

/// Makes the folder where it is missing, and waits until it is ours. Its lock's time of modification
/// says when it was last used: gc removes the oldest that nobody holds.
fn alone(folder: &Path) -> Result<File, Error> {
    let lock = folder.join("lock");
    loop {
        fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        let held = File::options().create(true).append(true).open(&lock).and_then(|file| {
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        });
        match held {
            Ok(file) if hold::is_at(&file, &lock) => {
                hold::note_use(&file);
                return Ok(file);
            }
            // gc was faster.
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("lock", &lock, error)),
        }
    }
}

impl<'a> Repository<'a> {
    /// Opens the repository of this remote below `work`, and makes it where it is missing.
    pub(super) fn open(
        git: Git<'a>,
        work: &Path,
        remote: &str,
        long_names: bool,
    ) -> Result<Self, Error> {
        // The two kinds of names do not share a repository.
        let name = Digest::of(format!("{remote}\n{long_names}")).hex();
        let folder = work.join("git").join(name);
        let held = alone(&folder)?;
        let path = folder.join("repo");
        // What a killed git left would stop this one; we are alone here.
        let _ = fs::remove_file(path.join("shallow.lock"));
        let repository = Self { git, remote: remote.to_owned(), path, _lock: held };
        repository.init(long_names)?;
        Ok(repository)
    }

    fn init(&self, long_names: bool) -> Result<(), Error> {
        let format = if long_names { "--object-format=sha256" } else { "--object-format=sha1" };
        let path = self.path.to_string_lossy();
        let arguments = ["init", "--quiet", "--bare", "--template=", format, "--", &path];
        self.git.call("make a place for", &self.remote).quietly(&arguments).map(drop)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn remote(&self) -> &str {
        &self.remote
    }

    /// Fetches the commit, without what came before it, unless it is here.
    pub(super) fn fetch(&self, commit: &Commit, hear: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        if self.has(&commit.object) && self.has_ref(&commit.object) {
            return Ok(());
        }
        let by_name = commit.reference.as_deref().unwrap_or(&commit.object);
        let fetched = self.fetch_one(by_name, commit, hear);
        if fetched.is_ok() && self.has(&commit.object) && self.is_fetched(commit) {
            return Ok(());
        }
        // A ref that has moved since, or a server that does not give commits by name.
        let by_object = match commit.reference {
            Some(_) => self.fetch_one(&commit.object, commit, hear),
            None => fetched,
        };
        if by_object.is_ok() && self.has(&commit.object) {
            return Ok(());
        }
        if let Err(Error::Interrupted) = by_object {
            return Err(Error::Interrupted);
        }
        self.fetch_all(commit, hear)
    }

    fn fetch_one(
        &self,
        name: &str,
        commit: &Commit,
        hear: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Error> {
        let refspec = format!("+{name}:{}", kept(&commit.object));
        match self.fetch_refs(&["--depth=1"], &[&refspec], name, hear) {
            // Servers of plain files have no shallow history.
            Err(Error::Git { said, .. }) if said.contains("shallow") => {
                self.fetch_refs(&[], &[&refspec], name, hear)
            }
            result => result,
        }
    }

    /// All branches and tags with their history: the commit may be anywhere in it.
    fn fetch_all(&self, commit: &Commit, hear: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let shallow = self.path.join("shallow").exists();
        let depth: &[&str] = if shallow { &["--unshallow"] } else { &[] };
        let all = ["+refs/heads/*:refs/tare-heads/*", "+refs/tags/*:refs/tare-tags/*"];
        self.fetch_refs(depth, &all, &commit.object, hear)?;
        if !self.has(&commit.object) {
            return Err(Error::Git {
                action: format!("fetch {} of", commit.object),
                remote: dockerfile::redacted(&self.remote).into_owned(),
                said: "no branch or tag has this commit".to_owned(),
            });
        }
        let keep = ["update-ref", &kept(&commit.object), &commit.object];
        self.call("keep what was fetched of").quietly(&keep).map(drop)
    }

    fn fetch_refs(
        &self,
        depth: &[&str],
        refspecs: &[&str],
        what: &str,
        hear: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Error> {
        let address = address(&self.remote);
        let mut arguments = vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
        arguments.extend(["--no-recurse-submodules", "--force"]);
        arguments.extend(depth);
        arguments.extend(["--end-of-options", &address]);
        arguments.extend(refspecs);
        self.call(format!("fetch {what} of")).run(&arguments, hear).map(drop)
    }

    /// Whether the commit with all its files is here.
    fn has(&self, object: &str) -> bool {
        let name = format!("{object}^{{tree}}");
        self.call("look into").quietly(&["cat-file", "-e", &name]).is_ok()
    }

    fn has_ref(&self, object: &str) -> bool {
        let arguments = ["rev-parse", "--quiet", "--verify", "--end-of-options", &kept(object)];
        self.call("look into").quietly(&arguments).is_ok()
    }

    /// Whether what was fetched by name is what the name meant when it was resolved.
    fn is_fetched(&self, commit: &Commit) -> bool {
        let name = kept(&commit.object);
        let arguments = ["rev-parse", "--verify", "--end-of-options", &name];
        let found = self.call("look into").quietly(&arguments).unwrap_or_default();
        String::from_utf8_lossy(&found).trim() == commit.object
    }

    /// A call on this repository.
    pub(super) fn call(&self, action: impl Into<String>) -> super::command::Call<'a> {
        self.git.call(action, &self.remote).in_repository(&self.path)
    }
}

/// The ref that keeps an object from git's collection.
pub(super) fn kept(object: &str) -> String {
    format!("refs/tare/{object}")
}
