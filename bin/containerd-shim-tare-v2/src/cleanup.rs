//! `delete`: containerd finds a shim dead, and what it left is taken away: processes, cgroups and state
//! by the runtime, mounts here. The bundle itself is containerd's to remove.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;

use crate::arguments::Arguments;
use crate::bundle::{self, Record};
use crate::reaper::Exit;

/// The `delete` command: in the bundle as working directory, or in the one that is named.
pub(crate) fn delete(arguments: &Arguments) -> anyhow::Result<()> {
    arguments.check()?;
    let bundle = match arguments.bundle.is_empty() {
        true => std::env::current_dir().context("find the bundle")?,
        false => PathBuf::from(&arguments.bundle),
    };
    let pid = bundle::read_pid(&bundle.join("init.pid")).unwrap_or(0);
    let deleted = match Record::load(&bundle)? {
        Some(record) => run_delete(&record, &arguments.id, &bundle),
        None => Ok(()),
    };
    rootfs::unmount_listed(&bundle.join("rootfs"))?;
    deleted?;
    remove_socket(&bundle);
    let exit = Exit::killed();
    let mut response = DeleteResponse::new();
    response.pid = pid;
    response.exit_status = exit.status;
    response.exited_at = Some(Timestamp::from(exit.at)).into();
    let bytes = response.write_to_bytes().context("encode the answer")?;
    std::io::stdout().write_all(&bytes).context("write the answer")
}

/// Removes the socket that a killed shim could not remove. One that lives, with others of the pod, listens.
fn remove_socket(bundle: &Path) {
    let Ok(address) = fs::read_to_string(bundle.join("address")) else { return };
    let socket = address.trim().trim_start_matches("unix://");
    let refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
    if UnixStream::connect(socket).is_err_and(refused) {
        // A socket that stays is taken over by the next shim of this name.
        let _ = fs::remove_file(socket);
    }
}

/// The runtime's `delete --force`: it kills what still runs, and does not mind what is gone.
fn run_delete(record: &Record, id: &str, bundle: &Path) -> anyhow::Result<()> {
    let output = Command::new(&record.program)
        .arg("--root")
        .arg(&record.root)
        .args(record.systemd_cgroup.then_some("--systemd-cgroup"))
        .args(["delete", "--force", id])
        .current_dir(bundle)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {}", record.program.display()))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        anyhow::bail!("{} delete {id}: {}", record.program.display(), message.trim());
    }
    Ok(())
}
