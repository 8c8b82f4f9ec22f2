//! The files that a copy reads, compactly: what tells one version of a file from another.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tree::{Metadata, Xattrs};

use super::{Change, Reason};
use crate::copy::Piece;
use crate::source::{Item, ItemKind};

/// So many files an explanation names.
const NAMED: usize = 100;

/// Files by path, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Table(Vec<Row>);

/// A file: path, kind, mode, owner, extended attributes, content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Row(String, char, u16, (u32, u32), String, String);

impl Table {
    /// The files of a copy, whose digests are known.
    pub(crate) fn of(pieces: &[Piece]) -> Self {
        let rows = pieces.iter().flat_map(|piece| {
            let inside = piece.items.iter().filter(|it| !(piece.directory && it.path.is_root()));
            inside.map(|item| Row::of(piece, item))
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort_unstable();
        rows.dedup_by(|one, other| one.0 == other.0);
        Self(rows)
    }

    /// How these files differ from those of an earlier build.
    pub(crate) fn against(&self, was: &Self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let mut count = 0;
        let mut differ = |path: &str, change: Change| {
            count += 1;
            if count <= NAMED {
                reasons.push(Reason::File { path: path.to_owned(), change });
            }
        };
        let mut earlier = was.0.iter().peekable();
        for row in &self.0 {
            while let Some(gone) = earlier.next_if(|earlier| earlier.0 < row.0) {
                differ(&gone.0, Change::Removed);
            }
            match earlier.next_if(|earlier| earlier.0 == row.0) {
                None => differ(&row.0, Change::Added),
                Some(was) => row.changes(was).into_iter().for_each(|it| differ(&row.0, it)),
            }
        }
        earlier.for_each(|gone| differ(&gone.0, Change::Removed));
        if count > NAMED {
            reasons.push(Reason::MoreFiles { count: count - NAMED });
        }
        reasons
    }
}

impl Row {
    fn of(piece: &Piece, item: &Item) -> Self {
        let Metadata { mode, uid, gid, mtime: _, xattrs } = &item.metadata;
        let (kind, content) = content(&item.kind);
        Self(path(piece, item), kind, *mode, (*uid, *gid), attributes(xattrs), content)
    }

    fn changes(&self, was: &Self) -> Option<Change> {
        let Self(_, kind, mode, owner, attributes, content) = self;
        if *kind != was.1 {
            return Some(Change::Kind);
        }
        if *content != was.5 {
            return Some(Change::Changed);
        }
        if *mode != was.2 {
            return Some(Change::Mode {
                now: format!("{mode:04o}"),
                was: format!("{:04o}", was.2),
            });
        }
        if *owner != was.3 {
            let text = |(uid, gid): (u32, u32)| format!("{uid}:{gid}");
            return Some(Change::Owner { now: text(*owner), was: text(was.3) });
        }
        (*attributes != was.4).then_some(Change::Attributes)
    }
}

/// The path as one would name it from the root of what is copied from.
fn path(piece: &Piece, item: &Item) -> String {
    let inside = String::from_utf8_lossy(item.path.as_bytes());
    let top = match (piece.top.is_root(), item.path.is_root()) {
        (true, true) => String::from_utf8_lossy(&piece.name),
        (true, false) => return inside.into_owned(),
        (false, _) => String::from_utf8_lossy(piece.top.as_bytes()),
    };
    if item.path.is_root() { top.into_owned() } else { format!("{top}/{inside}") }
}

fn content(kind: &ItemKind) -> (char, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match kind {
        ItemKind::Directory => ('d', String::new()),
        ItemKind::File(file) => ('f', file.digest.get().map(|it| hex(it)).unwrap_or_default()),
        ItemKind::Symlink(target) => ('l', text(target)),
        ItemKind::HardLink(to) => ('h', text(to.as_bytes())),
        ItemKind::CharDevice(device) => ('c', format!("{}:{}", device.major, device.minor)),
        ItemKind::BlockDevice(device) => ('b', format!("{}:{}", device.major, device.minor)),
        ItemKind::Fifo => ('p', String::new()),
    }
}

fn attributes(xattrs: &Xattrs) -> String {
    if xattrs.is_empty() {
        return String::new();
    }
    let mut hash = Sha256::new();
    for (name, value) in xattrs {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((value.len() as u64).to_le_bytes());
        hash.update(value);
    }
    hex(&hash.finalize())
}

/// The first 64 bits: enough to tell two versions of one file apart.
fn hex(digest: &[u8]) -> String {
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, content: &str) -> Row {
        Row(path.into(), 'f', 0o644, (0, 0), String::new(), content.into())
    }

    #[test]
    fn one_difference_a_file() {
        let was = Table(vec![row("a", "1"), row("b", "1"), row("c", "1"), row("e", "1")]);
        let with_mode = Row("c".into(), 'f', 0o755, (0, 0), String::new(), "1".into());
        let now = Table(vec![row("b", "2"), with_mode, row("d", "1"), row("e", "1")]);
        let file = |path: &str, change| Reason::File { path: path.into(), change };
        let mode = Change::Mode { now: "0755".into(), was: "0644".into() };
        let want = [
            file("a", Change::Removed),
            file("b", Change::Changed),
            file("c", mode),
            file("d", Change::Added),
        ];
        assert_eq!(now.against(&was), want);
        assert_eq!(now.against(&now), []);
    }

    #[test]
    fn a_line_stays_a_line() {
        let now = Table((0..250).map(|number| row(&format!("{number:03}"), "1")).collect());
        let reasons = now.against(&Table::default());
        assert_eq!(reasons.len(), NAMED + 1);
        let line = super::super::Explanation::line(&reasons);
        assert_eq!(line, "000 added, 001 added, 002 added and 247 more");
    }
}
