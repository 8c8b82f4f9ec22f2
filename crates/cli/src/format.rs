//! `--json` and `--format`, the same wherever a table is printed.

/// How a list is printed. Flatten it into a command.
#[derive(Clone, Debug, clap::Args)]
pub struct FormatFlags {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    /// How to print: table or json
    #[arg(long, value_name = "FORMAT", value_parser = ["table", "json"])]
    format: Option<String>,
}

impl FormatFlags {
    /// Whether JSON is wanted, rather than a table.
    pub fn is_json(&self) -> bool {
        self.json || self.format.as_deref() == Some("json")
    }
}
