//! `tare-store diff`: what differs between two images, or between the layers of one.

use std::io::Write as _;
use std::process::ExitCode;
use std::thread;

use anyhow::Context as _;
use image::Platform;
use inspect::{Aspect, Difference, Side, compare};
use serde::Serialize;
use serde_json::Value;
use store::Store;
use tree::{ChangeKind, NodeId, Tree};

use crate::look::Opened;
use crate::look::changes::{change_letter, change_name};
use crate::look::names::printable;
use crate::look::shown::Shown;

/// Files count as the same where their bytes are the same, whichever layers they are in. Letters are docker
/// diff's: A added, C changed, D deleted.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Compare the files alone, and not the configurations
    #[arg(long)]
    files: bool,
    /// Compare the configurations alone
    #[arg(long, conflicts_with = "files")]
    config: bool,
    /// Count files that differ in nothing but their time as changed
    #[arg(long)]
    times: bool,
    /// Exit with 1 where there is a difference
    #[arg(long)]
    exit_code: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Which image of several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// The older image, by name or id
    old: String,
    /// The newer image
    new: String,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    /// How many of the lowest layers both images have.
    common_layers: usize,
    /// Fields of the configuration.
    config: Vec<Field>,
    files: Vec<File>,
}

/// A field of the configuration that differs.
#[derive(Debug, PartialEq, Serialize)]
struct Field {
    /// Where it is: `config.Env`.
    field: String,
    /// `null` where it is absent.
    old: Value,
    new: Value,
}

/// A file that differs.
#[derive(Debug, Serialize)]
struct File {
    path: String,
    change: &'static str,
    /// In which respects: content, mode, owner, time, xattrs, links, kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aspects: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<Shown>,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    // Both at once: each is work for a processor of its own.
    let (old, new) = thread::scope(|scope| {
        let new = scope.spawn(|| read(arguments, store, &arguments.new));
        let old = read(arguments, store, &arguments.old);
        (old, new.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let ((old, old_tree), (new, new_tree)) = (old?, new?);
    let config = if arguments.files { Vec::new() } else { fields(&old, &new)? };
    let differences = compare(
        Side { layers: &old.layers, tree: &old_tree },
        Side { layers: &new.layers, tree: &new_tree },
        arguments.times,
    )
    .context("cannot compare the files")?;
    let differs = !config.is_empty() || !differences.is_empty();
    let trees = Trees { old: &old_tree, new: &new_tree };
    if arguments.json {
        let files = differences.iter().map(|it| trees.file(it)).collect();
        cli::print_json(&Report { common_layers: common(&old, &new), config, files })?;
    } else {
        trees.print(&config, &differences)?;
    }
    Ok(if differs && arguments.exit_code { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// An image, and the tree of its files where those are compared.
fn read(arguments: &Arguments, store: &Store, name: &str) -> anyhow::Result<(Opened, Tree)> {
    let opened = Opened::read(store, name, arguments.platform.as_ref())?;
    let tree = if arguments.config { Tree::new() } else { opened.layers.tree()? };
    Ok((opened, tree))
}

fn common(old: &Opened, new: &Opened) -> usize {
    let pairs = old.layers.all().iter().zip(new.layers.all());
    pairs.take_while(|(old, new)| old.diff_id == new.diff_id).count()
}

/// The fields of the configurations that differ; not layers and history, which the files tell of.
fn fields(old: &Opened, new: &Opened) -> anyhow::Result<Vec<Field>> {
    let value = |opened: &Opened| serde_json::to_value(&opened.image.config);
    let (mut old, mut new) = (value(old)?, value(new)?);
    for config in [&mut old, &mut new] {
        if let Some(fields) = config.as_object_mut() {
            fields.remove("rootfs");
            fields.remove("history");
        }
    }
    let mut found = Vec::new();
    compare_values("", &old, &new, &mut found);
    Ok(found)
}

fn compare_values(field: &str, old: &Value, new: &Value, found: &mut Vec<Field>) {
    if old == new {
        return;
    }
    let empty = serde_json::Map::new();
    let (old_map, new_map) = match (old, new) {
        (Value::Object(old), Value::Object(new)) => (old, new),
        (Value::Object(old), Value::Null) => (old, &empty),
        (Value::Null, Value::Object(new)) => (&empty, new),
        _ => {
            found.push(Field { field: field.to_owned(), old: old.clone(), new: new.clone() });
            return;
        }
    };
    let names: std::collections::BTreeSet<&String> = old_map.keys().chain(new_map.keys()).collect();
    for name in names {
        let field = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
        let value =
            |map: &serde_json::Map<String, Value>| map.get(name).cloned().unwrap_or_default();
        compare_values(&field, &value(old_map), &value(new_map), found);
    }
}

/// The trees that differences are of.
struct Trees<'a> {
    old: &'a Tree,
    new: &'a Tree,
}

impl Trees<'_> {
    fn file(&self, difference: &Difference) -> File {
        let shown = |tree: &Tree, id: Option<NodeId>| {
            id.map(|id| Shown::new(&difference.path, tree.node(id), None))
        };
        File {
            path: difference.path.to_string(),
            change: change_name(difference.kind),
            aspects: difference.aspects.iter().map(|aspect| aspect_name(*aspect)).collect(),
            old: shown(self.old, difference.old),
            new: shown(self.new, difference.new),
        }
    }

    fn print(&self, config: &[Field], differences: &[Difference]) -> anyhow::Result<()> {
        let mut out = cli::Out::new();
        for Field { field, old, new } in config {
            let text = |value: &Value| match value {
                Value::Null => "-".to_owned(),
                value => printable(value.to_string().as_bytes()),
            };
            writeln!(out, "{}: {} => {}", printable(field.as_bytes()), text(old), text(new))?;
        }
        let mut sums = [(0u64, 0u64); 3];
        for difference in differences {
            let (grown, shrunk) = self.bytes(difference);
            let sum = &mut sums[difference.kind as usize];
            *sum = (sum.0 + 1, sum.1.saturating_add(grown).saturating_sub(shrunk));
            let bytes = match (grown, shrunk) {
                (0, 0) => String::new(),
                (grown, 0) => format!("+{}", cli::bytes(grown)),
                (_, shrunk) => format!("-{}", cli::bytes(shrunk)),
            };
            let aspects: Vec<_> = difference.aspects.iter().map(|it| aspect_name(*it)).collect();
            let aspects = if aspects.is_empty() {
                String::new()
            } else {
                format!(" ({})", aspects.join(", "))
            };
            let path = printable(difference.path.as_bytes());
            writeln!(out, "{} {bytes:>9}  /{path}{aspects}", change_letter(difference.kind))?;
        }
        out.finish()?;
        let count = |kind: ChangeKind| sums[kind as usize].0;
        cli::note(format_args!(
            "{} fields of the configuration; {} files added, {} changed, {} deleted",
            config.len(),
            count(ChangeKind::Added),
            count(ChangeKind::Modified),
            count(ChangeKind::Removed)
        ));
        Ok(())
    }

    /// How many bytes more there are, or how many less.
    fn bytes(&self, difference: &Difference) -> (u64, u64) {
        // What is below an added directory is listed itself; what was below a removed one is not.
        let added = difference.kind == ChangeKind::Added;
        let size = |tree: &Tree, id: Option<NodeId>| match id {
            Some(id)
                if tree.node(id).is_directory()
                    && (added || difference.old.is_some() && difference.new.is_some()) =>
            {
                0
            }
            Some(id) => tree.size_below(id),
            None => 0,
        };
        let (old, new) = (size(self.old, difference.old), size(self.new, difference.new));
        (new.saturating_sub(old), old.saturating_sub(new))
    }
}

fn aspect_name(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Kind => "kind",
        Aspect::Content => "content",
        Aspect::Mode => "mode",
        Aspect::Owner => "owner",
        Aspect::Time => "time",
        Aspect::Xattrs => "xattrs",
        Aspect::Links => "links",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_named_by_their_path() {
        let old = json!({"a": {"b": 1, "c": [1]}, "same": 1, "gone": {"x": 1}});
        let new = json!({"a": {"b": 2, "c": [1]}, "same": 1, "more": null, "new": "n"});
        let mut found = Vec::new();
        compare_values("", &old, &new, &mut found);
        let field = |field: &str, old, new| Field { field: field.to_owned(), old, new };
        let want = [
            field("a.b", json!(1), json!(2)),
            field("gone.x", json!(1), json!(null)),
            field("new", json!(null), json!("n")),
        ];
        assert_eq!(found, want);
    }
}
