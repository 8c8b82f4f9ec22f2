//! `linux.memoryPolicy`: on which nodes memory is taken from (set_mempolicy(2)).

use oci_spec::runtime::{
    LinuxMemoryPolicy, MemoryPolicyFlagType as Flag, MemoryPolicyModeType as Mode,
};

use crate::cpu_set::CpuSet;
use crate::error::{Error, Result};
use crate::syscalls;

/// A policy in the kernel's numbers.
#[derive(Debug)]
pub(crate) struct MemoryPolicy {
    mode: i32,
    nodes: Option<CpuSet>,
}

impl MemoryPolicy {
    pub(crate) fn of(policy: &LinuxMemoryPolicy) -> Result<Self> {
        let mode = match policy.mode() {
            Mode::MpolDefault => 0,
            Mode::MpolPreferred => 1,
            Mode::MpolBind => 2,
            Mode::MpolInterleave => 3,
            Mode::MpolLocal => 4,
            Mode::MpolPreferredMany => 5,
            Mode::MpolWeightedInterleave => 6,
        };
        let flags = policy.flags().iter().flatten().fold(0, |flags, flag| {
            flags
                | match flag {
                    Flag::MpolFNumaBalancing => 1 << 13,
                    Flag::MpolFRelativeNodes => 1 << 14,
                    Flag::MpolFStaticNodes => 1 << 15,
                }
        });
        let list = policy.nodes().as_deref().filter(|nodes| !nodes.is_empty());
        let nodes = list.map(CpuSet::parse).transpose().map_err(|reason| {
            Error::spec(
                "linux.memoryPolicy.nodes",
                format!("invalid memory policy nodes: {reason}"),
            )
        })?;
        Ok(Self { mode: mode | flags, nodes })
    }

    /// Sets it for the caller; its program and its children inherit it.
    pub(crate) fn apply(&self) -> Result<()> {
        let words = self.nodes.as_ref().map(CpuSet::words).unwrap_or_default();
        syscalls::set_memory_policy(self.mode, words).map_err(|error| {
            let reason = match error.raw_os_error() {
                Some(libc::EINVAL) => "invalid argument".to_owned(),
                _ => error.to_string(),
            };
            Error::spec("linux.memoryPolicy", format!("set_mempolicy: {reason}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Result<MemoryPolicy> {
        let policy = crate::document::parse("policy", text.as_bytes())?;
        MemoryPolicy::of(&policy.value)
    }

    #[test]
    fn numbers() {
        let bind =
            policy(r#"{"mode":"MPOL_BIND","nodes":"0-1,3","flags":["MPOL_F_STATIC_NODES"]}"#)
                .unwrap();
        assert_eq!((bind.mode, bind.nodes.unwrap().mask().as_str()), (2 | 1 << 15, "0xb"));
        assert_eq!(policy(r#"{"mode":"MPOL_WEIGHTED_INTERLEAVE","nodes":""}"#).unwrap().mode, 6);
        for (text, field) in [
            (r#"{"mode":"MPOL_BIND","nodes":"0-9876543210"}"#, "linux.memoryPolicy.nodes"),
            (r#"{"mode":"MPOL_BIND","nodes":"x"}"#, "linux.memoryPolicy.nodes"),
            (r#"{"mode":"BIND"}"#, "mode: "),
            (r#"{"mode":"MPOL_BIND","flags":["x"]}"#, "flags[0]: "),
        ] {
            let error = policy(text).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }
}
