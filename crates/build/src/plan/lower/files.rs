//! `COPY` and `ADD` to a step: what each source is, and what may be said of it.

use dockerfile::{Lines, Remote};

use super::super::{Chmod, Copy, CopySource, From, GitSource, HttpSource, Operation, history};
use super::Lowering;
use super::paths::destination;
use crate::Error;

/// A step, and its text in the history.
type Lowered = Result<(Operation, String), Error>;

impl Lowering<'_, '_> {
    pub(super) fn copy(&mut self, copy: &dockerfile::Copy, lines: Lines) -> Lowered {
        let from = match &copy.from {
            Some(name) => self.from(name, lines)?,
            None => From::Context,
        };
        let step = Copy {
            from,
            sources: self.paths(&copy.sources, lines)?,
            inline: inline(&copy.inline),
            destination: destination(&self.config.config.working_dir, &copy.destination),
            chown: copy.chown.clone(),
            chmod: self.chmod(copy.chmod.as_deref(), lines)?,
            // BuildKit makes no layer of its own where there is a --chmod.
            link: copy.link && copy.chmod.is_none(),
            parents: copy.parents,
            exclude: copy.exclude.clone(),
            unpack: false,
        };
        let text = history::copy("COPY", &step, &copy.destination, copy.chmod.as_deref());
        Ok((Operation::Copy(Box::new(step)), text))
    }

    /// `COPY` takes paths only.
    fn paths(&self, sources: &[String], lines: Lines) -> Result<Vec<CopySource>, Error> {
        let path = |source: &String| match self.remote(source, lines)? {
            None => Ok(CopySource::Path(source.clone())),
            Some(_) => {
                let shown = dockerfile::redacted(source);
                let message =
                    format!("COPY cannot fetch {shown}: use ADD for URLs and repositories");
                Err(self.error(lines, message))
            }
        };
        sources.iter().map(path).collect()
    }

    fn remote(&self, source: &str, lines: Lines) -> Result<Option<Remote>, Error> {
        Remote::of(source).map_err(|error| self.error(lines, error))
    }

    pub(super) fn add(&mut self, add: &dockerfile::Add, lines: Lines) -> Lowered {
        // What expands to nothing was not said.
        let checksum = add.checksum.clone().filter(|text| !text.is_empty());
        let add = &dockerfile::Add { checksum, ..add.clone() };
        let source = |source: &String| self.source(add, source, lines);
        let sources: Vec<CopySource> = add.sources.iter().map(source).collect::<Result<_, _>>()?;
        if add.checksum.is_some() {
            self.check_checksum(&sources, lines)?;
        }
        let step = Copy {
            from: From::Context,
            sources,
            inline: inline(&add.inline),
            destination: destination(&self.config.config.working_dir, &add.destination),
            chown: add.chown.clone(),
            chmod: self.chmod(add.chmod.as_deref(), lines)?,
            link: add.link && add.chmod.is_none(),
            parents: false,
            exclude: add.exclude.clone(),
            unpack: add.unpack.unwrap_or(true),
        };
        let text = history::copy("ADD", &step, &add.destination, add.chmod.as_deref());
        Ok((Operation::Copy(Box::new(step)), text))
    }

    fn source(
        &self,
        add: &dockerfile::Add,
        source: &str,
        lines: Lines,
    ) -> Result<CopySource, Error> {
        Ok(match self.remote(source, lines)? {
            None => CopySource::Path(source.to_owned()),
            Some(Remote::Http(what)) => {
                let parse = |text: &String| {
                    text.parse()
                        .map_err(|error| self.error(lines, format!("--checksum={text}: {error}")))
                };
                let checksum = add.checksum.as_ref().map(parse).transpose()?;
                let unpack = add.unpack.unwrap_or(false);
                CopySource::Http(HttpSource { what, checksum, unpack })
            }
            Some(Remote::Git(what)) => CopySource::Git(self.git(add, what, source, lines)?),
        })
    }

    fn git(
        &self,
        add: &dockerfile::Add,
        mut what: dockerfile::GitRef,
        written: &str,
        lines: Lines,
    ) -> Result<GitSource, Error> {
        if let (Some(flag), Some(query)) = (add.keep_git_dir, what.keep_git_dir)
            && flag != query
        {
            let message =
                format!("--keep-git-dir={flag} contradicts keep-git-dir={query} of the URL");
            return Err(self.error(lines, message));
        }
        if let Some(flag) = &add.checksum {
            match &what.checksum {
                Some(query) if query != flag => {
                    let message = format!("--checksum={flag} contradicts {query} of the URL");
                    return Err(self.error(lines, message));
                }
                _ if flag.is_empty() || !flag.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                    let message = format!("--checksum={flag} is not the name of a commit");
                    return Err(self.error(lines, message));
                }
                _ => what.checksum = Some(flag.clone()),
            }
        }
        let keep_git_dir = add.keep_git_dir.or(what.keep_git_dir).unwrap_or(false);
        Ok(GitSource { what, keep_git_dir, written: written.to_owned() })
    }

    fn check_checksum(&self, sources: &[CopySource], lines: Lines) -> Result<(), Error> {
        match sources {
            [CopySource::Http(_) | CopySource::Git(_)] => Ok(()),
            [CopySource::Path(_)] => {
                Err(self.error(lines, "ADD --checksum is for URLs and git repositories"))
            }
            _ => Err(self.error(lines, "ADD --checksum is for a single source")),
        }
    }

    fn chmod(&self, mode: Option<&str>, lines: Lines) -> Result<Option<Chmod>, Error> {
        let parse = |text: &str| {
            text.parse().map_err(|error| self.error(lines, format!("--chmod={text}: {error}")))
        };
        mode.map(parse).transpose()
    }
}

fn inline(files: &[dockerfile::InlineFile]) -> Vec<(String, String)> {
    files.iter().map(|file| (file.name.clone(), file.content.clone())).collect()
}
