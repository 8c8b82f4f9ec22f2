//! The options of a runtime: `containerd.runc.v1.Options`, which containerd, CRI and docker write for
//! every runtime with runc's command line.

use std::path::PathBuf;

use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, UnknownValueRef};
use containerd_shim_protos::shim::oci;

use crate::wire::Refusal;

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
        is(any, "containerd.runc.v1.Options")
    }

    /// Reads what came with a request; nothing at all is the default.
    ///
    /// # Errors
    /// Options of another runtime, or one that cannot be honoured.
    pub(crate) fn read(any: Option<&Any>) -> Result<Self, Refusal> {
        let Some(any) = any.filter(|any| !any.type_url.is_empty()) else {
            return Ok(Self::default());
        };
        if !Self::are_in(any) {
            return Err(Refusal::invalid(format!("options of the type {:?}", any.type_url)));
        }
        let read = oci::Options::parse_from_bytes(&any.value)
            .map_err(|error| Refusal::invalid(format!("read the options: {error}")))?;
        let owner = (read.io_uid, read.io_gid);
        let criu = match read.special_fields.unknown_fields().get(CRIU_PATH) {
            Some(UnknownValueRef::LengthDelimited(path)) => String::from_utf8(path.to_vec()).ok(),
            _ => None,
        };
        let given = |text: String| Some(text).filter(|it| !it.is_empty());
        Ok(Self {
            binary: given(read.binary_name),
            root: given(read.root).map(PathBuf::from),
            shim_cgroup: given(read.shim_cgroup),
            criu,
            criu_work: given(read.criu_work_path).map(PathBuf::from),
            systemd_cgroup: read.systemd_cgroup,
            no_pivot: read.no_pivot_root,
            no_new_keyring: read.no_new_keyring,
            io_owner: (owner != (0, 0)).then_some(owner),
        })
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
        foreign.type_url = "runtimeoptions.v1.Options".into();
        assert!(Options::read(Some(&foreign)).is_err());
    }
}
