//! `--call`: a Dockerfile checked or described, and nothing built. The forms are buildx's, so that
//! what reads docker's output reads this.

mod check;
mod describe;
mod outline;
mod position;
mod targets;

use std::process::ExitCode;
use std::str::FromStr;

use build::{Checked, Inputs};
use store::Store;

pub(crate) use self::position::Range;
use crate::arguments::Arguments;
use crate::failure;

/// What `--call` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    request: Request,
    json: bool,
    /// Findings are no reason to exit with 1.
    ignore_status: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Build,
    Check,
    Outline,
    Targets,
    Describe,
}

impl Default for Call {
    fn default() -> Self {
        Self { request: Request::Build, json: false, ignore_status: false }
    }
}

impl FromStr for Call {
    type Err = String;

    /// `NAME[,format=json][,ignorestatus=true]`
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut call, mut name) = (Self::default(), None);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("format", format)) => call.json = format == "json",
                Some(("ignorestatus", value)) => call.ignore_status = boolean(value)?,
                Some(_) => return Err(format!("unknown field {field:?}")),
                None if name.is_some() => return Err(format!("{text:?} names two requests")),
                None => name = Some(field),
            }
        }
        call.request = Request::named(name.unwrap_or_default())?;
        Ok(call)
    }
}

impl Request {
    fn named(name: &str) -> Result<Self, String> {
        match name {
            "" | "build" => Ok(Self::Build),
            "check" | "lint" => Ok(Self::Check),
            "outline" => Ok(Self::Outline),
            "targets" => Ok(Self::Targets),
            "subrequests.describe" => Ok(Self::Describe),
            name => Err(format!(
                "unknown request {name:?}: known are build, check, outline, targets, subrequests.describe"
            )),
        }
    }
}

fn boolean(value: &str) -> Result<bool, String> {
    dockerfile::truth(value).ok_or_else(|| format!("ignorestatus is true or false, not {value:?}"))
}

impl Call {
    /// `--check`
    pub(crate) fn check() -> Self {
        Self { request: Request::Check, ..Self::default() }
    }

    /// Whether the image is to be built after all.
    pub(crate) fn is_build(&self) -> bool {
        self.request == Request::Build
    }

    /// Does what is asked for, and prints it.
    pub(crate) fn run(&self, arguments: &Arguments, inputs: Inputs) -> anyhow::Result<ExitCode> {
        if self.request == Request::Describe {
            return describe::print(self.json);
        }
        let store = Store::open(&arguments.store.path()?)?;
        let checked = build::check(&store, inputs, &arguments.options()?);
        let checked = checked.map_err(failure::explain)?;
        match self.request {
            Request::Outline => outline::print(self.json, checked),
            Request::Targets => targets::print(self.json, checked),
            _ => self.print_check(arguments, checked),
        }
    }

    fn print_check(&self, arguments: &Arguments, checked: Checked) -> anyhow::Result<ExitCode> {
        let name = arguments.dockerfile_shown(checked.source.name());
        check::print(self.json, &name, &checked)?;
        match checked.outline {
            Err(error) => Err(failure::explain(error)),
            Ok(_) if checked.findings.is_empty() || self.ignore_status => Ok(ExitCode::SUCCESS),
            Ok(_) => Ok(ExitCode::FAILURE),
        }
    }
}

/// Columns padded with blanks but for the last of each line, as Go's tabwriter does.
fn aligned<const N: usize>(gap: usize, rows: &[[&str; N]]) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default() + gap
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            text += cell;
            if column + 1 < N {
                text.extend(std::iter::repeat_n(' ', widths[column] - cell.chars().count()));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_that_buildx_takes() {
        let check = |json, ignore_status| Call { request: Request::Check, json, ignore_status };
        for (text, want) in [
            ("", Call::default()),
            ("build", Call::default()),
            ("check", check(false, false)),
            ("lint,format=json", check(true, false)),
            ("format=text,check", check(false, false)),
            ("check,ignorestatus=1", check(false, true)),
        ] {
            assert_eq!(text.parse::<Call>().unwrap(), want, "{text}");
        }
        for text in ["nope", "check,outline", "check,color=red", "check,ignorestatus=maybe"] {
            assert!(text.parse::<Call>().is_err(), "{text}");
        }
    }
}
