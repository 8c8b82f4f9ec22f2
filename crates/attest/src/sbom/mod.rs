//! SBOM: the packages of an image, told by the files with which package managers keep their books.
//!
//! ```text
//! path ──Book::of──▶ whether a file tells of packages
//! its bytes ──Scan::add──▶ packages        dpkg, apk, python, node: a parser each
//!                          Scan::document ──▶ SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3/)
//! ```
//!
//! Nothing is run and nothing is unpacked. A file that makes no sense tells of nothing; of a manager that
//! is not known here (rpm), [`Scan::unread`] says so.

mod apk;
mod dpkg;
mod fields;
mod node;
mod os_release;
mod package;
mod python;
mod spdx_document;

pub use package::{Ecosystem, Package};
pub use spdx_document::{Described, PREDICATE_TYPE};

use os_release::Distribution;

/// A file that tells of packages, by who keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Book {
    /// Which distribution this is: `os-release`(5).
    OsRelease,
    /// Debian's `status`, and distroless images' files in `status.d`.
    Dpkg,
    /// Alpine's `installed`.
    Apk,
    /// The metadata of an installed Python distribution.
    Python,
    /// The `package.json` of an installed Node package.
    Node,
    /// A database of rpm, which is not read.
    Rpm,
}

impl Book {
    /// What the file at a path, relative to the root, is in this respect.
    ///
    /// ```
    /// use attest::sbom::Book;
    /// assert_eq!(Book::of(b"var/lib/dpkg/status"), Some(Book::Dpkg));
    /// assert_eq!(Book::of(b"var/lib/dpkg/status-old"), None);
    /// assert_eq!(Book::of(b"app/node_modules/@a/b/package.json"), Some(Book::Node));
    /// assert_eq!(Book::of(b"app/package.json"), None);
    /// ```
    pub fn of(path: &[u8]) -> Option<Self> {
        match path {
            b"usr/lib/os-release" | b"etc/os-release" => return Some(Self::OsRelease),
            b"var/lib/dpkg/status" => return Some(Self::Dpkg),
            b"lib/apk/db/installed" | b"usr/lib/apk/db/installed" => return Some(Self::Apk),
            b"var/lib/rpm/rpmdb.sqlite"
            | b"var/lib/rpm/Packages"
            | b"var/lib/rpm/Packages.db"
            | b"usr/lib/sysimage/rpm/rpmdb.sqlite"
            | b"usr/lib/sysimage/rpm/Packages.db" => {
                return Some(Self::Rpm);
            }
            _ => {}
        }
        if let Some(name) = path.strip_prefix(b"var/lib/dpkg/status.d/") {
            let plain = !name.contains(&b'/') && !name.ends_with(b".md5sums");
            return plain.then_some(Self::Dpkg);
        }
        if python::is_metadata(path) {
            return Some(Self::Python);
        }
        node::is_package(path).then_some(Self::Node)
    }
}

/// What was found so far.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    distribution: Distribution,
    packages: Vec<Package>,
    unread: Vec<String>,
}

impl Scan {
    /// Takes in a file: what [`Book::of`] says of its path, the path, and its bytes.
    pub fn add(&mut self, book: Book, path: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        match book {
            Book::OsRelease => self.distribution.read(&text),
            Book::Dpkg => dpkg::read(&text, path, &mut self.packages),
            Book::Apk => apk::read(&text, path, &mut self.packages),
            Book::Python => self.packages.extend(python::read(&text, path)),
            Book::Node => self.packages.extend(node::read(bytes, path)),
            Book::Rpm => self.unread.push(path.to_owned()),
        }
    }

    /// The packages, in the order in which they were found.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// Files that tell of packages and are not understood.
    pub fn unread(&self) -> &[String] {
        &self.unread
    }
}
