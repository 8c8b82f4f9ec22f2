//! From proxy settings as the environment has them to the HTTP library's.

use ureq::Proxy;

use crate::Error;
use crate::endpoint::Scheme;
use crate::options::Proxies;

/// Never reached through a proxy: it would look for them on its own machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.*", "[::1]"];

/// The proxy for registries of a scheme.
///
/// # Errors
/// [`Error::Proxy`] where the URL is none.
pub(crate) fn of(proxies: &Proxies, scheme: Scheme) -> Result<Option<Proxy>, Error> {
    let (url, name) = match scheme {
        Scheme::Https => (&proxies.https, "https"),
        Scheme::Http => (&proxies.http, "http"),
    };
    let Some(url) = url.as_ref().filter(|url| !url.is_empty()) else { return Ok(None) };
    let malformed = |_| Error::Proxy(name);
    let proxy = Proxy::new(url).map_err(malformed)?;
    let mut builder = Proxy::builder(proxy.protocol()).host(proxy.host()).port(proxy.port());
    if let Some(user) = proxy.username() {
        builder = builder.username(user);
    }
    if let Some(password) = proxy.password() {
        builder = builder.password(password);
    }
    let direct = proxies.none_for.iter().flat_map(|entry| patterns(entry));
    let builder = direct
        .chain(LOOPBACK.map(str::to_owned))
        .fold(builder, |builder, pattern| builder.no_proxy(&pattern));
    builder.build().map(Some).map_err(malformed)
}

/// An entry of `no_proxy` means a domain and all hosts in it; the library wants both said.
fn patterns(entry: &str) -> Vec<String> {
    let entry = entry.trim().to_ascii_lowercase();
    match entry.as_str() {
        "" => Vec::new(),
        "*" => vec![entry],
        _ => {
            let domain = entry.trim_start_matches('*').trim_start_matches('.');
            vec![domain.to_owned(), format!(".{domain}")]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(entries: &[&str], host: &str) -> bool {
        let proxies = Proxies {
            https: Some("http://user:p%40ss@proxy.example.com:3128".to_owned()),
            http: None,
            none_for: entries.iter().map(|&entry| entry.to_owned()).collect(),
        };
        let proxy = of(&proxies, Scheme::Https).unwrap().unwrap();
        assert_eq!((proxy.username(), proxy.password()), (Some("user"), Some("p@ss")));
        assert_eq!((proxy.host(), proxy.port()), ("proxy.example.com", 3128));
        proxy.is_no_proxy(&format!("https://{host}/").parse().unwrap())
    }

    #[test]
    fn who_is_reached_directly() {
        for (entries, host, want) in [
            (&[][..], "quay.io", false),
            (&["quay.io"], "quay.io", true),
            (&[" quay.io "], "cdn.quay.io", true),
            (&[".quay.io"], "quay.io", true),
            (&["quay.io"], "notquay.io", false),
            (&["*"], "quay.io", true),
            (&[], "localhost:5000", true),
            (&[], "127.0.0.5:5000", true),
            (&[], "[::1]:5000", true),
        ] {
            assert_eq!(direct(entries, host), want, "{entries:?} {host}");
        }
    }

    #[test]
    fn a_malformed_url_is_refused_and_an_empty_one_is_none() {
        let proxies = |url: &str| Proxies { http: Some(url.to_owned()), ..Proxies::default() };
        assert!(matches!(of(&proxies("::hunter2::"), Scheme::Http), Err(Error::Proxy("http"))));
        assert!(of(&proxies(""), Scheme::Http).unwrap().is_none());
        assert!(of(&proxies("http://p"), Scheme::Https).unwrap().is_none());
    }
}
