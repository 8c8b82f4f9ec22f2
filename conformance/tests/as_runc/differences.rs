//! Where tare-runtime is different on purpose.
//!
//! `differences` has a block for each row that differs: `== ROW`, `runc VERSION` when it is one runc that
//! does otherwise (from 1.2 on: that and later ones), `why …`, and the lines of the difference as the test prints them.

use crate::cases::Case;
use crate::engine::{Engine, Version};

const LIST: &str = include_str!("differences");
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const BEGIN: &str = "<!-- as-runc -->\n";
const END: &str = "<!-- /as-runc -->";

#[derive(Debug, Default)]
struct Difference {
    row: String,
    /// The runc that it is of; each when empty.
    runc: String,
    why: String,
    lines: Vec<String>,
}

/// The list.
pub(crate) struct Differences(Vec<Difference>);

impl Differences {
    pub(crate) fn read() -> Self {
        let mut list: Vec<Difference> = Vec::new();
        for line in LIST.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            if let Some(row) = line.strip_prefix("== ") {
                list.push(Difference { row: row.to_owned(), ..Difference::default() });
                continue;
            }
            let block = list.last_mut().expect("a block begins with its row");
            match line.split_once(' ').unwrap_or((line, "")) {
                ("runc", _) => block.runc = line.to_owned(),
                ("why", why) => block.why = why.to_owned(),
                ("<" | ">", _) => block.lines.push(line.to_owned()),
                _ => panic!("differences: a line of no kind: {line}"),
            }
        }
        Self(list)
    }

    /// The lines that are to differ, of a row and a runc.
    pub(crate) fn of(&self, row: &str, runc: &Engine) -> Vec<String> {
        let of_row = self.0.iter().filter(|it| it.row == row);
        let of_runc = of_row.filter(|it| it.runc.is_empty() || is_of(&it.runc, runc));
        of_runc.flat_map(|it| it.lines.clone()).collect()
    }
}

/// Whether what is listed for a runc is of this one: for the newest it holds of later ones too.
fn is_of(listed: &str, runc: &Engine) -> bool {
    let version: Option<Version> =
        listed.strip_prefix("runc ").and_then(|number| number.parse().ok());
    let oldest_new = Version(1, 2);
    listed == runc.name
        || version.is_some_and(|listed| listed >= oldest_new && runc.version > listed)
}

/// Listed rows that are not in the table, and blocks without a reason or a difference.
pub(crate) fn unknown(cases: &[Case]) -> Vec<String> {
    let empty = |it: &Difference| it.why.is_empty() || it.lines.is_empty();
    let unknown = |it: &Difference| !cases.iter().any(|case| case.name == it.row);
    let list = Differences::read().0;
    let wrong = list.iter().filter(|it| empty(it) || unknown(it));
    wrong
        .map(|it| format!("differences: {:?} is no row, or the block is not whole", it.row))
        .collect()
}

/// The README tells what is listed. `TARE_UPDATE=1` writes it.
pub(crate) fn check_readme() {
    let text = std::fs::read_to_string(README).expect("the README can be read");
    let (head, rest) = text.split_once(BEGIN).expect("the README has the mark");
    let (told, tail) = rest.split_once(END).expect("the README has the mark's end");
    let wanted = render(&Differences::read().0);
    if told != wanted && std::env::var_os("TARE_UPDATE").is_some() {
        let text = format!("{head}{BEGIN}{wanted}{END}{tail}");
        return std::fs::write(README, text).expect("the README can be written");
    }
    assert_eq!(told, wanted, "TARE_UPDATE=1 writes conformance/README.md anew");
}

/// A table with a line for each reason.
fn render(list: &[Difference]) -> String {
    let mut text = String::from("| rows | of | why |\n|---|---|---|\n");
    let mut reasons: Vec<(&str, &str)> = Vec::new();
    for it in list {
        if !reasons.contains(&(&it.why, &it.runc)) {
            reasons.push((&it.why, &it.runc));
        }
    }
    for (why, runc) in reasons {
        let rows = list.iter().filter(|it| it.why == why && it.runc == runc);
        let rows: Vec<_> = rows.map(|it| it.row.as_str()).collect();
        let runc = if runc.is_empty() { "runc" } else { runc };
        text.push_str(&format!("| {} | {runc} | {why} |\n", rows.join("; ")));
    }
    text
}
