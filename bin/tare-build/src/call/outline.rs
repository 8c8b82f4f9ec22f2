//! `--call=outline`: the target's parameters, as text and as JSON.

use std::io::Write as _;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build::Checked;
use build::plan::{Outline, OutlineArg, OutlineCache, OutlineMount};
use serde::Serialize;

use super::aligned;
use super::position::Location;
use crate::failure;

pub(super) fn print(json: bool, checked: Checked) -> anyhow::Result<ExitCode> {
    let outline = checked.outline.map_err(failure::explain)?;
    if json {
        let source = STANDARD.encode(checked.source.text().as_bytes());
        cli::print_json(&Document::new(&outline, source))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = cli::Out::new();
    out.write_all(text(&outline).as_bytes())?;
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// A table for each kind of parameter that there is, with a blank line below.
fn text(outline: &Outline) -> String {
    let mut text = String::new();
    let mut table = |table: String| text += &(table + "\n");
    if outline.name.is_some() || outline.description.is_some() {
        let name = outline.name.as_deref().unwrap_or("(default)");
        let description = outline.description.as_deref().map(|it| ["DESCRIPTION:", it]);
        let rows: Vec<_> = [["TARGET:", name]].into_iter().chain(description).collect();
        table(aligned(1, &rows));
    }
    if !outline.args.is_empty() {
        let row = |arg: &'_ OutlineArg| {
            let value = arg.value.clone().unwrap_or_default();
            [arg.name.clone(), value, arg.description.clone().unwrap_or_default()]
        };
        let rows: Vec<[String; 3]> = outline.args.iter().map(row).collect();
        table(headed(["BUILD ARG", "VALUE", "DESCRIPTION"], &rows));
    }
    for (title, mounts) in [("SECRET", &outline.secrets), ("SSH", &outline.ssh)] {
        if !mounts.is_empty() {
            let required = |mount: &OutlineMount| if mount.required { "true" } else { "" };
            let row = |mount: &OutlineMount| [mount.id.clone(), required(mount).to_owned()];
            let rows: Vec<[String; 2]> = mounts.iter().map(row).collect();
            table(headed([title, "REQUIRED"], &rows));
        }
    }
    text
}

fn headed<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let cells = rows.iter().map(|row| row.each_ref().map(String::as_str));
    aligned(3, &[head].into_iter().chain(cells).collect::<Vec<_>>())
}

/// BuildKit's `outline.Outline`.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<Arg<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<Mount<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh: Vec<Mount<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cache: Vec<Cache<'a>>,
    sources: [String; 1],
}

#[derive(Serialize)]
struct Arg<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    value: &'a str,
    location: Location,
}

#[derive(Serialize)]
struct Mount<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    required: bool,
    location: Location,
}

#[derive(Serialize)]
struct Cache<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    location: Location,
}

impl<'a> Document<'a> {
    fn new(outline: &'a Outline, source: String) -> Self {
        Self {
            name: outline.name.as_deref(),
            description: outline.description.as_deref(),
            args: outline.args.iter().map(Arg::new).collect(),
            secrets: outline.secrets.iter().map(Mount::new).collect(),
            ssh: outline.ssh.iter().map(Mount::new).collect(),
            cache: outline.caches.iter().map(Cache::new).collect(),
            sources: [source],
        }
    }
}

impl<'a> Arg<'a> {
    fn new(arg: &'a OutlineArg) -> Self {
        Self {
            name: &arg.name,
            description: arg.description.as_deref().unwrap_or_default(),
            value: arg.value.as_deref().unwrap_or_default(),
            location: arg.lines.into(),
        }
    }
}

impl<'a> Mount<'a> {
    fn new(mount: &'a OutlineMount) -> Self {
        Self { name: &mount.id, required: mount.required, location: mount.lines.into() }
    }
}

impl<'a> Cache<'a> {
    fn new(cache: &'a OutlineCache) -> Self {
        Self { id: &cache.id, location: cache.lines.into() }
    }
}
