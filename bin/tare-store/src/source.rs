//! Where an import reads from: a file or standard input, with an ear for Ctrl-C.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::os::fd::AsFd as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use cli::{ErrorExt as _, Interrupt, Interrupted};
use rustix::event::{PollFd, PollFlags, poll};

/// An open source.
#[derive(Debug)]
pub(crate) struct Source {
    file: File,
    interrupt: Interrupt,
}

impl Source {
    /// Opens a file, or standard input for `-`.
    pub(crate) fn open(path: &Path, interrupt: Interrupt) -> anyhow::Result<Self> {
        let file = if path == Path::new("-") { stdin()? } else { regular(path)? };
        Ok(Self { file, interrupt })
    }

    /// How many bytes there are to read; `None` for what is not a file.
    pub(crate) fn size(&self) -> Option<u64> {
        let metadata = self.file.metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    }
}

impl Read for Source {
    /// Waits for input or a signal; a signal is an error of kind [`Interrupted`].
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut waiting = [
            PollFd::new(&self.file, PollFlags::IN),
            PollFd::from_borrowed_fd(self.interrupt.as_fd(), PollFlags::IN),
        ];
        match poll(&mut waiting, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.interrupt.check().map_err(|Interrupted| io::Error::other(Interrupted))?;
        self.file.read(buffer)
    }
}

fn stdin() -> anyhow::Result<File> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(anyhow!("standard input is a terminal"))
            .hint("pipe a tar into it, or name a file");
    }
    let file = stdin.as_fd().try_clone_to_owned().context("cannot read standard input")?;
    Ok(file.into())
}

fn regular(path: &Path) -> anyhow::Result<File> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let metadata = file.metadata().with_context(|| format!("cannot open {}", path.display()))?;
    if metadata.is_dir() {
        return Err(anyhow!("{} is a directory, not a tar", path.display()))
            .hint(format!("tar -C {0} -c . | tare-store import - NAME", path.display()));
    }
    Ok(file)
}
