//! The runtimes that are compared.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

/// Where `scripts/conformance` puts the newest runc of Debian's archives.
const FETCHED: &str = "/var/tmp/tare-conformance/runc";

/// A runc's version as far as it says what is known: major and minor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32);

impl FromStr for Version {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.');
        let mut part = || parts.next().unwrap_or("0").parse();
        Ok(Self(part()?, part()?))
    }
}

/// A runtime program.
#[derive(Debug)]
pub(crate) struct Engine {
    /// How it is called in messages: `runc 1.4`.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) version: Version,
}

impl Engine {
    pub(crate) fn is_ours(&self) -> bool {
        self.name == "tare-runtime"
    }
}

/// Ours first, then each runc that is here. There is one at least.
pub(crate) fn all() -> Vec<Engine> {
    let ours = Engine {
        name: "tare-runtime".into(),
        program: conformance::program("tare-runtime"),
        version: Version::default(),
    };
    let newer = std::env::var("TARE_RUNC").unwrap_or_else(|_| FETCHED.to_owned());
    let mut engines = vec![ours, runc(&find("runc"))];
    if Path::new(&newer).exists() {
        engines.push(runc(newer.as_ref()));
    } else {
        eprintln!("{newer} is not here: only Debian's runc is compared with");
    }
    engines
}

/// A program by its name, as the shell finds it.
fn find(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.into_iter().find(|place| place.exists()).unwrap_or_else(|| panic!("install {name}"))
}

fn runc(program: &Path) -> Engine {
    let told = conformance::succeed(Command::new(program).arg("--version")).out;
    let number = told.split_whitespace().nth(2).expect("runc tells its version");
    let version: Version = number.parse().expect("a version is two numbers and more");
    let name = format!("runc {}.{}", version.0, version.1);
    Engine { name, program: program.to_owned(), version }
}
