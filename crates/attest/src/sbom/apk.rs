//! Alpine's `installed`: a stanza for each package, whose lines begin with a letter and a colon
//! (<https://wiki.alpinelinux.org/wiki/Apk_spec>, "Installed Database V2").

use super::fields::stanzas;
use super::package::{Ecosystem, Package};

pub(super) fn read(text: &str, path: &str, packages: &mut Vec<Package>) {
    packages.extend(stanzas(text).filter_map(|stanza| package(stanza, path)));
}

fn package(stanza: &str, path: &str) -> Option<Package> {
    let mut package = Package::told_by(Ecosystem::Apk, path);
    for line in stanza.lines() {
        let Some((letter, value)) = line.split_once(':') else { continue };
        let value = value.trim().to_owned();
        // Letters have other meanings after the first file: F, M, R, a and Z come there only.
        match letter {
            "P" => package.name = value,
            "V" => package.version = value,
            "A" => package.architecture = value,
            "o" => package.source.0 = value,
            "m" => package.maintainer = value,
            "U" => package.homepage = value,
            "T" => package.summary = value,
            "L" => package.license = value,
            _ => {}
        }
    }
    package.named()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_with_their_files() {
        let text = "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nT:the musl c library (libc) implementation\n\
                    U:https://musl.libc.org/\nL:MIT\no:musl\nm:Timo <t@a.org>\nF:lib\nR:ld-musl-x86_64.so.1\n\
                    a:0:0:755\n\nP:broken\n\n";
        let mut packages = Vec::new();
        read(text, "lib/apk/db/installed", &mut packages);
        let [musl] = &packages[..] else { panic!("{packages:?}") };
        assert_eq!((&*musl.name, &*musl.version, &*musl.license), ("musl", "1.2.4-r2", "MIT"));
        assert_eq!((&*musl.source.0, &*musl.architecture), ("musl", "x86_64"));
    }
}
