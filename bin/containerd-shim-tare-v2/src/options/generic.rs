//! `runtimeoptions.v1.Options`: what containerd's CRI plugin and docker make of the options of a runtime that
//! they do not know. The options themselves are TOML, in the message or in a file that it names, and have the
//! names of runc's.

use std::fs;

use anyhow::{Context, bail};
use containerd_shim_protos::api::Empty;
use containerd_shim_protos::protobuf::{Message, UnknownValueRef};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The message's name.
pub(super) const TYPE: &str = "runtimeoptions.v1.Options";

/// Its fields: containerd's api/types/runtimeoptions/v1/api.proto.
const CONFIG_PATH: u32 = 2;
const CONFIG_BODY: u32 = 3;

/// The options, by the names that runc's have in containerd's configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    pub(super) binary_name: Option<String>,
    pub(super) root: Option<String>,
    pub(super) systemd_cgroup: bool,
    pub(super) no_pivot_root: bool,
    pub(super) no_new_keyring: bool,
    pub(super) shim_cgroup: Option<String>,
    pub(super) io_uid: u32,
    pub(super) io_gid: u32,
    pub(super) criu_path: Option<String>,
    pub(super) criu_work_path: Option<String>,
    /// containerd's own: it comes as the checkpoint of a `Create`.
    #[serde(rename = "CriuImagePath")]
    pub(super) _criu_image_path: IgnoredAny,
    /// Fields of the message, which stand among the options in containerd's configuration.
    #[serde(rename = "TypeUrl")]
    pub(super) _type_url: IgnoredAny,
    #[serde(rename = "ConfigPath")]
    pub(super) _config_path: IgnoredAny,
}

impl Named {
    /// Reads them from the bytes of a message.
    ///
    /// # Errors
    /// The file cannot be read; no TOML; an option with an unknown name.
    pub(super) fn read(bytes: &[u8]) -> anyhow::Result<Self> {
        // No crate has the message; as fields of one without any, its own are found all the same.
        let fields = Empty::parse_from_bytes(bytes).context("read the runtime's options")?;
        let field = |number| match fields.special_fields.unknown_fields().get(number) {
            Some(UnknownValueRef::LengthDelimited(bytes)) if !bytes.is_empty() => Some(bytes),
            _ => None,
        };
        let text = match (field(CONFIG_BODY), field(CONFIG_PATH)) {
            (Some(body), _) => String::from_utf8(body.to_vec()).context("read the options")?,
            (None, Some(path)) => {
                read_file(std::str::from_utf8(path).context("read the options")?)?
            }
            (None, None) => return Ok(Self::default()),
        };
        toml::from_str(&text).context("read the runtime's options")
    }
}

fn read_file(path: &str) -> anyhow::Result<String> {
    if !path.starts_with('/') {
        bail!("the path of the runtime's options is not absolute: {path}");
    }
    fs::read_to_string(path).with_context(|| format!("read the runtime's options in {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u32, value: &str) -> Vec<u8> {
        let mut message = Empty::new();
        let fields = message.special_fields.mut_unknown_fields();
        fields.add_length_delimited(1, b"io.containerd.tare.v2.options".to_vec());
        fields.add_length_delimited(number, value.as_bytes().to_vec());
        message.write_to_bytes().unwrap()
    }

    #[test]
    fn options_in_the_message() {
        let body = "BinaryName = 'crun'\nSystemdCgroup = true\nIoUid = 7\nCriuImagePath = ''\n";
        let named = Named::read(&message(CONFIG_BODY, body)).unwrap();
        assert_eq!(named.binary_name.as_deref(), Some("crun"));
        assert!(named.systemd_cgroup && !named.no_pivot_root);
        assert_eq!((named.io_uid, named.root), (7, None));
        assert!(!Named::read(&[]).unwrap().systemd_cgroup);
    }

    #[test]
    fn options_in_a_file() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("options.toml");
        fs::write(&file, "Root = '/run/x'\n").unwrap();
        let named = Named::read(&message(CONFIG_PATH, file.to_str().unwrap())).unwrap();
        assert_eq!(named.root.as_deref(), Some("/run/x"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (number, text, word) in [
            (CONFIG_BODY, "Sytemd = true", "Sytemd"),
            (CONFIG_BODY, "SystemdCgroup = 'yes'", "SystemdCgroup"),
            (CONFIG_PATH, "/no/such/file", "/no/such/file"),
            (CONFIG_PATH, "relative", "relative"),
        ] {
            let error = Named::read(&message(number, text)).unwrap_err();
            assert!(format!("{error:#}").contains(word), "{error:#}");
        }
    }
}
