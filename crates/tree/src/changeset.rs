//! What one layer changes: its entries, in the order of its tar.

use crate::{Entry, EntryKind};

/// The entries of one layer, in the order of its tar (OCI image-spec, layer.md).
///
/// A changeset says all that a layer's tar says except the files' bytes, and for those it says where
/// in the tar they are. The order matters: where a path comes twice, the later entry wins, and a hard
/// link's target comes before the link.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Changeset {
    entries: Vec<Entry>,
}

impl Changeset {
    /// The entries, in the order of the tar.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the layer changes nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The sum of the apparent sizes of all files, in bytes.
    pub fn content_size(&self) -> u64 {
        self.entries.iter().fold(0, |sum, entry| match &entry.kind {
            EntryKind::File(content) => sum.saturating_add(content.size),
            _ => sum,
        })
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }
}

/// Takes the entries as they are. What no layer may have is refused when the changeset is decoded
/// or written, or when it is applied.
impl From<Vec<Entry>> for Changeset {
    fn from(entries: Vec<Entry>) -> Self {
        Self { entries }
    }
}
