//! How rows of a tree hang on each other, as text.

use super::listing::Row;

/// The lines that hang the rows on each other.
#[derive(Debug)]
pub(crate) struct Branches {
    /// Of each row its depth below the first, and whether it is the last in its directory.
    rows: Vec<(usize, bool)>,
    /// Whether the directory at each depth goes on below the row.
    open: Vec<bool>,
}

impl Branches {
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = &'a Row>, start: usize) -> Self {
        let depth = |row: &Row| row.path.components().count() - start;
        let mut rows: Vec<_> = rows.into_iter().map(|row| (depth(row), false)).collect();
        // From the end: a row is the last where none of its depth came since its parent.
        let mut seen: Vec<bool> = Vec::new();
        for (depth, last) in rows.iter_mut().rev() {
            seen.resize((*depth + 1).max(seen.len()), false);
            *last = !seen[*depth];
            seen[*depth] = true;
            seen.truncate(*depth + 1);
        }
        Self { rows, open: Vec::new() }
    }

    /// Goes over the row `index`; rows are gone over in their order.
    pub(crate) fn pass(&mut self, index: usize) {
        let (depth, last) = self.rows[index];
        self.open.resize(depth + 1, false);
        self.open[depth] = !last;
    }

    /// Goes over the row `index`; what stands before its name.
    pub(crate) fn before(&mut self, index: usize) -> String {
        self.pass(index);
        let (depth, last) = self.rows[index];
        let mut text = String::with_capacity(depth * 8);
        for level in 1..depth {
            text.push_str(if self.open[level] { "│   " } else { "    " });
        }
        if depth > 0 {
            text.push_str(if last { "└── " } else { "├── " });
        }
        text
    }
}
