//! A file as it is shown: in the columns of a list, and as JSON.

use serde::Serialize;
use tree::{LayerPath, Node, NodeKind, Timestamp};

use super::names::printable;

/// A file as `--json` shows it.
///
/// ```json
/// {"path": "/etc/motd", "type": "file", "mode": "0644", "uid": 0, "gid": 0, "size": 8,
///  "mtime": "2026-01-31T10:20:30Z", "layer": 1}
/// ```
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    /// The path, from the root; bytes that are no UTF-8 are replaced.
    pub(crate) path: String,
    r#type: &'static str,
    /// Permission, set-id and sticky bits, octal.
    mode: String,
    uid: u32,
    gid: u32,
    /// Bytes of a file; of a directory the sum of what is in it, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    mtime: String,
    /// The target of a symbolic link.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// The numbers of a device, `MAJOR:MINOR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// The layer that has a file's bytes, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    layer: Option<u32>,
}

impl Shown {
    pub(crate) fn new(path: &LayerPath, node: &Node, size: Option<u64>) -> Self {
        let metadata = &node.metadata;
        Self {
            path: path.to_string(),
            r#type: kind(node),
            mode: format!("{:04o}", metadata.mode),
            uid: metadata.uid,
            gid: metadata.gid,
            size: size.or_else(|| file_size(node)),
            mtime: time(metadata.mtime),
            target: match &node.kind {
                NodeKind::Symlink(target) => Some(String::from_utf8_lossy(target).into_owned()),
                _ => None,
            },
            device: device(node),
            layer: match node.kind {
                NodeKind::File { layer, .. } => Some(layer + 1),
                _ => None,
            },
        }
    }
}

/// The apparent size of a regular file, in bytes.
pub(crate) fn file_size(node: &Node) -> Option<u64> {
    match &node.kind {
        NodeKind::File { content, .. } => Some(content.size),
        _ => None,
    }
}

/// `-rw-r--r--`, as ls(1) has it.
pub(crate) fn permissions(node: &Node) -> String {
    let mode = node.metadata.mode;
    let mut text = String::with_capacity(10);
    text.push(match node.kind {
        NodeKind::Directory(_) => 'd',
        NodeKind::File { .. } => '-',
        NodeKind::Symlink(_) => 'l',
        NodeKind::CharDevice(_) => 'c',
        NodeKind::BlockDevice(_) => 'b',
        NodeKind::Fifo => 'p',
    });
    let classes = [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')];
    for (shift, special, both, alone) in classes {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => both,
            (false, true) => alone,
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// What stands behind a name: the target of a link, the numbers of a device.
pub(crate) fn tail(node: &Node) -> String {
    match &node.kind {
        NodeKind::Symlink(target) => format!(" -> {}", printable(target)),
        _ => device(node).map_or_else(String::new, |numbers| format!(" ({numbers})")),
    }
}

fn kind(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Directory(_) => "directory",
        NodeKind::File { .. } => "file",
        NodeKind::Symlink(_) => "symlink",
        NodeKind::CharDevice(_) => "char-device",
        NodeKind::BlockDevice(_) => "block-device",
        NodeKind::Fifo => "fifo",
    }
}

fn device(node: &Node) -> Option<String> {
    match node.kind {
        NodeKind::CharDevice(device) | NodeKind::BlockDevice(device) => {
            Some(format!("{}:{}", device.major, device.minor))
        }
        _ => None,
    }
}

/// RFC 3339; a time that it has no form for as seconds since 1970.
pub(crate) fn time(at: Timestamp) -> String {
    let since = u64::try_from(at.seconds)
        .ok()
        .map(|seconds| std::time::Duration::new(seconds, at.nanoseconds))
        .and_then(|since| std::time::SystemTime::UNIX_EPOCH.checked_add(since));
    match since {
        // The last second of the year 9999.
        Some(time) if at.seconds < 253_402_300_800 => cli::rfc3339(time),
        _ => at.seconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tree::Metadata;

    use super::*;

    #[test]
    fn permissions_are_those_of_ls() {
        for (mode, want) in [
            (0o644, "prw-r--r--"),
            (0o4755, "prwsr-xr-x"),
            (0o6644, "prwSr-Sr--"),
            (0o1777, "prwxrwxrwt"),
            (0o1000, "p--------T"),
        ] {
            let metadata = Metadata { mode, ..Metadata::default() };
            assert_eq!(permissions(&Node { metadata, kind: NodeKind::Fifo, links: 1 }), want);
        }
    }

    #[test]
    fn impossible_times_are_numbers() {
        let at = |seconds| time(Timestamp { seconds, nanoseconds: 0 });
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(-5), "-5");
        assert_eq!(at(i64::MAX), i64::MAX.to_string());
    }
}
