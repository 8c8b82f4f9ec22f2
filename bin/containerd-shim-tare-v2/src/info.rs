//! `-v` and `-info`: what this shim is.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use anyhow::Context;
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::types::introspection::{RuntimeInfo, RuntimeVersion};

use crate::RUNTIME_NAME;
use crate::options::Options;

/// The name that containerd knows the features by, which are JSON.
const FEATURES: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// No more than this is read of what containerd sends on stdin, bytes.
pub(crate) const INPUT_MAX: u64 = 10 << 20;

/// For people.
pub(crate) fn print_version() -> anyhow::Result<()> {
    println!("containerd-shim-tare-v2 {}", env!("CARGO_PKG_VERSION"));
    Ok(())
}

/// What the runtime program says that it can do (runtime-spec, features.md); nothing of one that does not say.
fn features(options: &Options) -> anyhow::Result<Option<Any>> {
    let program = options.program()?;
    let output = Command::new(&program).arg("features").stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("start {}", program.display()))?;
    let read = serde_json::from_slice::<serde_json::Value>(&output.stdout);
    if !output.status.success() || read.is_err() {
        return Ok(None);
    }
    let mut any = Any::new();
    any.type_url = FEATURES.to_owned();
    any.value = output.stdout;
    Ok(Some(any))
}

/// For containerd 1.7 and later, as a `RuntimeInfo` message; the options on stdin come back in it.
pub(crate) fn print_info() -> anyhow::Result<()> {
    let mut input = Vec::new();
    std::io::stdin().take(INPUT_MAX).read_to_end(&mut input).context("read stdin")?;
    let mut info = RuntimeInfo::new();
    info.name = RUNTIME_NAME.to_owned();
    let mut version = RuntimeVersion::new();
    version.version = env!("CARGO_PKG_VERSION").to_owned();
    info.version = Some(version).into();
    let mut read = Options::default();
    if !input.is_empty() {
        let options = Any::parse_from_bytes(&input).context("read the options on stdin")?;
        read = Options::read(Some(&options)).unwrap_or_default();
        info.options = Some(options).into();
    }
    info.features = features(&read)?.into();
    let bytes = info.write_to_bytes().context("encode the answer")?;
    std::io::stdout().write_all(&bytes).context("write the answer")
}
