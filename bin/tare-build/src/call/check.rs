//! `--call=check`: what the rules say, as text and as JSON.

use std::error::Error as _;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build::{Checked, Error};
use dockerfile::lint::Finding;
use dockerfile::{Lines, Source};
use serde::Serialize;

use super::position::Location;

/// Prints the result. `name` is the Dockerfile's as text shows it. An error that ends the check is
/// part of the JSON; as text the caller prints it.
pub(super) fn print(json: bool, name: &str, checked: &Checked) -> anyhow::Result<()> {
    if json {
        return cli::print_json(&Results::new(checked));
    }
    let mut out = cli::Out::new();
    out.write_all(text(name, checked).as_bytes())?;
    Ok(out.finish()?)
}

fn text(name: &str, checked: &Checked) -> String {
    let mut text = match (checked.findings.len(), &checked.outline) {
        (0, Ok(_)) => "Check complete, no warnings found.\n".to_owned(),
        (0, Err(_)) => String::new(),
        (1, _) => "Check complete, 1 warning has been found!\n".to_owned(),
        (count, _) => format!("Check complete, {count} warnings have been found!\n"),
    };
    let mut findings: Vec<&Finding> = checked.findings.iter().collect();
    findings.sort_by_key(|finding| finding.lines.start);
    for finding in findings {
        text += &one(name, &checked.source, finding);
    }
    text
}

fn one(name: &str, source: &Source, finding: &Finding) -> String {
    let url = match finding.rule.url {
        "" => String::new(),
        url => format!(" - {url}"),
    };
    let listing = source.listing(name, finding.lines);
    format!("\nWARNING: {}{url}\n{}\n{listing}", finding.rule.name, finding.detail)
}

/// BuildKit's `lint.LintResults`, without the definition of its own source operation.
#[derive(Serialize)]
struct Results<'a> {
    /// Null where there are none, as Go has it.
    warnings: Option<Vec<Warning<'a>>>,
    sources: [SourceInfo<'a>; 1],
    #[serde(rename = "buildError", skip_serializing_if = "Option::is_none")]
    build_error: Option<BuildError>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Warning<'a> {
    rule_name: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    url: &'a str,
    detail: &'a str,
    location: Location,
}

#[derive(Serialize)]
struct SourceInfo<'a> {
    filename: &'a str,
    data: String,
    language: &'static str,
}

#[derive(Serialize)]
struct BuildError {
    message: String,
    location: Location,
}

impl<'a> Results<'a> {
    fn new(checked: &'a Checked) -> Self {
        let warnings: Vec<Warning<'_>> = checked.findings.iter().map(Warning::new).collect();
        let name = checked.source.name();
        Self {
            warnings: (!warnings.is_empty()).then_some(warnings),
            sources: [SourceInfo {
                filename: name.rsplit('/').next().unwrap_or(name),
                data: STANDARD.encode(checked.source.text().as_bytes()),
                language: "Dockerfile",
            }],
            build_error: checked.outline.as_ref().err().map(BuildError::new),
        }
    }
}

impl<'a> Warning<'a> {
    fn new(finding: &'a Finding) -> Self {
        Self {
            rule_name: finding.rule.name,
            description: finding.rule.description,
            url: finding.rule.url,
            detail: &finding.detail,
            location: finding.lines.into(),
        }
    }
}

impl BuildError {
    fn new(error: &Error) -> Self {
        let (mut message, lines) = match error {
            Error::Dockerfile(error) => (error.problem().to_string(), Some(error.lines())),
            Error::Instruction { instruction, lines, .. } => (instruction.clone(), Some(*lines)),
            error => (error.to_string(), None),
        };
        let mut source = error.source();
        while let Some(cause) = source {
            message += &format!(": {cause}");
            source = cause.source();
        }
        Self { message, location: lines.map_or_else(Location::none, |lines: Lines| lines.into()) }
    }
}
