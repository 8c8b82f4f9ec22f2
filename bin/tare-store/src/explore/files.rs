//! The files part: which rows of a listing are visible, and where the cursor is.

use std::collections::HashSet;

use tree::{ChangeKind, LayerPath};

use crate::look::listing::{Listing, Row};

/// What decides which files are shown, whatever the layer.
#[derive(Debug)]
pub(super) struct Choice {
    /// Directories whose files are not shown.
    pub(super) collapsed: HashSet<LayerPath>,
    /// A part of the path; empty for all. Without capital letters those do not matter.
    pub(super) filter: String,
    /// Whether added, changed, deleted and same files are shown.
    pub(super) kinds: [bool; 4],
}

impl Default for Choice {
    fn default() -> Self {
        Self { collapsed: HashSet::new(), filter: String::new(), kinds: [true; 4] }
    }
}

impl Choice {
    /// Where in [`Choice::kinds`] a kind is.
    pub(super) fn kind(change: Option<ChangeKind>) -> usize {
        match change {
            Some(ChangeKind::Added) => 0,
            Some(ChangeKind::Modified) => 1,
            Some(ChangeKind::Removed) => 2,
            None => 3,
        }
    }

    fn wants(&self, row: &Row) -> bool {
        self.kinds[Self::kind(row.change)] && self.matches(row)
    }

    fn matches(&self, row: &Row) -> bool {
        if self.filter.is_empty() {
            return true;
        }
        let path = row.path.to_string();
        if self.filter.chars().any(char::is_uppercase) {
            path.contains(&self.filter)
        } else {
            path.to_lowercase().contains(&self.filter)
        }
    }
}

/// The rows that are visible, by their place in the listing, and the one that is chosen.
#[derive(Debug, Default)]
pub(super) struct Visible {
    rows: Vec<usize>,
    cursor: usize,
}

impl Visible {
    /// The rows that a choice leaves, with the directories that lead to them. The cursor stays at its
    /// path, or where that was.
    pub(super) fn of(
        listing: &Listing,
        choice: &Choice,
        at: Option<&LayerPath>,
        near: usize,
    ) -> Self {
        let shown = shown(&listing.rows, choice);
        let mut rows = Vec::new();
        let mut index = 1; // Not the root: everything is below it.
        while let Some(row) = listing.rows.get(index) {
            let closed = choice.collapsed.contains(&row.path) && choice.filter.is_empty();
            if shown[index] {
                rows.push(index);
            }
            index += if closed || !shown[index] { row.below + 1 } else { 1 };
        }
        let same = at.and_then(|at| rows.iter().position(|&row| listing.rows[row].path == *at));
        let cursor = same.unwrap_or(near).min(rows.len().saturating_sub(1));
        Self { rows, cursor }
    }

    /// Indices into the listing.
    pub(super) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// The chosen row's place among the visible.
    pub(super) fn cursor(&self) -> usize {
        self.cursor
    }

    /// The chosen row's place in the listing.
    pub(super) fn chosen(&self) -> Option<usize> {
        self.rows.get(self.cursor).copied()
    }

    /// Goes so many rows down, or up, and not beyond the ends.
    pub(super) fn go(&mut self, by: isize) {
        let last = self.rows.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(by).min(last);
    }
}

/// Whether each row is wanted or has one below it that is.
fn shown(rows: &[Row], choice: &Choice) -> Vec<bool> {
    let mut shown = vec![false; rows.len()];
    let mut next = usize::MAX; // The nearest shown row after this one.
    for (index, row) in rows.iter().enumerate().rev() {
        if choice.wants(row) || next <= index + row.below {
            shown[index] = true;
            next = index;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use tree::{Change, Changeset, Entry, EntryKind, Metadata, Tree};

    use super::*;

    fn listing() -> Listing {
        let path = |path: &str| LayerPath::new(path).unwrap();
        let entry = |&(name, kind): &(&str, &EntryKind)| Entry {
            path: path(name),
            kind: kind.clone(),
            metadata: Metadata::default(),
        };
        let (dir, file) = (&EntryKind::Directory, &EntryKind::Fifo);
        let before: Vec<_> =
            [("a", dir), ("a/b", dir), ("a/b/one", file), ("a/two", file), ("gone", file)]
                .iter()
                .map(entry)
                .collect();
        let after: Vec<_> =
            [("gone", &EntryKind::Whiteout), ("new", file)].iter().map(entry).collect();
        let before = Changeset::from(before);
        let old = Tree::fold([&before]).unwrap();
        let new = Tree::fold([&before, &Changeset::from(after)]).unwrap();
        let changes: Vec<Change> = old.diff(&new);
        Listing::between(old, new, changes)
    }

    fn names(listing: &Listing, choice: &Choice) -> String {
        let visible = Visible::of(listing, choice, None, 0);
        let names = visible.rows().iter().map(|&row| listing.rows[row].path.to_string());
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rows_are_those_of_the_tree_and_those_that_went() {
        let listing = listing();
        assert_eq!(names(&listing, &Choice::default()), "/a /a/b /a/b/one /a/two /gone /new");
        let below: Vec<_> = listing.rows.iter().map(|row| row.below).collect();
        assert_eq!(below, [6, 3, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_collapsed_directory_hides_what_is_in_it() {
        let listing = listing();
        let mut choice = Choice::default();
        choice.collapsed.insert(LayerPath::new("a/b").unwrap());
        assert_eq!(names(&listing, &choice), "/a /a/b /a/two /gone /new");
        choice.collapsed.insert(LayerPath::new("a").unwrap());
        assert_eq!(names(&listing, &choice), "/a /gone /new");
        // A filter looks into them.
        choice.filter = "b/one".to_owned();
        assert_eq!(names(&listing, &choice), "/a /a/b /a/b/one");
    }

    #[test]
    fn kinds_can_be_left_out() {
        let listing = listing();
        let only = |kinds| names(&listing, &Choice { kinds, ..Choice::default() });
        assert_eq!(only([true, false, false, false]), "/new");
        assert_eq!(only([false, false, true, false]), "/gone");
        assert_eq!(only([false, true, false, false]), "");
        assert_eq!(only([false; 4]), "");
    }

    #[test]
    fn capital_letters_in_a_filter_matter() {
        let listing = listing();
        let with = |filter: &str| {
            names(&listing, &Choice { filter: filter.to_owned(), ..Choice::default() })
        };
        assert_eq!(with("TWO"), "");
        assert_eq!(with("two"), "/a /a/two");
    }

    #[test]
    fn the_cursor_stays_at_its_path() {
        let listing = listing();
        let mut visible = Visible::of(&listing, &Choice::default(), None, 0);
        visible.go(5);
        let path = listing.rows[visible.chosen().unwrap()].path.clone();
        let choice = Choice { kinds: [true, false, false, false], ..Choice::default() };
        let again = Visible::of(&listing, &choice, Some(&path), visible.cursor());
        assert_eq!((again.cursor(), again.rows().len()), (0, 1));
        visible.go(-100);
        assert_eq!(visible.cursor(), 0);
        visible.go(100);
        assert_eq!(visible.cursor(), 5);
    }
}
