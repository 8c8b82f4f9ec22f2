//! Where a command writes a large result: a file that is there when it is whole, or standard output.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use crate::ErrorExt as _;
use crate::output::ClosedOutput;

/// An open destination. A file has its name only after [`Destination::finish`]: dropped before, it
/// leaves what was there as it was. Devices and pipes are written directly.
#[derive(Debug)]
pub struct Destination {
    file: File,
    /// The file in the making, and its name.
    renamed: Option<(PathBuf, PathBuf)>,
    stdout: bool,
}

impl Destination {
    /// Opens a file, or for `-` standard output, which must not be a terminal. `flag` is what names
    /// a file, for the hint.
    ///
    /// # Errors
    /// A terminal; a directory that cannot be written.
    pub fn open(path: &Path, flag: &str) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Self::stdout(flag);
        }
        let failed = || format!("cannot write {}", path.display());
        let metadata = std::fs::metadata(path);
        if metadata.as_ref().is_ok_and(|it| it.is_dir()) {
            return Err(anyhow!("{} is a directory", path.display())).with_context(failed);
        }
        if metadata.is_ok_and(|it| !it.is_file()) {
            let file = File::options().write(true).open(path).with_context(failed)?;
            return Ok(Self { file, renamed: None, stdout: false });
        }
        // Where the name is a link, what it leads to is replaced.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = path.file_name().with_context(failed)?.to_string_lossy().into_owned();
        let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let file = File::create(&temporary).with_context(failed)?;
        Ok(Self { file, renamed: Some((temporary, path)), stdout: false })
    }

    fn stdout(flag: &str) -> anyhow::Result<Self> {
        let stdout = io::stdout();
        if stdout.is_terminal() {
            return Err(anyhow!("standard output is a terminal"))
                .hint(format!("pipe it into a program, or name a file: {flag} FILE"));
        }
        let file = stdout.as_fd().try_clone_to_owned().context("cannot write standard output")?;
        Ok(Self { file: file.into(), renamed: None, stdout: true })
    }

    /// Whether it is standard output, which then has the result alone.
    pub fn is_stdout(&self) -> bool {
        self.stdout
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// What the file system says; nothing is there then but what was before.
    pub fn finish(mut self) -> anyhow::Result<()> {
        if let Some((temporary, path)) = &self.renamed {
            std::fs::rename(temporary, path)
                .with_context(|| format!("cannot create {}", path.display()))?;
        }
        self.renamed = None;
        Ok(())
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stdout {
            true => self.file.write(bytes).map_err(ClosedOutput::mark),
            false => self.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let Some((temporary, _)) = &self.renamed {
            // What cannot be removed is there to be seen.
            let _ = std::fs::remove_file(temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("archive.tar");
        std::fs::write(&path, "old").unwrap();
        let names = || std::fs::read_dir(directory.path()).unwrap().count();
        let mut dropped = Destination::open(&path, "-o").unwrap();
        dropped.write_all(b"half").unwrap();
        assert_eq!((names(), std::fs::read(&path).unwrap()), (2, b"old".to_vec()));
        drop(dropped);
        assert_eq!((names(), std::fs::read(&path).unwrap()), (1, b"old".to_vec()));
        let mut whole = Destination::open(&path, "-o").unwrap();
        whole.write_all(b"whole").unwrap();
        whole.finish().unwrap();
        assert_eq!((names(), std::fs::read(&path).unwrap()), (1, b"whole".to_vec()));
    }

    #[test]
    fn devices_are_written_and_directories_are_not() {
        let mut device = Destination::open(Path::new("/dev/null"), "-o").unwrap();
        device.write_all(b"gone").unwrap();
        device.finish().unwrap();
        assert!(Path::new("/dev/null").exists());
        let directory = tempfile::tempdir().unwrap();
        assert!(Destination::open(directory.path(), "-o").is_err());
        assert!(Destination::open(&directory.path().join("no/file"), "-o").is_err());
    }
}
