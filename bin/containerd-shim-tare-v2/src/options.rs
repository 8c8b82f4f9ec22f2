//! The options of a runtime: `containerd.runc.v1.Options`, which containerd, CRI and docker write for
//! every runtime with runc's command line.

use std::path::PathBuf;

use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
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
}

impl Options {
    /// Reads what came with a request; nothing at all is the default.
    ///
    /// # Errors
    /// Options of another runtime, or one that cannot be honoured.
    pub(crate) fn read(any: Option<&Any>) -> Result<Self, Refusal> {
        let Some(any) = any.filter(|any| !any.type_url.is_empty()) else {
            return Ok(Self::default());
        };
        if !is(any, "containerd.runc.v1.Options") {
            return Err(Refusal::invalid(format!("options of the type {:?}", any.type_url)));
        }
        let read = oci::Options::parse_from_bytes(&any.value)
            .map_err(|error| Refusal::invalid(format!("read the options: {error}")))?;
        if !read.shim_cgroup.is_empty() {
            return Err(Refusal::unimplemented("the option ShimCgroup"));
        }
        let owner = (read.io_uid, read.io_gid);
        Ok(Self {
            binary: Some(read.binary_name).filter(|it| !it.is_empty()),
            root: Some(read.root).filter(|it| !it.is_empty()).map(PathBuf::from),
            systemd_cgroup: read.systemd_cgroup,
            no_pivot: read.no_pivot_root,
            no_new_keyring: read.no_new_keyring,
            io_owner: (owner != (0, 0)).then_some(owner),
        })
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
        });
        let read = Options::read(Some(&full)).unwrap();
        assert_eq!(read.binary.as_deref(), Some("crun"));
        assert_eq!(read.io_owner, Some((5, 0)));
        assert!(read.systemd_cgroup && !read.no_pivot);
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        assert!(Options::read(Some(&any(|it| it.shim_cgroup = "/shims".into()))).is_err());
        let mut foreign = Any::new();
        foreign.type_url = "runtimeoptions.v1.Options".into();
        assert!(Options::read(Some(&foreign)).is_err());
    }
}
