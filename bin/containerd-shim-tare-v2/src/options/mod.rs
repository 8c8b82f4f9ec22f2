//! The options of a runtime: `containerd.runc.v1.Options` of those who know the runtime to have runc's command
//! line, and the same by name ([`generic`]) of those who do not.

mod generic;

use std::path::PathBuf;

use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, UnknownValueRef};
use containerd_shim_protos::shim::oci;

use crate::wire::Refusal;
use generic::Named;

const RUNC: &str = "containerd.runc.v1.Options";

/// What the options say, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// The runtime program; else `tare-runtime`.
    pub(crate) binary: Option<String>,
    /// Where the runtime keeps its state; the namespace is a directory in it.
    pub(crate) root: Option<PathBuf>,
    /// Have systemd manage the cgroups.
    pub(crate) systemd_cgroup: bool,
    /// Do not pivot_root(2).
    pub(crate) no_pivot: bool,
    /// Keep the session keyring.
    pub(crate) no_new_keyring: bool,
    /// The owner of the FIFOs, where it is not root.
    pub(crate) io_owner: Option<(u32, u32)>,
    /// The cgroup that the shim goes to, when it begins.
    pub(crate) shim_cgroup: Option<String>,
    /// The criu program that the runtime is to use, which only containerd 1.x can say.
    pub(crate) criu: Option<String>,
    /// Where criu's files go that are no part of an image.
    pub(crate) criu_work: Option<PathBuf>,
}

/// `criu_path`, which the messages of containerd 2.x have no more.
const CRIU_PATH: u32 = 8;

impl Options {
    /// Whether a message is one of these.
    pub(crate) fn are_in(any: &Any) -> bool {
        is(any, RUNC) || is(any, generic::TYPE)
    }

    /// Reads what came with a request; nothing at all is the default.
    ///
    /// # Errors
    /// Options of another runtime, or one that cannot be honoured.
    pub(crate) fn read(any: Option<&Any>) -> Result<Self, Refusal> {
        let Some(any) = any.filter(|any| !any.type_url.is_empty()) else {
            return Ok(Self::default());
        };
        if is(any, generic::TYPE) {
            return Ok(Named::read(&any.value)?.into());
        }
        if !is(any, RUNC) {
            return Err(Refusal::invalid(format!("options of the type {:?}", any.type_url)));
        }
        let read = oci::Options::parse_from_bytes(&any.value)
            .map_err(|error| Refusal::invalid(format!("read the options: {error}")))?;
        Ok(Named::from(read).into())
    }
}

/// The options of runc, as of any other.
impl From<oci::Options> for Named {
    fn from(read: oci::Options) -> Self {
        let criu_path = match read.special_fields.unknown_fields().get(CRIU_PATH) {
            Some(UnknownValueRef::LengthDelimited(path)) => String::from_utf8(path.to_vec()).ok(),
            _ => None,
        };
        Self {
            binary_name: Some(read.binary_name),
            root: Some(read.root),
            systemd_cgroup: read.systemd_cgroup,
            no_pivot_root: read.no_pivot_root,
            no_new_keyring: read.no_new_keyring,
            shim_cgroup: Some(read.shim_cgroup),
            io_uid: read.io_uid,
            io_gid: read.io_gid,
            criu_path,
            criu_work_path: Some(read.criu_work_path),
            ..Self::default()
        }
    }
}

impl From<Named> for Options {
    fn from(named: Named) -> Self {
        let given = |text: Option<String>| text.filter(|it| !it.is_empty());
        let owner = (named.io_uid, named.io_gid);
        Self {
            binary: given(named.binary_name),
            root: given(named.root).map(PathBuf::from),
            systemd_cgroup: named.systemd_cgroup,
            no_pivot: named.no_pivot_root,
            no_new_keyring: named.no_new_keyring,
            io_owner: (owner != (0, 0)).then_some(owner),
            shim_cgroup: given(named.shim_cgroup),
            criu: given(named.criu_path),
            criu_work: given(named.criu_work_path).map(PathBuf::from),
        }
    }
}

impl Options {
    /// The runtime program.
    ///
    /// # Errors
    /// Ours is meant, but is not installed beside the shim.
    pub(crate) fn program(&self) -> anyhow::Result<PathBuf> {
        match &self.binary {
            Some(binary) => Ok(PathBuf::from(binary)),
            None => cli::sibling("tare-runtime"),
        }
    }
}

/// Whether a message is of a type. containerd writes the bare name, others put a host before it.
pub(crate) fn is(any: &Any, name: &str) -> bool {
    any.type_url == name || any.type_url.ends_with(&format!("/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(change: impl FnOnce(&mut oci::Options)) -> Any {
        let mut options = oci::Options::new();
        change(&mut options);
        let mut any = Any::new();
        any.type_url = "containerd.runc.v1.Options".into();
        any.value = options.write_to_bytes().unwrap();
        any
    }

    #[test]
    fn options_are_read() {
        assert_eq!(Options::read(None).unwrap(), Options::default());
        let full = any(|it| {
            it.binary_name = "crun".into();
            it.root = "/run/docker/runtime-crun".into();
            it.systemd_cgroup = true;
            it.io_uid = 5;
            it.shim_cgroup = "/shims".into();
            let criu = b"/opt/criu".to_vec();
            it.special_fields.mut_unknown_fields().add_length_delimited(CRIU_PATH, criu);
        });
        let read = Options::read(Some(&full)).unwrap();
        assert_eq!(read.binary.as_deref(), Some("crun"));
        assert_eq!(read.io_owner, Some((5, 0)));
        assert!(read.systemd_cgroup && !read.no_pivot);
        assert_eq!(read.shim_cgroup.as_deref(), Some("/shims"));
        assert_eq!((read.criu.as_deref(), read.criu_work), (Some("/opt/criu"), None));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let mut foreign = Any::new();
        foreign.type_url = "containerd.runhcs.v1.Options".into();
        assert!(Options::read(Some(&foreign)).is_err());
    }
}
