//! Port specifications of EXPOSE: `80`, `53/udp`, `8000-8010/tcp`.

/// A port specification that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid port {spec:?}: {why}")]
pub struct PortError {
    /// As it was given.
    pub spec: String,
    /// Why it is none.
    pub why: &'static str,
}

/// The ports that an expanded word of `EXPOSE` means, as an image config names them: `80/tcp`. As
/// in docker, what stands before the last colon (an address, a host port) says nothing here.
///
/// # Errors
/// A port that is not between 1 and 65535, a range that runs backwards, an unknown protocol.
pub fn exposed_ports(spec: &str) -> Result<Vec<String>, PortError> {
    let error = |why| PortError { spec: spec.to_owned(), why };
    let (ports, protocol) = spec.split_once('/').unwrap_or((spec, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(error("the protocol is tcp, udp or sctp"));
    }
    let ports = ports.rsplit(':').next().unwrap_or_default();
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port > 0)
    };
    let wrong = "a port is a number from 1 to 65535";
    let first = port(first).ok_or_else(|| error(wrong))?;
    let last = port(last).ok_or_else(|| error(wrong))?;
    if last < first {
        return Err(error("the range runs backwards"));
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}
