//! Which namespaces a container gets: new ones as flags for `clone3`, existing ones as descriptors.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{Doing, Error, Result};
use crate::syscalls;

/// The namespaces of one container.
pub(crate) struct Namespaces {
    /// `CLONE_NEW*` of those that are made together with the process.
    pub(crate) new: u64,
    /// `CLONE_NEW*` of those that the process makes later: its cgroup must be entered before, and in a
    /// new user namespace, who makes an ipc namespace owns its message queues.
    pub(crate) late: u64,
    /// A time namespace, whose offsets must be written before anyone is in it.
    pub(crate) time: bool,
    /// Those that exist.
    pub(crate) joined: Vec<Joined>,
}

/// A namespace to join.
pub(crate) struct Joined {
    pub(crate) kind: LinuxNamespaceType,
    pub(crate) path: PathBuf,
    pub(crate) descriptor: OwnedFd,
}

/// Whether the container has a user namespace, a new one or another's.
pub(crate) fn has_user(spec: &Spec) -> bool {
    has(spec, LinuxNamespaceType::User)
}

/// Whether the container has a namespace of this kind, a new one or another's.
pub(crate) fn has(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    list(spec).iter().any(|namespace| namespace.typ() == kind)
}

/// Whether the container gets a new pid namespace.
pub(crate) fn has_own_pids(spec: &Spec) -> bool {
    let new = |namespace: &LinuxNamespace| {
        namespace.path().as_ref().is_none_or(|path| path.as_os_str().is_empty())
    };
    list(spec).iter().any(|it| it.typ() == LinuxNamespaceType::Pid && new(it))
}

fn list(spec: &Spec) -> &[LinuxNamespace] {
    let linux = spec.linux().as_ref();
    linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default()
}

impl Namespaces {
    /// Opens what is to be joined, by the host's view.
    pub(crate) fn plan(spec: &Spec) -> Result<Self> {
        let mut plan = Self { new: 0, late: 0, time: false, joined: Vec::new() };
        for namespace in list(spec) {
            let kind = namespace.typ();
            match namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
                Some(path) => plan.joined.push(Joined::open(kind, path.clone())?),
                None => match kind {
                    LinuxNamespaceType::Cgroup => plan.late |= flag(kind),
                    LinuxNamespaceType::Ipc if has_user(spec) => plan.late |= flag(kind),
                    LinuxNamespaceType::Time => plan.time = true,
                    kind => plan.new |= flag(kind),
                },
            }
        }
        Ok(plan)
    }

    /// Whether the process must join namespaces before it is in its user namespace: some may be open
    /// to who is outside only, and others to who is inside only.
    pub(crate) fn joins_around_users(&self) -> bool {
        use LinuxNamespaceType::{Pid, User};
        let others = self.joined.iter().any(|joined| !matches!(joined.kind, User | Pid));
        self.joined(User).is_some() || self.new_user() && others
    }

    /// Joins every existing namespace: what cannot be joined from outside the user namespace is tried
    /// again from inside.
    pub(crate) fn join_around_users(&self) -> Result<()> {
        let users = self.joined(LinuxNamespaceType::User);
        let others = self.joined.iter().filter(|joined| joined.kind != LinuxNamespaceType::User);
        let mut refused = Vec::new();
        for joined in others {
            match joined.enter() {
                Err(_) if users.is_some() => refused.push(joined),
                entered => entered?,
            }
        }
        users.into_iter().chain(refused).try_for_each(Joined::enter)
    }

    /// Whether a new user namespace is made.
    pub(crate) fn new_user(&self) -> bool {
        self.new & libc::CLONE_NEWUSER as u64 != 0
    }

    /// The existing namespace of a kind.
    pub(crate) fn joined(&self, kind: LinuxNamespaceType) -> Option<&Joined> {
        self.joined.iter().find(|joined| joined.kind == kind)
    }
}

impl Joined {
    fn open(kind: LinuxNamespaceType, path: PathBuf) -> Result<Self> {
        let descriptor = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .doing(|| format!("open the {kind} namespace {}", path.display()))?;
        // A namespace of another kind would be told from no namespace by nothing but a number.
        if syscalls::namespace_kind(descriptor.as_fd()).ok() != Some(flag(kind) as i64) {
            let reason = format!("{} is no {kind} namespace", path.display());
            return Err(Error::spec("linux.namespaces", reason));
        }
        Ok(Self { kind, path, descriptor })
    }

    /// setns(2): the caller, or for a pid namespace its children, are in it from now on.
    pub(crate) fn enter(&self) -> Result<()> {
        move_into_link_name_space(self.descriptor.as_fd(), Some(link_type(self.kind)))
            .doing(|| format!("join the {} namespace {}", self.kind, self.path.display()))
    }
}

fn flag(kind: LinuxNamespaceType) -> u64 {
    (match kind {
        LinuxNamespaceType::Mount => libc::CLONE_NEWNS,
        LinuxNamespaceType::Cgroup => libc::CLONE_NEWCGROUP,
        LinuxNamespaceType::Uts => libc::CLONE_NEWUTS,
        LinuxNamespaceType::Ipc => libc::CLONE_NEWIPC,
        LinuxNamespaceType::User => libc::CLONE_NEWUSER,
        LinuxNamespaceType::Pid => libc::CLONE_NEWPID,
        LinuxNamespaceType::Network => libc::CLONE_NEWNET,
        LinuxNamespaceType::Time => 0x80,
    }) as u64
}

fn link_type(kind: LinuxNamespaceType) -> LinkNameSpaceType {
    match kind {
        LinuxNamespaceType::Mount => LinkNameSpaceType::Mount,
        LinuxNamespaceType::Cgroup => LinkNameSpaceType::ControlGroup,
        LinuxNamespaceType::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
        LinuxNamespaceType::Ipc => LinkNameSpaceType::InterProcessCommunication,
        LinuxNamespaceType::User => LinkNameSpaceType::User,
        LinuxNamespaceType::Pid => LinkNameSpaceType::ProcessID,
        LinuxNamespaceType::Network => LinkNameSpaceType::Network,
        LinuxNamespaceType::Time => LinkNameSpaceType::Time,
    }
}

/// The namespaces that belong to the container's first process and not to the host, by their names in
/// `/proc/<pid>/ns`: what a later `exec` joins.
pub(crate) fn names(spec: &Spec) -> Vec<String> {
    list(spec).iter().map(|namespace| link_name(namespace.typ()).to_owned()).collect()
}

fn link_name(kind: LinuxNamespaceType) -> &'static str {
    match kind {
        LinuxNamespaceType::Mount => "mnt",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Network => "net",
        LinuxNamespaceType::Time => "time",
    }
}

/// The `CLONE_NEW*` flag of a name in `/proc/<pid>/ns`.
pub(crate) fn flag_of_name(name: &str) -> u64 {
    use LinuxNamespaceType as Kind;
    [
        Kind::Mount,
        Kind::Cgroup,
        Kind::Uts,
        Kind::Ipc,
        Kind::User,
        Kind::Pid,
        Kind::Network,
        Kind::Time,
    ]
    .into_iter()
    .find(|&kind| link_name(kind) == name)
    .map_or(0, flag)
}
