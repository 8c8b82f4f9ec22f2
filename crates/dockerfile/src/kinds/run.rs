//! RUN.

use crate::device::Device;
use crate::flags::{Flags, Takes};
use crate::instruction::{Kind, Network, Run, Security};
use crate::list;
use crate::mount::MountOptions;
use crate::parse::Parts;
use crate::problem::Problem;
use crate::suggest::nearest;

const RUN_FLAGS: &[(&str, Takes)] = &[
    ("mount", Takes::Values),
    ("network", Takes::Value),
    ("security", Takes::Value),
    ("device", Takes::Values),
];

pub(super) fn run(parts: &Parts<'_>) -> Result<Kind, Problem> {
    let flags = Flags::read("RUN", &parts.flags, RUN_FLAGS)?;
    let mounts: Result<_, _> = flags.values("mount").map(MountOptions::read).collect();
    Ok(Kind::Run(Run {
        line: list::command("RUN", parts.arguments)?,
        heredocs: parts.heredocs.to_vec(),
        mounts: mounts?,
        network: network(&flags)?,
        security: security(&flags)?,
        devices: flags.values("device").map(Device::read).collect::<Result<_, _>>()?,
    }))
}

fn network(flags: &Flags) -> Result<Network, Problem> {
    match flags.value("network") {
        None | Some("default") => Ok(Network::Default),
        Some("none") => Ok(Network::None),
        Some("host") => Ok(Network::Host),
        Some(value) => Err(choice("network", value, &["default", "none", "host"])),
    }
}

fn security(flags: &Flags) -> Result<Security, Problem> {
    match flags.value("security") {
        None | Some("sandbox") => Ok(Security::Sandbox),
        Some("insecure") => Ok(Security::Insecure),
        Some(value) => Err(choice("security", value, &["sandbox", "insecure"])),
    }
}

fn choice(flag: &str, value: &str, known: &[&str]) -> Problem {
    Problem::InvalidFlagValue {
        flag: flag.to_owned(),
        value: value.to_owned(),
        why: format!("it is one of {}", known.join(", ")),
        suggestion: nearest(value, known).map(str::to_owned),
    }
}
