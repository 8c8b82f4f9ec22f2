//! The files by which a container finds its way in the network, as docker makes them: copies of the
//! host's, so that what the container writes into them stays with it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use image::{Mount, MountKind, Network, Propagation, RunOptions};

/// Writes `resolv.conf`, `hosts` and `hostname` to `dir`, and adds them to the mounts; one that the
/// user mounts himself is left out.
pub(super) fn add_files(options: &mut RunOptions, dir: &Path) -> anyhow::Result<()> {
    let own_name = options.hostname.clone();
    let shares_host = options.network == Network::Host;
    let hostname = match &own_name {
        Some(name) => name.clone(),
        None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    let hosts = match (shares_host, &own_name) {
        (true, None) => host_file("/etc/hosts")?,
        _ => {
            format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost\n").into_bytes()
        }
    };
    let resolv = if shares_host { host_file("/etc/resolv.conf")? } else { Vec::new() };
    add(options, dir, "resolv.conf", &resolv)?;
    add(options, dir, "hosts", &hosts)?;
    add(options, dir, "hostname", format!("{hostname}\n").as_bytes())
}

/// Empty where the host has none.
fn host_file(path: &str) -> anyhow::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        read => read.with_context(|| format!("cannot read {path}")),
    }
}

fn add(options: &mut RunOptions, dir: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let destination = Path::new("/etc").join(name);
    if options.mounts.iter().any(|mount| mount.destination == destination) {
        return Ok(());
    }
    let source = dir.join(name);
    fs::write(&source, content).with_context(|| format!("cannot write {}", source.display()))?;
    let kind = MountKind::Bind { source, recursive: true, propagation: Propagation::default() };
    options.mounts.push(Mount { destination, kind, read_only: false, options: Vec::new() });
    Ok(())
}
