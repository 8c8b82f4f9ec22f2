//! Tables of contents, compressed layers, indexes of root file systems, leases: what can be made again.

use std::fs;
use std::time::{Duration, SystemTime};

use image::Digest;
use tree::Changeset;

use super::Check;
use crate::layer::MAX_TOC;
use crate::{Error, files};

impl Check<'_> {
    /// Checks what stands beside the layout.
    pub(super) fn caches(&mut self) -> Result<(), Error> {
        self.tables()?;
        self.indexes()?;
        self.temporaries()
    }

    /// Tables of contents can be read. Whether they are those of their tars was seen with those.
    fn tables(&mut self) -> Result<(), Error> {
        let directory = self.store.tare("layers");
        for name in files::names(&directory)? {
            let path = directory.join(&name);
            if !name.ends_with(".toc") {
                continue;
            }
            self.report.files += 1;
            let Some(bytes) = files::read_optional(&path, MAX_TOC)? else { continue };
            if let Err(error) = Changeset::decode(&bytes) {
                self.worthless(path, format!("it is no table of contents: {error}"))?;
            }
        }
        Ok(())
    }

    /// Indexes are sealed: as many seconds old as they have bytes.
    fn indexes(&mut self) -> Result<(), Error> {
        let directory = self.store.tare("rootfs");
        for name in files::names(&directory)? {
            self.report.files += 1;
            let path = directory.join(&name);
            let Ok(found) = fs::symlink_metadata(&path) else { continue };
            let hex = name.strip_suffix(".erofs").unwrap_or(&name);
            let known = hex.strip_suffix(".partial").unwrap_or(hex);
            if Digest::from_hex(known.trim_end_matches(".erofs")).is_err() {
                self.worthless(path, "its name is none of a stack of layers")?;
            } else if name.ends_with(".erofs") {
                let seal = SystemTime::UNIX_EPOCH + Duration::from_secs(found.len());
                if !found.is_file() || found.modified().ok() != Some(seal) {
                    self.worthless(path, "it was cut short or written to")?;
                }
            }
        }
        Ok(())
    }

    /// What a killed process left in the middle of its work is no damage: gc takes it.
    fn temporaries(&mut self) -> Result<(), Error> {
        self.report.files += files::names(&self.store.tare("tmp"))?.len() as u64;
        for name in files::names(&self.store.tare("leases"))? {
            self.report.files += 1;
            let path = self.store.tare("leases").join(name);
            if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
                self.worthless(path, "it is no lease")?;
            }
        }
        Ok(())
    }
}
