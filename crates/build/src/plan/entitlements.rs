//! What a `RUN` may ask for beyond the sandbox, if whoever builds grants it.

use dockerfile::{Network, Run, Security};

/// What `--allow` grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entitlements {
    /// `network.host`: `RUN --network=host`.
    pub network_host: bool,
    /// `security.insecure`: `RUN --security=insecure`.
    pub security_insecure: bool,
}

impl Entitlements {
    /// What the command asks for and is not granted: the flag and the entitlement that it needs.
    pub(super) fn refused(self, run: &Run) -> Option<(&'static str, &'static str)> {
        if run.network == Network::Host && !self.network_host {
            return Some(("RUN --network=host", "network.host"));
        }
        if run.security == Security::Insecure && !self.security_insecure {
            return Some(("RUN --security=insecure", "security.insecure"));
        }
        None
    }
}
