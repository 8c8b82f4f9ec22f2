//! `--attest`, `--provenance` and `--sbom`, as buildx takes them.

use std::collections::BTreeMap;

use build::{Attesting, ProvenanceMode, ProvenanceOptions, ProvenanceVersion};

use crate::arguments::Arguments;

/// What an attestation is to be like: its type, and what else is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttestFlag {
    kind: Kind,
    values: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Provenance,
    Sbom,
}

/// `--attest type=provenance|sbom,…`
pub(crate) fn attest(text: &str) -> Result<AttestFlag, String> {
    let mut values = values(text)?;
    let kind = match values.remove("type").as_deref() {
        Some("provenance") => Kind::Provenance,
        Some("sbom") => Kind::Sbom,
        Some(other) => return Err(format!("type is provenance or sbom, not {other:?}")),
        None => return Err("an attestation needs a type: provenance or sbom".to_owned()),
    };
    checked(AttestFlag { kind, values })
}

/// `--provenance true|false|mode=…`
pub(crate) fn provenance(text: &str) -> Result<AttestFlag, String> {
    short(Kind::Provenance, text)
}

/// `--sbom true|false|generator=…`
pub(crate) fn sbom(text: &str) -> Result<AttestFlag, String> {
    short(Kind::Sbom, text)
}

fn short(kind: Kind, text: &str) -> Result<AttestFlag, String> {
    let values = match dockerfile::truth(text) {
        Some(yes) => BTreeMap::from([("disabled".to_owned(), (!yes).to_string())]),
        None => values(text)?,
    };
    checked(AttestFlag { kind, values })
}

fn values(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut values = BTreeMap::new();
    for field in dockerfile::fields(text).map_err(|error| error.to_string())? {
        let Some((key, value)) = field.split_once('=') else {
            return Err(format!("{field:?} is not KEY=VALUE"));
        };
        values.insert(key.trim().to_ascii_lowercase(), value.to_owned());
    }
    Ok(values)
}

/// The flag, if its values mean something.
fn checked(flag: AttestFlag) -> Result<AttestFlag, String> {
    let mut attesting = Attesting::default();
    flag.apply(&mut attesting).map(|()| flag)
}

impl AttestFlag {
    fn apply(&self, to: &mut Attesting) -> Result<(), String> {
        let mut values = self.values.clone();
        let disabled = flag(&mut values, "disabled")?;
        match self.kind {
            Kind::Provenance => {
                let options = provenance_options(&mut values)?;
                to.provenance = (!disabled).then_some(options);
            }
            Kind::Sbom => {
                if let Some(generator) = values.remove("generator").filter(|it| !it.is_empty()) {
                    return Err(format!(
                        "the generator {generator} is not run: tare-build finds the packages itself; leave \
                         generator= out"
                    ));
                }
                to.packages = !disabled;
            }
        }
        match values.into_keys().next() {
            Some(name) => Err(format!("unknown attribute {name}")),
            None => Ok(()),
        }
    }
}

fn provenance_options(values: &mut BTreeMap<String, String>) -> Result<ProvenanceOptions, String> {
    let mode = match values.remove("mode").as_deref() {
        Some("min") => ProvenanceMode::Min,
        None | Some("max" | "") => ProvenanceMode::Max,
        Some(other) => return Err(format!("mode is min or max, not {other:?}")),
    };
    let version = match values.remove("version").as_deref() {
        Some("v0.2") => ProvenanceVersion::V02,
        None | Some("v1" | "") => ProvenanceVersion::V1,
        Some(other) => return Err(format!("version is v0.2 or v1, not {other:?}")),
    };
    let file_name = values.remove("filename").filter(|name| !name.is_empty());
    if file_name.as_ref().is_some_and(|name| name.contains('/') || name.starts_with('.')) {
        return Err("filename is the name of a file, without a directory".to_owned());
    }
    Ok(ProvenanceOptions {
        mode,
        version,
        builder_id: values.remove("builder-id").unwrap_or_default(),
        reproducible: flag(values, "reproducible")?,
        inline_only: flag(values, "inline-only")?,
        file_name,
    })
}

fn flag(values: &mut BTreeMap<String, String>, name: &str) -> Result<bool, String> {
    match values.remove(name) {
        None => Ok(false),
        Some(text) => {
            dockerfile::truth(&text).ok_or_else(|| format!("{name} is true or false, not {text:?}"))
        }
    }
}

/// What all flags ask for together: those with a type of their own, then the short ones.
pub(crate) fn given(arguments: &Arguments) -> anyhow::Result<Attesting> {
    let mut attesting = Attesting::default();
    for kind in [Kind::Provenance, Kind::Sbom] {
        if arguments.attests.iter().filter(|it| it.kind == kind).count() > 1 {
            let name = if kind == Kind::Sbom { "sbom" } else { "provenance" };
            return Err(cli::usage(format!("--attest type={name} is given twice")));
        }
    }
    let short = [&arguments.provenance, &arguments.sbom];
    for flag in arguments.attests.iter().chain(short.into_iter().flatten()) {
        flag.apply(&mut attesting).map_err(cli::usage)?;
    }
    Ok(attesting)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(flag: &AttestFlag) -> Attesting {
        let mut attesting = Attesting::default();
        flag.apply(&mut attesting).unwrap();
        attesting
    }

    #[test]
    fn short_and_long_mean_the_same() {
        let long =
            attest("type=provenance,mode=min,builder-id=https://x,\"filename=a,b\"").unwrap();
        let short = provenance("mode=min,builder-id=https://x,\"filename=a,b\"").unwrap();
        assert_eq!(long, short);
        let options = applied(&long).provenance.unwrap();
        assert_eq!((options.mode, &*options.builder_id), (ProvenanceMode::Min, "https://x"));
        assert_eq!(options.file_name.as_deref(), Some("a,b"));
        let usual = applied(&provenance("true").unwrap()).provenance.unwrap();
        assert_eq!((usual.mode, usual.version), (ProvenanceMode::Max, ProvenanceVersion::V1));
        assert_eq!(applied(&provenance("false").unwrap()), Attesting::default());
        assert!(applied(&sbom("1").unwrap()).packages);
        assert!(!applied(&attest("type=sbom,disabled=true").unwrap()).packages);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for (refused, said) in [
            (attest("mode=max"), "needs a type"),
            (attest("type=log"), "not \"log\""),
            (provenance("mode=full-ish"), "min or max"),
            (provenance("version=v2"), "v0.2 or v1"),
            (provenance("maybe"), "not KEY=VALUE"),
            (provenance("colour=red"), "unknown attribute colour"),
            (provenance("filename=../x"), "without a directory"),
            (sbom("generator=docker/scout"), "is not run"),
            (sbom("mode=max"), "unknown attribute mode"),
        ] {
            let error = refused.unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
