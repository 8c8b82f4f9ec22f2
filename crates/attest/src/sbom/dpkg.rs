//! dpkg's `status` (deb-control(5)): a stanza for each package that is or was installed.

use super::fields::{Fields, stanzas};
use super::package::{Ecosystem, Package};

pub(super) fn read(text: &str, path: &str, packages: &mut Vec<Package>) {
    packages.extend(stanzas(text).filter_map(|stanza| package(&Fields::read(stanza), path)));
}

fn package(fields: &Fields<'_>, path: &str) -> Option<Package> {
    // In status.d there is none: what is there is installed.
    let status = fields.get("Status");
    let installed = status.is_empty() || status.ends_with(" installed");
    let (source, source_version) = match fields.get("Source").split_once(" (") {
        Some((name, version)) => (name, version.trim_end_matches(')')),
        None => (fields.get("Source"), ""),
    };
    let package = Package {
        name: fields.text("Package"),
        version: fields.text("Version"),
        architecture: fields.text("Architecture"),
        source: (source.to_owned(), source_version.to_owned()),
        maintainer: fields.text("Maintainer"),
        homepage: fields.text("Homepage"),
        summary: fields.text("Description"),
        ..Package::told_by(Ecosystem::Deb, path)
    };
    package.named().filter(|_| installed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_and_nothing_else() {
        let text = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\n\
                    Source: glibc (2.36-9)\nVersion: 2.36-9+deb12u4\nMaintainer: A <a@b.c>\n\
                    Description: GNU C Library: Shared libraries\n Contains the: standard\n\n\
                    Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\n\
                    Package: half\nStatus: install ok installed\n";
        let mut packages = Vec::new();
        read(text, "var/lib/dpkg/status", &mut packages);
        let [libc] = &packages[..] else { panic!("{packages:?}") };
        assert_eq!((&*libc.name, &*libc.version), ("libc6", "2.36-9+deb12u4"));
        assert_eq!(libc.source, ("glibc".to_owned(), "2.36-9".to_owned()));
        assert_eq!(libc.summary, "GNU C Library: Shared libraries");
    }

    #[test]
    fn a_file_of_a_distroless_image() {
        let mut packages = Vec::new();
        read("Package: base-files\nVersion: 12.4\n", "var/lib/dpkg/status.d/base", &mut packages);
        assert_eq!(packages.len(), 1);
    }
}
