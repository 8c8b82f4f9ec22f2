//! `checkpoint`.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use container::{CheckpointOptions, ContainerId, CriuOptions, PageServer};

use crate::arguments::Globals;

/// Write a running container into image files, by criu
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    image: ImageOptions,
    /// Image before this one (of --pre-dump), relative to the image's directory
    #[arg(long, value_name = "DIR")]
    parent_path: Option<PathBuf>,
    /// Let the container go on afterwards
    #[arg(long)]
    leave_running: bool,
    /// Leave out TCP connections that are being made
    #[arg(long)]
    tcp_skip_in_flight: bool,
    /// Give deleted files a name again where possible
    #[arg(long)]
    link_remap: bool,
    /// Descriptor that gets a NUL byte when lazy pages can be fetched
    #[arg(long, value_name = "FD", allow_negative_numbers = true)]
    status_fd: Option<i32>,
    /// Send memory to a criu page server
    #[arg(long, value_name = "ADDRESS:PORT")]
    page_server: Option<String>,
    /// Write memory only and let the container go on
    #[arg(long)]
    pre_dump: bool,
    /// The container
    container_id: ContainerId,
}

/// What `checkpoint` and `restore` share.
#[derive(Debug, Args)]
pub(crate) struct ImageOptions {
    /// Directory of the image files [default: ./checkpoint]
    #[arg(long, value_name = "DIR")]
    image_path: Option<PathBuf>,
    /// Directory of criu's log and statistics [default: the image's]
    #[arg(long, value_name = "DIR")]
    work_path: Option<PathBuf>,
    /// Allow open TCP connections
    #[arg(long)]
    tcp_established: bool,
    /// Allow Unix sockets that lead outside
    #[arg(long)]
    ext_unix_sk: bool,
    /// Allow a session leader outside
    #[arg(long)]
    shell_job: bool,
    /// Take file locks along
    #[arg(long)]
    file_locks: bool,
    /// How criu treats cgroups: soft, full, strict or ignore
    #[arg(long, value_name = "MODE", default_value = "")]
    manage_cgroups_mode: String,
    /// Namespace whose properties are left out: network, which always is
    #[arg(long, value_name = "NAMESPACE")]
    empty_ns: Vec<String>,
    /// Drop memory from parent images that newer ones have
    #[arg(long)]
    auto_dedup: bool,
    /// Restore memory when it is touched
    #[arg(long)]
    lazy_pages: bool,
}

impl ImageOptions {
    pub(crate) fn resolve(&self, globals: &Globals) -> anyhow::Result<CriuOptions> {
        if let Some(other) = self.empty_ns.iter().find(|name| *name != "network") {
            bail!("--empty-ns: namespace {other:?} is not supported");
        }
        let given =
            |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        Ok(CriuOptions {
            program: globals.criu.clone(),
            image_path: given(&self.image_path).unwrap_or_else(|| "checkpoint".into()),
            work_path: given(&self.work_path),
            tcp_established: self.tcp_established,
            ext_unix_sk: self.ext_unix_sk,
            shell_job: self.shell_job,
            file_locks: self.file_locks,
            cgroup_mode: self.manage_cgroups_mode.parse()?,
            auto_dedup: self.auto_dedup,
            lazy_pages: self.lazy_pages,
        })
    }
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    let server = options.page_server.as_deref().filter(|text| !text.is_empty());
    let checkpoint = CheckpointOptions {
        criu: options.image.resolve(globals)?,
        parent_path: options.parent_path.clone().filter(|path| !path.as_os_str().is_empty()),
        leave_running: options.leave_running,
        tcp_skip_in_flight: options.tcp_skip_in_flight,
        link_remap: options.link_remap,
        status_fd: options.status_fd.filter(|number| *number != -1),
        page_server: server.map(str::parse::<PageServer>).transpose()?,
        pre_dump: options.pre_dump,
    };
    container::checkpoint(&globals.root()?, &options.container_id, &checkpoint)?;
    Ok(0)
}
