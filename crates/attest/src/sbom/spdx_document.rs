//! The SPDX document (<https://spdx.github.io/spdx-spec/v2.3/>) of what was found.

use std::collections::BTreeMap;

use image::{DateTime, Digest};
use serde::Serialize;

use super::Scan;
use super::package::Package;

/// What an in-toto statement calls the document.
pub const PREDICATE_TYPE: &str = "https://spdx.dev/Document";

const NOTHING_SAID: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";

/// What the document is about, and who made it when.
#[derive(Clone, Debug)]
pub struct Described<'a> {
    /// The image's name; empty for none.
    pub name: &'a str,
    /// The digest of its configuration: docker's image ID.
    pub id: Digest,
    /// `tare-build-0.1.0`
    pub tool: &'a str,
    /// When.
    pub created: DateTime,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: &'a str,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<Entry<'a>>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
struct CreationInfo {
    created: String,
    creators: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    name: &'a str,
    #[serde(rename = "SPDXID")]
    id: String,
    version_info: String,
    supplier: String,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    homepage: Option<&'a str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    source_info: String,
    license_concluded: &'static str,
    license_declared: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    license_comments: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    summary: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_package_purpose: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

impl Scan {
    /// The document's JSON. The packages stand in the order of their package URLs, each once.
    pub fn document(&self, about: &Described<'_>) -> Vec<u8> {
        let name = if about.name.is_empty() { "image" } else { about.name };
        let mut entries = BTreeMap::new();
        for package in &self.packages {
            let purl = package.purl(&self.distribution);
            entries.entry((purl.clone(), &package.path)).or_insert_with(|| entry(package, purl));
        }
        let entries: Vec<Entry<'_>> = entries.into_values().collect();
        let mut relationships = vec![relationship(DOCUMENT, "DESCRIBES", IMAGE)];
        relationships.extend(entries.iter().map(|it| relationship(IMAGE, "CONTAINS", &it.id)));
        let document = Document {
            spdx_version: "SPDX-2.3",
            data_license: "CC0-1.0",
            id: DOCUMENT,
            name,
            document_namespace: namespace(about),
            creation_info: CreationInfo {
                // Whole seconds: the format has no others.
                created: DateTime::new(about.created.seconds(), 0).to_string(),
                creators: vec![format!("Tool: {}", about.tool)],
            },
            packages: std::iter::once(image(name, about)).chain(entries).collect(),
            relationships,
        };
        serde_json::to_vec(&document).expect("text, lists and maps with text keys serialize")
    }
}

/// A URI that no other document has: it says what the document is about, and of when it is.
fn namespace(about: &Described<'_>) -> String {
    let of = Digest::of(format!("{}\n{}\n{}", about.id, about.created, about.tool));
    format!("https://spdx.org/spdxdocs/image-{}-{}", about.id.hex(), &of.hex()[..16])
}

fn relationship(from: &str, kind: &'static str, to: &str) -> Relationship {
    Relationship {
        spdx_element_id: from.to_owned(),
        relationship_type: kind,
        related_spdx_element: to.to_owned(),
    }
}

fn image<'a>(name: &'a str, about: &Described<'_>) -> Entry<'a> {
    Entry {
        name,
        id: IMAGE.to_owned(),
        version_info: about.id.to_string(),
        supplier: NOTHING_SAID.to_owned(),
        download_location: NOTHING_SAID,
        files_analyzed: false,
        homepage: None,
        source_info: String::new(),
        license_concluded: NOTHING_SAID,
        license_declared: NOTHING_SAID.to_owned(),
        license_comments: String::new(),
        copyright_text: NOTHING_SAID,
        summary: "",
        external_refs: Vec::new(),
        primary_package_purpose: Some("CONTAINER"),
    }
}

fn entry(package: &Package, purl: String) -> Entry<'_> {
    let (license_declared, license_comments) = license(&package.license);
    let id = format!("{purl}\n{}", package.path);
    let kind = package.ecosystem.purl_type();
    Entry {
        name: &package.name,
        id: format!(
            "SPDXRef-Package-{kind}-{}-{}",
            plain(&package.name),
            &Digest::of(id).hex()[..16]
        ),
        version_info: package.version.clone(),
        supplier: supplier(&package.maintainer),
        download_location: NOTHING_SAID,
        files_analyzed: false,
        homepage: Some(&*package.homepage).filter(|page| is_uri(page)),
        source_info: format!("from {}: /{}", package.ecosystem.book(), package.path),
        license_concluded: NOTHING_SAID,
        license_declared,
        license_comments,
        copyright_text: NOTHING_SAID,
        summary: &package.summary,
        external_refs: vec![ExternalRef {
            reference_category: "PACKAGE-MANAGER",
            reference_type: "purl",
            reference_locator: purl,
        }],
        primary_package_purpose: None,
    }
}

/// A licence as an SPDX expression, or else in its own words as a comment.
fn license(words: &str) -> (String, String) {
    if words.is_empty() {
        return (NOTHING_SAID.to_owned(), String::new());
    }
    let custom = words.contains("LicenseRef-") || words.contains("DocumentRef-");
    match spdx::Expression::parse(words) {
        Ok(_) if !custom => (words.to_owned(), String::new()),
        _ => (NOTHING_SAID.to_owned(), format!("declared as: {words}")),
    }
}

/// `Name <address>` as SPDX has it: `Person: Name (address)`.
fn supplier(maintainer: &str) -> String {
    let clean = |text: &str| text.replace(['(', ')', '\n'], " ").trim().to_owned();
    match maintainer.split_once('<') {
        _ if maintainer.trim().is_empty() => NOTHING_SAID.to_owned(),
        Some((name, rest)) => {
            let address = clean(rest.split('>').next().unwrap_or_default());
            let name = Some(clean(name)).filter(|name| !name.is_empty()).unwrap_or(address.clone());
            if address.contains('@') && !address.contains(char::is_whitespace) {
                format!("Person: {name} ({address})")
            } else {
                format!("Person: {name}")
            }
        }
        None => format!("Person: {}", clean(maintainer)),
    }
}

fn is_uri(text: &str) -> bool {
    let scheme = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let special = |c: char| !c.is_ascii_graphic() || "<>\"{}|\\^`".contains(c);
    scheme.is_some_and(|rest| !rest.is_empty() && !rest.contains(special))
}

/// What may stand in an identifier: letters, digits, `.` and `-`.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::Book;
    use super::*;

    fn document(scan: &Scan) -> Value {
        let about = Described {
            name: "app",
            id: Digest::of("image"),
            tool: "tare-build-1",
            created: DateTime::new(1, 5),
        };
        serde_json::from_slice(&scan.document(&about)).unwrap()
    }

    #[test]
    fn packages_in_order_each_once() {
        let mut scan = Scan::default();
        scan.add(Book::OsRelease, "etc/os-release", b"ID=alpine\nVERSION_ID=3.20\n");
        let installed =
            b"P:b\nV:2\nA:x86_64\nL:GPL-2.0-only AND MIT\nm:N <n@x.org>\n\nP:a\nV:1\nL:custom\n";
        scan.add(Book::Apk, "lib/apk/db/installed", installed);
        scan.add(Book::Apk, "lib/apk/db/installed", installed);
        let document = document(&scan);
        assert_eq!(document["creationInfo"]["created"], "1970-01-01T00:00:01Z");
        let packages = document["packages"].as_array().unwrap();
        let names: Vec<&str> = packages.iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["app", "a", "b"]);
        assert_eq!(packages[1]["licenseDeclared"], "NOASSERTION");
        assert_eq!(packages[1]["licenseComments"], "declared as: custom");
        assert_eq!(packages[2]["licenseDeclared"], "GPL-2.0-only AND MIT");
        assert_eq!(packages[2]["supplier"], "Person: N (n@x.org)");
        assert_eq!(
            packages[2]["externalRefs"][0]["referenceLocator"],
            "pkg:apk/alpine/b@2?arch=x86_64&distro=alpine-3.20"
        );
        assert_eq!(document["relationships"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn words_that_are_no_values_are_left_out() {
        for (maintainer, want) in [
            ("", "NOASSERTION"),
            ("A (team)", "Person: A  team"),
            ("<a@b.c>", "Person: a@b.c (a@b.c)"),
            ("A <nothing>", "Person: A"),
        ] {
            assert_eq!(supplier(maintainer), want);
        }
        assert!(is_uri("https://x.org/a?b#c"));
        assert!(!is_uri("www.x.org") && !is_uri("https://a b") && !is_uri("http://"));
        assert_eq!(plain("lib+x_1.0"), "lib-x-1.0");
    }
}
