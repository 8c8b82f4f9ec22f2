//! `-v` and `-info`: what this shim is.

use std::io::{Read, Write};

use anyhow::Context;
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::types::introspection::{RuntimeInfo, RuntimeVersion};

use crate::RUNTIME_NAME;

/// No more than this is read of what containerd sends on stdin, bytes.
pub(crate) const INPUT_MAX: u64 = 10 << 20;

/// For people.
pub(crate) fn print_version() -> anyhow::Result<()> {
    println!("containerd-shim-tare-v2 {}", env!("CARGO_PKG_VERSION"));
    Ok(())
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
    if !input.is_empty() {
        let options = Any::parse_from_bytes(&input).context("read the options on stdin")?;
        info.options = Some(options).into();
    }
    let bytes = info.write_to_bytes().context("encode the answer")?;
    std::io::stdout().write_all(&bytes).context("write the answer")
}
