//! The layers as they are listed.

use crate::look::Opened;

/// One layer.
#[derive(Debug)]
pub(super) struct Line {
    /// Bytes of the layer's files.
    pub(super) size: u64,
    /// How many entries it has.
    pub(super) entries: usize,
    /// The digest of its tar.
    pub(super) diff_id: String,
    /// The digest of its blob.
    pub(super) blob: String,
    /// The instruction that made it, on one line.
    pub(super) command: String,
}

impl Line {
    /// The layers of an image, lowest first.
    pub(super) fn all(opened: &Opened) -> Vec<Self> {
        let blobs = opened.image.layers();
        let line = |(index, (blob, diff_id)): (usize, &(image::Descriptor, image::DiffId))| {
            let changeset = &opened.layers.all()[index].changeset;
            let command = opened.instruction(index);
            Self {
                size: changeset.content_size(),
                entries: changeset.len(),
                diff_id: diff_id.to_string(),
                blob: blob.digest().to_string(),
                command: command.split_whitespace().collect::<Vec<_>>().join(" "),
            }
        };
        blobs.iter().enumerate().map(line).collect()
    }
}
