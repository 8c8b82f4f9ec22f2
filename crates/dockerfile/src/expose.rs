//! Port specifications of EXPOSE: `80`, `53/udp`, `8000-8010/tcp`, `127.0.0.1:8080:80`.

use std::net::IpAddr;
use std::ops::RangeInclusive;

/// A port specification that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid port {spec:?}: {why}")]
pub struct PortError {
    /// As it was given.
    pub spec: String,
    /// Why it is none.
    pub why: &'static str,
}

/// The ports that an expanded word of `EXPOSE` means, as an image config names them: `80/tcp`. An
/// address and a host port may stand before it, as in docker, and have no effect.
///
/// # Errors
/// A port that is not between 0 and 65535, a range that runs backwards or differs in length from
/// the host's, an address that is none, an unknown protocol.
pub fn exposed_ports(spec: &str) -> Result<Vec<String>, PortError> {
    let error = |why| PortError { spec: spec.to_owned(), why };
    let (host, container) = spec.rsplit_once(':').map_or((None, spec), |(h, c)| (Some(h), c));
    let (ports, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => return Err(error("the protocol is tcp, udp or sctp")),
    };
    let ports = range(ports).map_err(error)?;
    if let Some(host) = host {
        check_host(host, ports.len()).map_err(error)?;
    }
    Ok(ports.map(|port| format!("{port}/{protocol}")).collect())
}

/// Checks `[address:][port]` before a container's `count` ports.
fn check_host(host: &str, count: usize) -> Result<(), &'static str> {
    let (address, port) = host.rsplit_once(':').unwrap_or(("", host));
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    if !address.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err("the address is no IP address");
    }
    if port.is_empty() {
        return Ok(());
    }
    match range(port)?.len() {
        length if length == count || count == 1 => Ok(()),
        _ => Err("the ranges differ in length"),
    }
}

fn range(text: &str) -> Result<RangeInclusive<u16>, &'static str> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if last < first { Err("the range runs backwards") } else { Ok(first..=last) }
}

fn port(text: &str) -> Result<u16, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let port = text.parse().ok().filter(|_| digits);
    port.ok_or("a port is a number from 0 to 65535")
}
