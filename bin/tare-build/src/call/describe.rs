//! `--call=subrequests.describe`: what `--call` knows.

use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::aligned;

/// BuildKit's `subrequests.Request`.
#[derive(Serialize)]
struct Description {
    name: &'static str,
    version: &'static str,
    r#type: &'static str,
    description: &'static str,
    opts: &'static [Named],
    inputs: Option<()>,
    metadata: &'static [Named],
    refs: Option<()>,
}

#[derive(Serialize)]
struct Named {
    name: &'static str,
    description: &'static str,
}

const fn named(name: &'static str) -> Named {
    Named { name, description: "" }
}

const RESULTS: &[Named] = &[named("result.json"), named("result.txt")];
const CHECK: &[Named] = &[named("result.json"), named("result.txt"), named("result.statuscode")];
const TARGET: &[Named] = &[Named { name: "target", description: "Target build stage" }];

const fn request(
    name: &'static str,
    description: &'static str,
    opts: &'static [Named],
    metadata: &'static [Named],
) -> Description {
    Description {
        name,
        version: "1.0.0",
        r#type: "rpc",
        description,
        opts,
        inputs: None,
        metadata,
        refs: None,
    }
}

const REQUESTS: [Description; 4] = [
    request(
        "frontend.outline",
        "List all parameters current build target supports",
        TARGET,
        RESULTS,
    ),
    request("frontend.targets", "List all targets current build supports", &[], RESULTS),
    request("frontend.lint", "Lint a Dockerfile", &[], CHECK),
    request("frontend.subrequests.describe", "List available subrequest types", &[], RESULTS),
];

pub(super) fn print(json: bool) -> anyhow::Result<ExitCode> {
    if json {
        cli::print_json(&REQUESTS)?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |it: &Description| {
        [it.name.strip_prefix("frontend.").unwrap_or(it.name), it.version, it.description]
    };
    let rows: Vec<_> =
        [["NAME", "VERSION", "DESCRIPTION"]].into_iter().chain(REQUESTS.iter().map(row)).collect();
    let mut out = cli::Out::new();
    out.write_all(aligned(1, &rows).as_bytes())?;
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}
