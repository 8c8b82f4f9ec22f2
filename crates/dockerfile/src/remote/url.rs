//! As much of a URL (RFC 3986) as tells where something is fetched from.

use percent_encoding::percent_decode_str;

/// The parts of `scheme://authority/path?query#fragment`, as written.
pub(super) struct Url<'a> {
    pub(super) scheme: &'a str,
    pub(super) authority: &'a str,
    path: &'a str,
    query: &'a str,
    fragment: &'a str,
    /// Everything before the query.
    pub(super) base: &'a str,
}

impl<'a> Url<'a> {
    /// `None` for what has no scheme, or no host.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (scheme, rest) = base.split_once("://")?;
        let known = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let url = Self { scheme, authority, path, query, fragment, base };
        (known && !url.host().is_empty()).then_some(url)
    }

    /// Without user and port.
    pub(super) fn host(&self) -> &'a str {
        let host = self.authority.rsplit_once('@').map_or(self.authority, |(_, host)| host);
        match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        }
    }

    pub(super) fn path(&self) -> String {
        decoded(self.path)
    }

    pub(super) fn fragment(&self) -> String {
        decoded(self.fragment)
    }

    /// Names and values of the query.
    pub(super) fn query(&self) -> Vec<(String, String)> {
        query(self.query)
    }

    /// The last component of the path, if that can be a file's name.
    pub(super) fn file_name(&self) -> Option<String> {
        let path = self.path();
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let usable = !matches!(name, "" | "." | "..") && !name.contains('\0');
        usable.then(|| name.to_owned())
    }
}

/// Names and values of `a=b&c`.
pub(super) fn query(text: &str) -> Vec<(String, String)> {
    let pair = |field: &str| {
        let field = field.replace('+', " ");
        let (name, value) = field.split_once('=').unwrap_or((&field, ""));
        (decoded(name), decoded(value))
    };
    text.split('&').filter(|field| !field.is_empty()).map(pair).collect()
}

/// Text with `%41` replaced by what it stands for; what is malformed stays.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
