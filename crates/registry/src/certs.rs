//! Authorities that vouch for one registry alone: containers-certs.d(5), docker's "certs.d".

use std::fs;
use std::path::{Path, PathBuf};

use crate::options::{Options, Trust};

/// Whose certificates are believed for this registry: besides the usual authorities those in its own
/// directories. Where the usual ones are those that are built in, its own take their place.
pub(crate) fn trust_for(options: &Options, registry: &str) -> Trust {
    let own: Vec<PathBuf> = options
        .certs_d
        .iter()
        .flat_map(|directory| authorities(&directory.join(registry)))
        .collect();
    match &options.trust {
        Trust::Anybody => Trust::Anybody,
        trust if own.is_empty() => trust.clone(),
        Trust::BuiltIn => Trust::Authorities(own),
        Trust::Authorities(usual) => Trust::Authorities(usual.iter().cloned().chain(own).collect()),
    }
}

/// The authorities in a directory, in order. One that cannot be read has none.
fn authorities(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "crt"))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_has_its_own_authorities_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("host:5000");
        fs::create_dir(&own).unwrap();
        for name in ["b.crt", "a.crt", "client.cert", "client.key"] {
            fs::write(own.join(name), "").unwrap();
        }
        let options = |trust| Options {
            trust,
            certs_d: vec!["/nowhere".into(), directory.path().to_owned()],
            ..Options::default()
        };
        let files = vec![own.join("a.crt"), own.join("b.crt")];
        assert_eq!(
            trust_for(&options(Trust::BuiltIn), "host:5000"),
            Trust::Authorities(files.clone())
        );
        assert_eq!(trust_for(&options(Trust::BuiltIn), "host"), Trust::BuiltIn);
        assert_eq!(trust_for(&options(Trust::Anybody), "host:5000"), Trust::Anybody);
        let usual = PathBuf::from("usual.pem");
        let all = std::iter::once(usual.clone()).chain(files).collect();
        let trust = options(Trust::Authorities(vec![usual]));
        assert_eq!(trust_for(&trust, "host:5000"), Trust::Authorities(all));
    }
}
