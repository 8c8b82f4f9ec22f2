//! What is left of containers when those who would have removed it were killed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Container, Root, Status, remove_file, remove_tree};
use crate::runtime::Runtime;

/// Removes containers that were started with `--rm` and whose monitor was killed, once they have ended;
/// and what containers of this store left behind whose state is gone: after a reboot, or a removal that
/// was cut short. Failures wait for the next time.
pub(crate) fn sweep(root: &Root, store: &Path) {
    for container in root.list().unwrap_or_default() {
        if container.record.auto_remove && has_ended(&container) {
            let deleted = Runtime::of(&container).delete(container.record.id.as_str());
            let _ = deleted.and_then(|()| container.remove());
        }
    }
    let Ok(entries) = fs::read_dir(data_dir(store)) else { return };
    for entry in entries.flatten() {
        let state = entry.path().join("state");
        let dangling = state.is_symlink() && !state.exists();
        if dangling {
            let _ = remove_data(&entry.path());
        }
    }
}

/// Whether nothing runs any more, and nobody is there to remove it.
fn has_ended(container: &Container) -> bool {
    let ended = matches!(container.status(), Status::Dead | Status::Exited { .. });
    ended && !container.is_watched()
}

/// Where a store's containers have their bundles and logs.
pub(super) fn data_dir(store: &Path) -> PathBuf {
    store.join("tare/containers")
}

/// Releases the bundle in a container's directory beside the store, and removes the directory.
pub(super) fn remove_data(dir: &Path) -> anyhow::Result<()> {
    let bundle = dir.join("bundle");
    match bundle::release(&bundle) {
        Ok(()) => {}
        // It was being made: nothing is mounted before there is a record.
        Err(bundle::Error::NotABundle(_)) => remove_tree(&bundle)?,
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot release the bundle {}", bundle.display()));
        }
    }
    // The link goes last of all: while it is there, `sweep` knows whose directory this is.
    let log = dir.join("log");
    remove_file(&log)?;
    remove_tree(dir)
}
