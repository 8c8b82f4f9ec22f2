//! What happened to a file, as text.

use tree::ChangeKind;

/// As JSON has it.
pub(crate) fn change_name(change: ChangeKind) -> &'static str {
    match change {
        ChangeKind::Added => "added",
        ChangeKind::Modified => "modified",
        ChangeKind::Removed => "removed",
    }
}

/// docker diff's letters.
pub(crate) fn change_letter(change: ChangeKind) -> char {
    match change {
        ChangeKind::Added => 'A',
        ChangeKind::Modified => 'C',
        ChangeKind::Removed => 'D',
    }
}
