//! What a command needs to find others on the network: `/etc/hosts` and `/etc/resolv.conf`, the same
//! files for all commands of a build. They are seen, read-only, and never part of a layer.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::run::bind;
use crate::Error;
use crate::options::Host;
use crate::own_network::OwnNetwork;

/// Where the host says who resolves names.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// That for a network of the build's own.
const OWN: &str = "resolv.own.conf";

/// Writes the files into the working directory of a build, whose commands see the host name.
pub(super) fn write(folder: &Path, hostname: &str, hosts: &[Host]) -> Result<(), Error> {
    // A host that resolves no names has no such file.
    let resolv_conf = fs::read(RESOLV_CONF).unwrap_or_default();
    let hosts = table(hostname, hosts);
    put(folder, "hosts", hosts.as_bytes())?;
    put(folder, "resolv.conf", &resolv_conf)
}

/// Starts the network of an ordinary user's commands, if it can be had, with a resolv.conf for it.
pub(super) fn start_own(folder: &Path) -> Result<Option<OwnNetwork>, Error> {
    if rootfs::ids().is_none() {
        return Ok(None);
    }
    let Some(own) = OwnNetwork::start(folder) else { return Ok(None) };
    let host = fs::read(RESOLV_CONF).unwrap_or_default();
    put(folder, OWN, own.resolv_conf(&String::from_utf8_lossy(&host)).as_bytes())?;
    Ok(Some(own))
}

fn put(folder: &Path, name: &str, content: &[u8]) -> Result<(), Error> {
    let path = folder.join(name);
    // Whoever runs a command reads them, whatever the builder's umask.
    fs::write(&path, content)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)))
        .map_err(|error| Error::io("write", &path, error))
}

/// The names that need no resolver.
fn table(hostname: &str, hosts: &[Host]) -> String {
    let own =
        format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    hosts.iter().fold(own, |text, host| text + &format!("{}\t{}\n", host.address, host.name))
}

/// The files in `folder`, where a command looks for them.
pub(super) fn mounts(folder: &Path, own_network: bool) -> Vec<image::Mount> {
    let resolv_conf = if own_network { OWN } else { "resolv.conf" };
    let mount = |name: &str, target: &str| bind(folder.join(name), PathBuf::from(target), true);
    vec![mount("hosts", "/etc/hosts"), mount(resolv_conf, RESOLV_CONF)]
}
