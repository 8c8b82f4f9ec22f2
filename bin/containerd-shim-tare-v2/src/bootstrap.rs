//! `start`: containerd asks for a shim and gets the address of one.
//!
//! What it says, and how the answer looks, depends on its version:
//!
//! | containerd | asks by | is answered with |
//! |---|---|---|
//! | to 1.7 | flags, environment; options on stdin | the bare address |
//! | 2.0 to 2.2 (`MAX_SHIM_VERSION` is 3) | the same | JSON: version, address, protocol |
//! | 2.3 on | `BootstrapParams` on stdin | `BootstrapResult` |
//!
//! The containers of a group (a pod) share a shim: where one listens on the group's address already, its
//! address is the answer. The socket is bound here and inherited by the serving process as its stdin, so
//! that whoever got the address can connect at once.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use containerd_shim_protos::bootstrap_api::{BootstrapParams, BootstrapResult};
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use sha2::{Digest, Sha256};

use crate::arguments::Arguments;
use crate::bundle;
use crate::info::INPUT_MAX;
use crate::options::Options;
use crate::stats::Groups;

/// Where containerd's shims have their sockets.
const SOCKETS: &str = "/run/containerd/s";

/// Where events go, in the environment.
pub(crate) const EVENTS_ADDRESS: &str = "TTRPC_ADDRESS";

/// What a `start` says, however it was said.
struct Request {
    params: Option<BootstrapParams>,
    address: String,
    events: String,
    debug: bool,
    options: Options,
}

/// The `start` command, in the bundle as working directory.
pub(crate) fn start(arguments: &Arguments) -> anyhow::Result<()> {
    arguments.check()?;
    let request = read_request(arguments)?;
    let bundle = std::env::current_dir().context("find the bundle")?;
    let group = bundle::group(&bundle)?.unwrap_or_else(|| arguments.id.clone());
    let socket = socket_path(&request, &arguments.namespace, &group);
    let address = format!("unix://{}", socket.display());
    if let Some(listener) = listen(&socket)? {
        serve_from(listener, arguments, &request, &address, &bundle)
            .inspect_err(|_| drop(fs::remove_file(&socket)))?;
    }
    fs::write(bundle.join("address"), &address).context("write the address into the bundle")?;
    let answer = answer(&request, &address)?;
    std::io::stdout().write_all(&answer).context("answer with the address")
}

fn read_request(arguments: &Arguments) -> anyhow::Result<Request> {
    let mut input = Vec::new();
    std::io::stdin().take(INPUT_MAX).read_to_end(&mut input).context("read stdin")?;
    // Options of a runtime read as parameters, too, but then as nobody's.
    let params = BootstrapParams::parse_from_bytes(&input).ok().filter(|params| {
        params.instance_id == arguments.id && params.namespace == arguments.namespace
    });
    let mut request = Request {
        address: arguments.address.clone(),
        events: std::env::var(EVENTS_ADDRESS).unwrap_or_default(),
        debug: arguments.debug,
        options: read_options(&input, params.as_ref()),
        params,
    };
    if let Some(params) = &request.params {
        request.events.clone_from(&params.containerd_ttrpc_address);
        request.address.clone_from(&params.containerd_grpc_address);
        request.debug |= params.log_level.value() < 0;
    }
    if request.events.is_empty() {
        bail!("containerd gives no address for events ({EVENTS_ADDRESS} is not set)");
    }
    Ok(request)
}

/// The runtime's options: on stdin by themselves, or among the parameters' extensions. Those of another kind
/// of runtime are for `Create` to refuse.
fn read_options(input: &[u8], params: Option<&BootstrapParams>) -> Options {
    let any = match params {
        Some(params) => {
            let mut extensions = params.extensions.iter().filter_map(|it| it.value.as_ref());
            extensions.find(|any| Options::are_in(any)).cloned()
        }
        None => Any::parse_from_bytes(input).ok(),
    };
    Options::read(any.as_ref()).unwrap_or_default()
}

/// A name of fixed length, so that it fits into a socket's address: containerd's own scheme.
fn socket_path(request: &Request, namespace: &str, group: &str) -> PathBuf {
    let name = Path::new(&request.address).join(namespace).join(group);
    let digest = Sha256::digest(name.as_os_str().as_encoded_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let wanted = request.params.as_ref().and_then(|params| params.socket_dir.as_deref());
    Path::new(wanted.filter(|dir| !dir.is_empty()).unwrap_or(SOCKETS)).join(hex)
}

/// Binds the socket; nothing where a shim listens on it already. A dead shim's socket is taken over.
fn listen(socket: &Path) -> anyhow::Result<Option<UnixListener>> {
    let folder = socket.parent().context("the socket has a directory")?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(folder)
        .with_context(|| format!("make {}", folder.display()))?;
    let bind = || UnixListener::bind(socket);
    let bound = match bind() {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if UnixStream::connect(socket).is_ok() {
                return Ok(None);
            }
            fs::remove_file(socket).with_context(|| format!("remove {}", socket.display()))?;
            bind()
        }
        bound => bound,
    };
    bound.map(Some).with_context(|| format!("listen on {}", socket.display()))
}

/// Starts the process that serves. It belongs to nobody: containerd may end, or this one.
fn serve_from(
    listener: UnixListener,
    arguments: &Arguments,
    request: &Request,
    address: &str,
    bundle: &Path,
) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("find this program")?;
    let mut command = Command::new(program);
    command
        .args(["-namespace", &arguments.namespace, "-id", &arguments.id])
        .args(["-address", &request.address, "-socket", address])
        .args(request.debug.then_some("-debug"))
        .env(EVENTS_ADDRESS, &request.events)
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .stderr(log(bundle)?);
    let mut child = command.spawn().context("start the serving process")?;
    yield_memory(child.id());
    let Some(cgroup) = &request.options.shim_cgroup else { return Ok(()) };
    join(child.id(), cgroup).inspect_err(|_| drop(child.kill()))
}

/// Puts the shim into the cgroup that is meant for shims, in each hierarchy that has it.
fn join(pid: u32, cgroup: &str) -> anyhow::Result<()> {
    let groups = Groups::of_path(cgroup)?;
    if groups.is_empty() {
        bail!("the option ShimCgroup: there is no cgroup {cgroup}");
    }
    for group in groups {
        let procs = group.join("cgroup.procs");
        fs::write(&procs, pid.to_string())
            .with_context(|| format!("the option ShimCgroup: write {}", procs.display()))?;
    }
    Ok(())
}

/// The FIFO for messages that containerd reads, if it is there. Opened for both directions it waits for
/// no reader, and survives one.
fn log(bundle: &Path) -> anyhow::Result<Stdio> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let name = bundle.join("log");
    let mut options = OpenOptions::new();
    match options.read(true).write(true).custom_flags(nonblocking).open(&name) {
        Ok(fifo) => Ok(fifo.into()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Stdio::null()),
        Err(error) => Err(error).with_context(|| format!("open {}", name.display())),
    }
}

/// The kernel takes the shim before it takes containerd, as with containerd's own. Best effort: an
/// unprivileged containerd may not change it.
fn yield_memory(pid: u32) {
    let own = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let score = own.trim().parse::<i32>().unwrap_or(0).saturating_add(1).min(1000);
    let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string());
}

fn answer(request: &Request, address: &str) -> anyhow::Result<Vec<u8>> {
    const VERSION: i32 = 3;
    if request.params.is_some() {
        let mut result = BootstrapResult::new();
        result.version = VERSION;
        result.address = address.to_owned();
        result.protocol = "ttrpc".to_owned();
        return result.write_to_bytes().context("encode the answer");
    }
    let known = std::env::var("MAX_SHIM_VERSION").ok().and_then(|it| it.parse::<i32>().ok());
    if known.is_some_and(|known| known >= VERSION) {
        let answer =
            serde_json::json!({ "version": VERSION, "address": address, "protocol": "ttrpc" });
        return Ok(answer.to_string().into_bytes());
    }
    Ok(address.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_shims_socket_is_taken_over_and_a_living_ones_is_not() {
        let temp = tempfile::tempdir().unwrap();
        let socket = temp.path().join("s/socket");
        let listener = listen(&socket).unwrap().expect("nobody listens");
        assert!(listen(&socket).unwrap().is_none());
        drop(listener);
        assert!(listen(&socket).unwrap().is_some());
    }

    #[test]
    fn the_socket_is_named_as_containerd_names_them() {
        let request = Request {
            params: None,
            address: "/run/containerd/containerd.sock".into(),
            events: String::new(),
            debug: false,
            options: Options::default(),
        };
        let path = socket_path(&request, "default", "x");
        // printf /run/containerd/containerd.sock/default/x | sha256sum
        assert_eq!(path.to_str().unwrap().len(), "/run/containerd/s/".len() + 64);
        assert_ne!(path, socket_path(&request, "default", "y"));
    }
}
