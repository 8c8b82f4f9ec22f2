//! `COPY` and `ADD` to a step: what each source is, and what may be said of it.

use dockerfile::{Files, Lines, Remote};

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
        let sources = self.paths(&copy.files.sources, lines)?;
        let step = Copy { from, parents: copy.parents, ..self.step(&copy.files, sources, lines)? };
        let text = history::copy("COPY", &step, &copy.files);
        Ok((Operation::Copy(Box::new(step)), text))
    }

    /// What `COPY` and `ADD` have in common.
    fn step(&self, files: &Files, sources: Vec<CopySource>, lines: Lines) -> Result<Copy, Error> {
        Ok(Copy {
            from: From::Context,
            sources,
            inline: inline(&files.inline),
            destination: destination(&self.config.config.working_dir, &files.destination),
            chown: files.chown.clone(),
            chmod: self.chmod(files.chmod.as_deref(), lines)?,
            // BuildKit makes no layer of its own where there is a --chmod.
            link: files.link && files.chmod.is_none(),
            parents: false,
            exclude: files.exclude.clone(),
            unpack: false,
        })
    }

    /// `COPY` takes paths only.
    fn paths(&self, sources: &[String], lines: Lines) -> Result<Vec<CopySource>, Error> {
        let path = |source: &String| match self.remote(source, lines)? {
            None => Ok(CopySource::Path(source.clone())),
            Some(_) => {
                let shown = dockerfile::redacted(source);
                let message =
                    format!("COPY cannot fetch {shown}: use ADD for URLs and repositories");
                Err(self.error_at(lines, source, message))
            }
        };
        sources.iter().map(path).collect()
    }

    fn remote(&self, source: &str, lines: Lines) -> Result<Option<Remote>, Error> {
        Remote::of(source).map_err(|error| self.error_at(lines, source, error))
    }

    pub(super) fn add(&mut self, add: &dockerfile::Add, lines: Lines) -> Lowered {
        // What expands to nothing was not said.
        let checksum = add.checksum.clone().filter(|text| !text.is_empty());
        let add = &dockerfile::Add { checksum, ..add.clone() };
        let source = |source: &String| self.source(add, source, lines);
        let sources: Vec<CopySource> =
            add.files.sources.iter().map(source).collect::<Result<_, _>>()?;
        if add.checksum.is_some() {
            self.check_checksum(&sources, lines)?;
        }
        let unpack = add.unpack.unwrap_or(true);
        let step = Copy { unpack, ..self.step(&add.files, sources, lines)? };
        let text = history::copy("ADD", &step, &add.files);
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
                    let message = |error| format!("--checksum={text}: {error}");
                    let word = format!("--checksum={text}");
                    text.parse().map_err(|error| self.error_at(lines, &word, message(error)))
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
            let word = format!("--chmod={text}");
            text.parse().map_err(|error| self.error_at(lines, &word, format!("{word}: {error}")))
        };
        mode.map(parse).transpose()
    }
}

fn inline(files: &[dockerfile::InlineFile]) -> Vec<(String, String)> {
    files.iter().map(|file| (file.name.clone(), file.content.clone())).collect()
}
