//! Host names to addresses, each looked up once in a while instead of for every request.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::cancel::lock;

/// How long an answer holds.
const FRESH: Duration = Duration::from_secs(30);

/// The system's resolver, with a memory. An address needs no look-up at all.
#[derive(Debug, Default)]
pub(crate) struct Remembering {
    system: DefaultResolver,
    known: Mutex<HashMap<String, (Instant, ResolvedSocketAddrs)>>,
}

impl Remembering {
    fn known(&self, host: &str) -> Option<ResolvedSocketAddrs> {
        if let Ok(address) = host.parse::<SocketAddr>() {
            let mut addresses = self.system.empty();
            addresses.push(address);
            return Some(addresses);
        }
        let known = lock(&self.known);
        known.get(host).filter(|(since, _)| since.elapsed() < FRESH).map(|(_, it)| it.clone())
    }
}

impl Resolver for Remembering {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.scheme().zip(uri.authority());
        let host = host.and_then(|(scheme, name)| DefaultResolver::host_and_port(scheme, name));
        let Some(host) = host else { return self.system.resolve(uri, config, timeout) };
        if let Some(addresses) = self.known(&host) {
            return Ok(addresses);
        }
        let found = self.system.resolve(uri, config, timeout)?;
        lock(&self.known).insert(host, (Instant::now(), found.clone()));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_known_and_names_are_remembered_for_a_while() {
        let resolver = Remembering::default();
        let known = |host: &str| resolver.known(host).map(|found| found.to_vec());
        assert_eq!(known("127.0.0.1:5000"), Some(vec!["127.0.0.1:5000".parse().unwrap()]));
        assert_eq!(known("[::1]:443"), Some(vec!["[::1]:443".parse().unwrap()]));
        assert_eq!(known("registry.example:443"), None);

        let found = resolver.known("192.0.2.1:443").unwrap();
        let remember = |since| {
            let entry = (since, found.clone());
            lock(&resolver.known).insert("registry.example:443".to_owned(), entry);
        };
        remember(Instant::now());
        assert_eq!(known("registry.example:443"), Some(found.to_vec()));
        if let Some(long_ago) = Instant::now().checked_sub(2 * FRESH) {
            remember(long_ago);
            assert_eq!(known("registry.example:443"), None);
        }
    }
}
