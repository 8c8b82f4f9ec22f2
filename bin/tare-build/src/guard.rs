//! `tare-build --clean-up DIR --runtime PROGRAM`: not for people. A build starts it, so that its commands
//! end at once when it is killed: see `build::clean_up`.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::rootless;

/// What the program was asked for, instead of a build.
pub(crate) struct Guard {
    folder: PathBuf,
    runtime: PathBuf,
}

impl Guard {
    /// Whether it was asked for exactly that.
    pub(crate) fn requested() -> Option<Self> {
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        match arguments.as_slice() {
            [clean_up, folder, flag, runtime]
                if clean_up == "--clean-up" && flag == "--runtime" =>
            {
                Some(Self { folder: folder.into(), runtime: runtime.into() })
            }
            _ => None,
        }
    }

    /// Waits until the build is gone.
    pub(crate) fn stand(&self) -> anyhow::Result<ExitCode> {
        io::copy(&mut io::stdin(), &mut io::sink())?;
        // <store>/tare/build/tmp/BUILD
        let build_dir = self.folder.ancestors().nth(2).unwrap_or(&self.folder);
        build::clean_up(&self.folder, &rootless::runner(self.runtime.clone(), build_dir));
        Ok(ExitCode::SUCCESS)
    }
}
