//! EXPOSE: ExposeProtoCasing, ExposeInvalidFormat.

use super::Finding;
use super::rule::{EXPOSE_INVALID_FORMAT, EXPOSE_PROTO_CASING};
use crate::source::Lines;

/// The port specifications of an EXPOSE, expanded. BuildKit sorts them first.
pub(super) fn ports(specs: &[String], lines: Lines, findings: &mut Vec<Finding>) {
    let mut specs: Vec<&str> = specs.iter().map(String::as_str).collect();
    specs.sort_unstable();
    specs.iter().for_each(|spec| port(spec, lines, findings));
}

/// One specification: `[address:][host port:]port[/protocol]`.
fn port(spec: &str, lines: Lines, findings: &mut Vec<Finding>) {
    let (host, container) = spec.rsplit_once(':').unwrap_or(("", spec));
    let (port, protocol) = container.split_once('/').unwrap_or((container, ""));
    let lower = protocol.to_lowercase();
    if port.is_empty() || !matches!(lower.as_str(), "" | "tcp" | "udp" | "sctp") {
        return;
    }
    if lower != protocol {
        let detail = format!("Defined protocol '{spec}' in EXPOSE instruction should be lowercase");
        findings.push(Finding::new(&EXPOSE_PROTO_CASING, lines, detail));
    }
    if !host.is_empty() && host != ":" {
        let detail = format!(
            "EXPOSE instruction should not define an IP address or host-port mapping, found '{spec}'"
        );
        findings.push(Finding::new(&EXPOSE_INVALID_FORMAT, lines, detail));
    }
}
