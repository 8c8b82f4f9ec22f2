//! in-toto statements: a predicate, and what it is about (in-toto attestation framework, "Statement").

use std::collections::BTreeMap;

use image::Digest;
use serde::Serialize;

/// Something that a statement is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
}

impl Subject {
    /// Something with this name, or `_` where it has none, and this content.
    pub fn new(name: &str, digest: &Digest) -> Self {
        let name = if name.is_empty() { "_" } else { name }.to_owned();
        Self { name, digest: BTreeMap::from([("sha256".to_owned(), digest.hex())]) }
    }
}

/// The versions of statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Version {
    #[serde(rename = "https://in-toto.io/Statement/v0.1")]
    V01,
    #[serde(rename = "https://in-toto.io/Statement/v1")]
    V1,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'a, P> {
    #[serde(rename = "_type")]
    version: Version,
    predicate_type: &'a str,
    subject: &'a [Subject],
    predicate: P,
}

/// The JSON of a statement of the first version, which all readers know, about these subjects. The
/// predicate has to be JSON.
///
/// # Errors
/// It is not.
pub fn statement(
    predicate_type: &str,
    predicate: &[u8],
    subject: &[Subject],
) -> Result<Vec<u8>, serde_json::Error> {
    let predicate: serde_json::Value = serde_json::from_slice(predicate)?;
    Ok(json(Version::V01, predicate_type, predicate, subject))
}

pub(crate) fn json<P: Serialize>(
    version: Version,
    predicate_type: &str,
    predicate: P,
    subject: &[Subject],
) -> Vec<u8> {
    let statement = Statement { version, predicate_type, subject, predicate };
    serde_json::to_vec(&statement).expect("text, lists and maps with text keys serialize")
}
