//! Python's core metadata (<https://packaging.python.org/specifications/core-metadata/>): a file of an
//! installed distribution.

use super::fields::Fields;
use super::package::{Ecosystem, Package};

/// Whether the path is that of such a file.
pub(super) fn is_metadata(path: &[u8]) -> bool {
    [&b".dist-info/METADATA"[..], b".egg-info/PKG-INFO", b".egg-info"]
        .iter()
        .any(|ending| path.len() > ending.len() && path.ends_with(ending))
}

pub(super) fn read(text: &str, path: &str) -> Option<Package> {
    let fields = Fields::read(text);
    // `License` may be the whole text of it; then its first line is no licence's name.
    let license = [fields.get("License-Expression"), fields.get("License")];
    let license = license.into_iter().find(|it| !it.is_empty() && *it != "UNKNOWN");
    let package = Package {
        name: fields.text("Name"),
        version: fields.text("Version"),
        maintainer: person(&fields),
        homepage: homepage(&fields),
        summary: fields.text("Summary"),
        license: license.unwrap_or_default().to_owned(),
        ..Package::told_by(Ecosystem::Python, path)
    };
    package.named()
}

fn person(fields: &Fields<'_>) -> String {
    let (name, address) = (fields.get("Author"), fields.get("Author-email"));
    match (name.is_empty(), address.is_empty()) {
        (false, false) => format!("{name} <{address}>"),
        (false, true) => name.to_owned(),
        // Mostly both: `Name <address>`.
        _ => address.to_owned(),
    }
}

fn homepage(fields: &Fields<'_>) -> String {
    let labelled = fields.all("Project-URL").find_map(|line| {
        let (label, url) = line.split_once(',')?;
        label.trim().eq_ignore_ascii_case("homepage").then(|| url.trim())
    });
    match fields.get("Home-page") {
        "" | "UNKNOWN" => labelled.unwrap_or_default().to_owned(),
        page => page.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_old_and_new_tools() {
        let new = "Metadata-Version: 2.4\nName: Some_Pkg\nVersion: 1.0\nAuthor-email: A B <a@b.c>\n\
                   License-Expression: MIT\nProject-URL: Homepage, https://x.org\n\n# Readme\nName: no\n";
        let package = read(new, "x").unwrap();
        assert_eq!((&*package.name, &*package.license), ("Some_Pkg", "MIT"));
        assert_eq!((&*package.maintainer, &*package.homepage), ("A B <a@b.c>", "https://x.org"));
        let old = "Name: old\nVersion: 2\nAuthor: A\nHome-page: https://y.org\nLicense: UNKNOWN\n";
        let package = read(old, "x").unwrap();
        assert_eq!((&*package.maintainer, &*package.license), ("A", ""));
        assert_eq!(read("Summary: nothing\n", "x"), None);
        assert!(is_metadata(b"usr/lib/python3/dist-packages/six-1.16.0.egg-info"));
        assert!(!is_metadata(b"a/METADATA") && !is_metadata(b".egg-info"));
    }
}
