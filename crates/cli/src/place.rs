//! Where things are: the store, and the programs of the family.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::{ErrorExt as _, user};

/// The flag `--store`, the same in all programs: `#[command(flatten)] store: cli::StoreFlag`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct StoreFlag {
    /// The store, an OCI image layout [default: /var/lib/tare; for others than root, $XDG_DATA_HOME/tare]
    #[arg(
        long,
        global = true,
        env = "TARE_STORE",
        hide_env_values = true,
        value_name = "DIR",
        help_heading = "Everywhere"
    )]
    store: Option<PathBuf>,
}

impl StoreFlag {
    /// What the user gave, by flag or variable.
    pub fn given(&self) -> Option<&Path> {
        self.store.as_deref()
    }

    /// The store's directory; see [`store_path`].
    ///
    /// # Errors
    /// As [`store_path`].
    pub fn path(&self) -> anyhow::Result<PathBuf> {
        store_path(self.store.clone())
    }
}

/// The store's directory: the flag, `$TARE_STORE`, `/var/lib/tare` for root, `$XDG_DATA_HOME/tare`,
/// `~/.local/share/tare`: the first of these that is given.
///
/// # Errors
/// For an ordinary user without `$HOME`.
pub fn store_path(flag: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(path) = flag.or_else(|| variable("TARE_STORE")) {
        return Ok(path);
    }
    if user().is_root() {
        return Ok("/var/lib/tare".into());
    }
    variable("XDG_DATA_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("tare"))
        .context("cannot tell where the store is: neither $HOME nor $XDG_DATA_HOME is set")
        .hint("name it with --store DIR")
}

/// Where the state of running containers is: `/run/tare` for root, `$XDG_RUNTIME_DIR/tare` for others,
/// and below `/tmp` where that is not set.
pub fn runtime_dir() -> PathBuf {
    let user = user();
    if user.is_root() {
        return "/run/tare".into();
    }
    match variable("XDG_RUNTIME_DIR") {
        Some(dir) => dir.join("tare"),
        None => format!("/tmp/tare-{}", user.as_raw()).into(),
    }
}

/// The program of this name: beside the running one, or in `$PATH`.
///
/// # Errors
/// Where neither has it.
pub fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(name)));
    let path = variable("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(std::env::split_paths(&path).map(|folder| folder.join(name)))
        .find(|candidate| is_program(candidate))
        .with_context(|| format!("cannot find the program {name}"))
        .hint("install it beside this program, or in a directory that $PATH names")
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[expect(clippy::disallowed_methods, reason = "the edge, where the environment is read")]
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
