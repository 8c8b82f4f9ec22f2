//! Files that need not be there.

use std::io::{self, ErrorKind};
use std::path::Path;

/// What a file has in it; `None` where there is none.
///
/// # Errors
/// It is there, and cannot be read.
pub(crate) fn read_optional(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        read => read.map(Some),
    }
}
