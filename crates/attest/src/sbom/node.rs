//! Node's `package.json` of what is installed in a `node_modules` folder
//! (<https://docs.npmjs.com/files/package.json>).

use serde_json::Value;

use super::package::{Ecosystem, Package};

/// Whether the path is that of such a file: `…/node_modules/NAME/package.json`, or `…/@SCOPE/NAME/…`.
pub(super) fn is_package(path: &[u8]) -> bool {
    let Some(folder) = path.strip_suffix(b"/package.json") else { return false };
    let mut parts = folder.rsplit(|&byte| byte == b'/').skip(1);
    match parts.next() {
        Some(b"node_modules") => true,
        Some(scope) if scope.starts_with(b"@") => parts.next() == Some(b"node_modules"),
        _ => false,
    }
}

pub(super) fn read(bytes: &[u8], path: &str) -> Option<Package> {
    let json: Value = serde_json::from_slice(bytes).ok()?;
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let package = Package {
        name: text("name"),
        version: text("version"),
        maintainer: person(&json["author"]),
        homepage: text("homepage"),
        summary: text("description"),
        license: license(&json),
        ..Package::told_by(Ecosystem::Npm, path)
    };
    package.named()
}

/// `"MIT"`, or in the old way `{"type": "MIT"}` or a list of such.
fn license(json: &Value) -> String {
    let one = |value: &Value| value.as_str().or_else(|| value["type"].as_str()).map(str::to_owned);
    let old = || {
        let all: Vec<String> = json["licenses"].as_array()?.iter().filter_map(one).collect();
        Some(all.join(" OR "))
    };
    one(&json["license"]).or_else(old).unwrap_or_default()
}

fn person(value: &Value) -> String {
    match (value.as_str(), value["name"].as_str(), value["email"].as_str()) {
        (Some(text), ..) => text.to_owned(),
        (_, Some(name), Some(address)) => format!("{name} <{address}>"),
        (_, name, _) => name.unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_all_ages() {
        let json = br#"{"name":"@a/b","version":"1.0.0","author":{"name":"N","email":"n@x"},
            "licenses":[{"type":"MIT"},{"type":"Apache-2.0"}]}"#;
        let package = read(json, "x").unwrap();
        assert_eq!((&*package.name, &*package.maintainer), ("@a/b", "N <n@x>"));
        assert_eq!(package.license, "MIT OR Apache-2.0");
        assert_eq!(read(br#"{"type":"module"}"#, "x"), None);
        assert_eq!(read(b"not json", "x"), None);
        assert!(is_package(b"app/node_modules/a/package.json"));
        assert!(!is_package(b"node_modules/a/test/package.json"));
    }
}
