//! Tables on standard output: a head, left-aligned columns, no lines.

use std::io::{self, Write as _};

use crate::Out;

/// Rows under a head. Columns are as wide as their widest cell, three spaces apart, as docker's are.
#[derive(Clone, Debug)]
pub struct Table {
    columns: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with the names of its columns.
    pub fn new<const N: usize>(head: [&str; N]) -> Self {
        Self::with_columns(head.map(str::to_owned).into())
    }

    /// As [`Table::new`], where the columns depend on flags.
    pub fn with_columns(head: Vec<String>) -> Self {
        Self { columns: head.len(), rows: vec![head] }
    }

    /// Adds a row; missing cells are empty, and those without a column are dropped.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().take(self.columns).collect();
        row.resize(self.columns, String::new());
        self.rows.push(row);
    }

    /// The table as text. Control characters in cells become `?`: cells come from images, and a
    /// terminal would obey them.
    pub fn render(&self) -> String {
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..self.columns).filter_map(width).collect();
        rows.iter().map(|row| line(row, &widths)).collect()
    }

    /// Prints the table.
    ///
    /// # Errors
    /// Where standard output cannot be written.
    pub fn print(&self) -> io::Result<()> {
        let mut out = Out::new();
        out.write_all(self.render().as_bytes())?;
        out.finish()
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> =
        row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    format!("{}\n", cells.join("   ").trim_end())
}

fn printable(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_tail() {
        let mut table = Table::new(["NAME", "SIZE"]);
        table.row(["debian".to_owned(), "1MB".to_owned()]);
        table.row(["a\x1b[31m".to_owned()]);
        assert_eq!(table.render(), "NAME     SIZE\ndebian   1MB\na?[31m\n");
    }
}
