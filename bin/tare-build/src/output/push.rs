//! `type=registry`: the program that has the network does it.

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use cli::ErrorExt as _;
use image::media_type::Compression;
use image::{Descriptor, Reference};
use store::Watch;

use super::archive::shown;
use super::flag::Pushing;
use super::{Delivery, OutputFlag};

/// Pushes the image to each of its names, and gives what names it there.
pub(super) fn push(
    delivery: &Delivery<'_>,
    output: &OutputFlag,
    names: &[Reference],
    pushing: Pushing,
) -> anyhow::Result<Descriptor> {
    for name in names {
        call(delivery, output, name, pushing)?;
    }
    // What was pushed is remembered: this finds it again.
    let flag = delivery.interrupt.flag();
    let watch = Watch { hear: &|_| {}, stop: &flag };
    let form = output.compressing.form().map_err(cli::usage)?;
    let outgoing = delivery.store.outgoing(&delivery.image.manifest, None, form, watch)?;
    Ok(outgoing.image().descriptor.clone())
}

fn call(
    delivery: &Delivery<'_>,
    output: &OutputFlag,
    name: &Reference,
    pushing: Pushing,
) -> anyhow::Result<()> {
    let program = cli::sibling("tare-store").hint("it pushes what is built")?;
    let mut command = Command::new(&program);
    command.arg("--store").arg(delivery.store.root()).arg("push");
    command.args(flags(output)).args(delivery.is_quiet()?.then_some("--quiet"));
    if pushing.insecure {
        command.arg("--tls-verify=false");
    }
    command.args(pushing.by_digest.then_some("--by-digest"));
    command.arg(delivery.image.digest.to_string()).arg(name.to_string());
    // Its digest is that of a compressed image; standard output has ours.
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot start {}", shown(&program)))?;
    delivery.interrupt.check()?;
    if !status.success() {
        bail!("cannot push {}: tare-store says above why", name.familiar());
    }
    Ok(())
}

fn flags(output: &OutputFlag) -> Vec<String> {
    let compressing = output.compressing;
    let mut flags = Vec::new();
    if let Some(compression) = compressing.compression {
        let name = match compression {
            Compression::None => "uncompressed",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        };
        flags.push(format!("--compression={name}"));
        flags.extend((!compressing.force).then(|| "--keep-compressed".to_owned()));
    } else if compressing.force {
        flags.push("--compression=gzip".to_owned());
    }
    flags.extend(compressing.level.map(|level| format!("--compression-level={level}")));
    flags
}
