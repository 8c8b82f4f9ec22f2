//! `tare-store info`: where the store is, what is in it, and how it is mounted.

use std::path::PathBuf;
use std::process::ExitCode;

use rootfs::Driver;
use rootfs::user_namespace::UserNamespaceError;
use serde::Serialize;
use store::{DiskUsage, Store};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
///
/// ```json
/// {"version": "0.1.0", "store": "/var/lib/tare", "driver": "erofs", "driver_reason": "…",
///  "kernel": "6.12.0", "images": 2, "image_bytes": 170000000, "cache_bytes": 4000000, "free_bytes": 1}
/// ```
#[derive(Debug, Serialize)]
struct Info {
    version: &'static str,
    store: PathBuf,
    driver: String,
    /// Why that driver.
    driver_reason: String,
    /// What an ordinary user has of a user namespace; nothing for root, who needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    rootless: Option<String>,
    kernel: String,
    /// Entries of the index.
    images: usize,
    /// Room that the image layout takes, in bytes on disk.
    image_bytes: u64,
    /// Room that `tare/` takes besides, in bytes on disk.
    cache_bytes: u64,
    /// Room that is left on that file system, in bytes.
    free_bytes: u64,
}

/// `refused`: why there is no user namespace.
pub(crate) fn run(
    arguments: &Arguments,
    store: &Store,
    refused: Option<UserNamespaceError>,
) -> anyhow::Result<ExitCode> {
    let info = info(store, refused)?;
    if arguments.json {
        cli::print_json(&info)?;
        return Ok(ExitCode::SUCCESS);
    }
    cli::print(format_args!("Store:   {}", info.store.display()))?;
    cli::print(format_args!("Images:  {}, {}", info.images, cli::bytes(info.image_bytes)))?;
    cli::print(format_args!("Cache:   {}", cli::bytes(info.cache_bytes)))?;
    cli::print(format_args!("Free:    {}", cli::bytes(info.free_bytes)))?;
    cli::print(format_args!("Driver:  {} ({})", info.driver, info.driver_reason))?;
    if let Some(rootless) = &info.rootless {
        cli::print(format_args!("Rootless: {rootless}"))?;
    }
    cli::print(format_args!("Kernel:  {}", info.kernel))?;
    cli::print(format_args!("Version: {}", info.version))?;
    Ok(ExitCode::SUCCESS)
}

fn info(store: &Store, refused: Option<UserNamespaceError>) -> anyhow::Result<Info> {
    let root = store.root();
    let (driver, driver_reason) = Driver::probe(root);
    let mut disk = DiskUsage::default();
    let image_bytes = disk.add(&root.join("blobs"));
    // After the blobs: a layer that is a link to one takes no room of its own.
    let cache_bytes = disk.add(&root.join("tare"));
    let free = rustix::fs::statvfs(root).map(|it| it.f_bavail.saturating_mul(it.f_frsize));
    Ok(Info {
        version: env!("CARGO_PKG_VERSION"),
        store: root.to_owned(),
        driver: driver.to_string(),
        driver_reason,
        rootless: rootless(refused),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        images: store.references()?.len(),
        image_bytes,
        cache_bytes,
        free_bytes: free.unwrap_or(0),
    })
}

fn rootless(refused: Option<UserNamespaceError>) -> Option<String> {
    if let Some(error) = refused {
        let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        return Some(format!("not here: {error}{hint}"));
    }
    let ids = rootfs::ids()?;
    Some(format!("in a user namespace with {} ids, for user {}", ids.users(), cli::user().as_raw()))
}
