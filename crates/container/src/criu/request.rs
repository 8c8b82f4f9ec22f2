//! What is asked of criu and what it answers: the messages of its `rpc.proto`, each field by the number
//! that it has there.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::wire::{Message, Value, fields};

/// `criu_req_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Dump = 1,
    Restore = 2,
    PreDump = 4,
    Notify = 6,
    FeatureCheck = 9,
    Version = 10,
}

impl Kind {
    /// Its name in `rpc.proto`.
    pub(crate) fn name(number: u64) -> String {
        let names = [(1, "DUMP"), (2, "RESTORE"), (4, "PRE_DUMP"), (6, "NOTIFY")];
        let more = [(0, "EMPTY"), (9, "FEATURE_CHECK"), (10, "VERSION")];
        let known = names.into_iter().chain(more).find(|&(known, _)| known == number);
        known.map_or(number.to_string(), |(_, name)| name.to_owned())
    }
}

/// Field numbers of `criu_opts`.
pub(crate) mod field {
    pub(crate) const IMAGES_DIR_FD: u32 = 1;
    pub(crate) const PID: u32 = 2;
    pub(crate) const LEAVE_RUNNING: u32 = 3;
    pub(crate) const EXT_UNIX_SK: u32 = 4;
    pub(crate) const TCP_ESTABLISHED: u32 = 5;
    pub(crate) const EVASIVE_DEVICES: u32 = 6;
    pub(crate) const SHELL_JOB: u32 = 7;
    pub(crate) const FILE_LOCKS: u32 = 8;
    pub(crate) const LOG_LEVEL: u32 = 9;
    pub(crate) const LOG_FILE: u32 = 10;
    pub(crate) const PAGE_SERVER: u32 = 11;
    pub(crate) const NOTIFY_SCRIPTS: u32 = 12;
    pub(crate) const ROOT: u32 = 13;
    pub(crate) const PARENT_IMG: u32 = 14;
    pub(crate) const TRACK_MEM: u32 = 15;
    pub(crate) const AUTO_DEDUP: u32 = 16;
    pub(crate) const WORK_DIR_FD: u32 = 17;
    pub(crate) const LINK_REMAP: u32 = 18;
    pub(crate) const EXT_MNT: u32 = 23;
    pub(crate) const MANAGE_CGROUPS: u32 = 24;
    pub(crate) const CG_ROOT: u32 = 25;
    pub(crate) const RST_SIBLING: u32 = 26;
    pub(crate) const INHERIT_FD: u32 = 27;
    pub(crate) const MANAGE_CGROUPS_MODE: u32 = 34;
    pub(crate) const EXTERNAL: u32 = 37;
    pub(crate) const EMPTY_NS: u32 = 38;
    pub(crate) const JOIN_NS: u32 = 39;
    pub(crate) const FREEZE_CGROUP: u32 = 44;
    pub(crate) const TCP_SKIP_IN_FLIGHT: u32 = 46;
    pub(crate) const LAZY_PAGES: u32 = 48;
    pub(crate) const STATUS_FD: u32 = 49;
    pub(crate) const ORPHAN_PTS_MASTER: u32 = 50;
    pub(crate) const CONFIG_FILE: u32 = 51;
    pub(crate) const LSM_PROFILE: u32 = 53;
    pub(crate) const LSM_MOUNT_CONTEXT: u32 = 63;
}

/// `criu_opts`: the options of a dump or a restore.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options(Message);

impl Options {
    pub(crate) fn flag(&mut self, field: u32, value: bool) -> &mut Self {
        self.0.flag(field, value);
        self
    }

    pub(crate) fn number(&mut self, field: u32, value: u32) -> &mut Self {
        self.0.number(field, value);
        self
    }

    pub(crate) fn text(&mut self, field: u32, value: &str) -> &mut Self {
        self.0.text(field, value);
        self
    }

    pub(crate) fn path(&mut self, field: u32, value: &Path) -> &mut Self {
        self.0.text(field, value.as_os_str().as_bytes());
        self
    }

    /// A descriptor of ours, which criu opens through `/proc/<pid>/fd`.
    pub(crate) fn descriptor(&mut self, field: u32, value: BorrowedFd<'_>) -> &mut Self {
        self.0.signed(field, value.as_raw_fd());
        self
    }

    /// Two texts, as `ext_mount_map`, `join_namespace` and `cgroup_root` have them.
    pub(crate) fn pair(&mut self, field: u32, one: &Path, other: &Path) -> &mut Self {
        let mut pair = Message::default();
        pair.text(1, one.as_os_str().as_bytes()).text(2, other.as_os_str().as_bytes());
        self.0.message(field, &pair);
        self
    }

    /// A descriptor that criu got from us, to be taken for what `key` names in the image.
    pub(crate) fn inherit(&mut self, key: &str, number: i32) -> &mut Self {
        let mut inherit = Message::default();
        inherit.text(1, key).signed(2, number);
        self.0.message(field::INHERIT_FD, &inherit);
        self
    }

    pub(crate) fn page_server(&mut self, address: &str, port: u16) -> &mut Self {
        let mut server = Message::default();
        server.text(1, address).signed(2, port.into());
        self.0.message(field::PAGE_SERVER, &server);
        self
    }
}

/// `criu_req` with options.
pub(crate) fn request(kind: Kind, options: Option<&Options>) -> Message {
    let mut message = Message::default();
    message.number(1, kind as u32);
    if let Some(options) = options {
        message.message(2, &options.0);
    }
    message
}

/// `criu_req` that answers a notification.
pub(crate) fn answer(success: bool) -> Message {
    let mut message = request(Kind::Notify, None);
    message.flag(3, success);
    message
}

/// What a kernel must have, by its field of `criu_features`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Tracking of changed pages, for `--pre-dump`.
    MemTrack = 1,
    /// Pages fetched when they are touched, for `--lazy-pages`.
    LazyPages = 2,
}

/// `criu_req` that asks for a feature.
pub(crate) fn feature_check(feature: Feature) -> Message {
    let mut features = Message::default();
    features.flag(feature as u32, true);
    let mut message = request(Kind::FeatureCheck, None);
    message.message(5, &features);
    message
}

/// `criu_resp`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    /// `criu_req_type`; may be one that we do not know.
    pub(crate) kind: u64,
    pub(crate) success: bool,
    /// What happens in the dump or restore, for a notification.
    pub(crate) script: String,
    /// The restored first process as we number it.
    pub(crate) pid: i32,
    pub(crate) errno: i32,
    pub(crate) message: Option<String>,
    /// Numbers of `criu_features` that are there.
    pub(crate) features: Vec<u32>,
    /// As 31701 for 3.17.1.
    pub(crate) version: u32,
}

impl Response {
    /// None when it is not a whole message.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut response = Self::default();
        for (number, value) in fields(bytes)? {
            match (number, value) {
                (1, Value::Number(kind)) => response.kind = kind,
                (2, Value::Number(success)) => response.success = success != 0,
                (4, Value::Bytes(restored)) => {
                    response.pid = number_of(restored, 1)?.unwrap_or(0) as i32;
                }
                (5, Value::Bytes(notify)) => response.notify(notify)?,
                (7, Value::Number(errno)) => response.errno = errno as i32,
                (8, Value::Bytes(features)) => {
                    let there = fields(features)?.into_iter();
                    let there = there.filter(|(_, value)| *value == Value::Number(1));
                    response.features = there.map(|(number, _)| number).collect();
                }
                (9, Value::Bytes(text)) => response.message = Some(text_of(text)),
                (10, Value::Bytes(version)) => response.version = version_of(version)?,
                _ => {}
            }
        }
        Some(response)
    }

    fn notify(&mut self, bytes: &[u8]) -> Option<()> {
        for (number, value) in fields(bytes)? {
            match (number, value) {
                (1, Value::Bytes(script)) => self.script = text_of(script),
                (2, Value::Number(pid)) => self.pid = pid as i32,
                _ => {}
            }
        }
        Some(())
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

fn number_of(bytes: &[u8], wanted: u32) -> Option<Option<u64>> {
    let found = fields(bytes)?.into_iter().find_map(|(number, value)| match value {
        Value::Number(value) if number == wanted => Some(value),
        _ => None,
    });
    Some(found)
}

/// A build from git counts as the version that it will be.
fn version_of(bytes: &[u8]) -> Option<u32> {
    let part = |number| number_of(bytes, number).map(|part| part.unwrap_or(0) as u32);
    let (major, minor, sublevel) = (part(1)?, part(2)?, part(4)?);
    let from_git = fields(bytes)?.iter().any(|(number, _)| *number == 3);
    let version = major * 10_000 + minor * 100 + sublevel;
    Some(if from_git { version - version % 100 + 100 } else { version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_notification() {
        let mut notify = Message::default();
        notify.text(1, "post-restore").signed(2, 4711);
        let mut message = Message::default();
        message.number(1, 6).flag(2, true).message(5, &notify);
        let response = Response::parse(message.bytes()).unwrap();
        assert!(response.success);
        assert_eq!((response.script.as_str(), response.pid), ("post-restore", 4711));
        assert_eq!(Kind::name(response.kind), "NOTIFY");
    }

    #[test]
    fn reads_a_failure_and_a_version() {
        let mut version = Message::default();
        version.signed(1, 4).signed(2, 2).signed(4, 1);
        let mut message = Message::default();
        message.number(1, 1).flag(2, false).signed(7, -22).text(9, "no\n").message(10, &version);
        let response = Response::parse(message.bytes()).unwrap();
        assert_eq!((response.errno, response.message.as_deref()), (-22, Some("no")));
        assert_eq!(response.version, 40201);
    }
}
