//! `--call=targets`: the stages, as text and as JSON. Only the text of the Dockerfile counts: that a
//! stage cannot be built is no error here.

use std::io::Write as _;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build::Checked;
use dockerfile::{Dockerfile, Stage};
use serde::Serialize;

use super::aligned;
use super::position::Location;
use crate::failure;

pub(super) fn print(json: bool, checked: Checked) -> anyhow::Result<ExitCode> {
    let dockerfile = match (checked.dockerfile, checked.outline) {
        (Some(dockerfile), _) => dockerfile,
        (None, Err(error)) => return Err(failure::explain(error)),
        (None, Ok(_)) => unreachable!("without a Dockerfile there is an error"),
    };
    if json {
        let source = STANDARD.encode(checked.source.text().as_bytes());
        cli::print_json(&List::new(&dockerfile, source))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = cli::Out::new();
    out.write_all(text(&dockerfile).as_bytes())?;
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn text(dockerfile: &Dockerfile) -> String {
    let count = dockerfile.stages.len();
    let name = |(index, stage): (usize, &Stage)| match (&stage.name, index + 1 == count) {
        (Some(name), true) => format!("{name} (default)"),
        (None, true) => "(default)".to_owned(),
        (name, false) => name.clone().unwrap_or_default(),
    };
    let names: Vec<String> = dockerfile.stages.iter().enumerate().map(name).collect();
    let description = |stage: &'_ Stage| stage.description.clone().unwrap_or_default();
    let descriptions: Vec<String> = dockerfile.stages.iter().map(description).collect();
    let rows = names.iter().zip(&descriptions).map(|(name, it)| [name.as_str(), it.as_str()]);
    aligned(1, &[["TARGET", "DESCRIPTION"]].into_iter().chain(rows).collect::<Vec<_>>())
}

/// BuildKit's `targets.List`.
#[derive(Serialize)]
struct List<'a> {
    targets: Vec<Target<'a>>,
    sources: [String; 1],
}

#[derive(Serialize)]
struct Target<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    default: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    base: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'a str>,
    location: Location,
}

impl<'a> List<'a> {
    fn new(dockerfile: &'a Dockerfile, source: String) -> Self {
        let last = dockerfile.stages.len() - 1;
        let target = |(index, stage): (usize, &'a Stage)| Target {
            name: stage.name.as_deref(),
            default: index == last,
            description: stage.description.as_deref(),
            base: &stage.base,
            platform: stage.platform.as_deref(),
            location: stage.lines.into(),
        };
        let targets = dockerfile.stages.iter().enumerate().map(target).collect();
        Self { targets, sources: [source] }
    }
}
