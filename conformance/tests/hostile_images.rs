//! A corpus of hostile images (`hostile/images.py`): what becomes of each, by `unpack` and with both drivers,
//! is written down in `hostile/expected/`; and nothing outside of what they are given is touched.
//!
//! `TARE_EXPECT=write` writes the expectations anew, to be read before they are committed.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test is a program: it reads the environment, and shows what it finds"
)]

mod hostile;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use conformance::program;
use hostile::trace;

/// The images, and a place that links in them lead to.
struct Corpus {
    dir: tempfile::TempDir,
}

impl Corpus {
    fn new() -> Self {
        let corpus = Self { dir: tempfile::tempdir_in("/tmp").expect("a directory") };
        fs::create_dir(corpus.outside()).expect("create it");
        fs::write(corpus.outside().join("marker"), "untouched").expect("write it");
        let script = folder().join("images.py");
        let mut python = Command::new("python3");
        let made = python.arg(script).arg(corpus.path("images")).arg(corpus.outside()).output();
        let made = made.expect("python3 runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        corpus
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn name(&self) -> &str {
        self.dir.path().to_str().expect("UTF-8")
    }

    fn outside(&self) -> PathBuf {
        self.path("outside")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("images")).expect("the images");
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.expect("an entry").file_name().into_string().expect("UTF-8")
        };
        let mut names: Vec<_> = entries.map(name).collect();
        names.sort();
        names
    }

    /// The program on one of the images, as a store of its own.
    fn store(&self, image: &str) -> Command {
        let mut command = Command::new(program("tare-store"));
        command.arg("--store").arg(self.path("images").join(image));
        command
    }

    /// What becomes of an image in every way.
    fn told(&self, image: &str) -> String {
        let ways =
            [self.unpacked(image), self.bundled(image, "erofs"), self.bundled(image, "directory")];
        let [unpacked, erofs, directory] = ways;
        if unpacked == erofs && erofs == directory {
            return unpacked;
        }
        let joined = match erofs == directory {
            true => format!("-- bundle\n{erofs}"),
            false => format!("-- bundle, erofs\n{erofs}-- bundle, directory\n{directory}"),
        };
        format!("-- unpack\n{unpacked}{joined}")
    }

    fn unpacked(&self, image: &str) -> String {
        let (target, log) = (self.path("unpacked"), self.path("log"));
        let mut unpack = self.store(image);
        unpack.args(["unpack", "x"]).arg(&target);
        let output = trace::run(unpack, &log);
        let given = [self.path("images").join(image), target.clone()];
        let touched = trace::touched(&log, &given);
        assert_eq!(touched, Vec::<String>::new(), "{image}: touched outside of {given:?}");
        let told = self.result(&output, &target);
        let _ = fs::remove_dir_all(&target);
        assert!(!target.exists());
        told
    }

    fn bundled(&self, image: &str, driver: &str) -> String {
        let bundle = self.path("bundle");
        let made =
            self.store(image).args(["bundle", "--driver", driver, "x"]).arg(&bundle).output();
        let told = self.result(&made.expect("it runs"), &bundle.join("rootfs"));
        let released = self.store(image).arg("unbundle").arg(&bundle).output().expect("it runs");
        assert!(
            released.status.success(),
            "{image}: {}",
            String::from_utf8_lossy(&released.stderr)
        );
        assert!(!bundle.exists(), "{image}");
        told
    }

    /// The refusal, or the files. One that failed leaves nothing.
    fn result(&self, output: &Output, root: &Path) -> String {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => hostile::files(root),
            Some(1) => {
                assert!(!root.exists(), "a refused image leaves {}", root.display());
                self.refusal(&error)
            }
            code => panic!("{code:?}: {error}"),
        }
    }

    /// The last cause, without what differs from run to run.
    fn refusal(&self, error: &str) -> String {
        assert!(error.starts_with("tare-store: error: cannot "), "{error}");
        let cause = error.lines().rev().find(|line| line.starts_with("  caused by: "));
        let cause = cause.unwrap_or(error).replace("  caused by: ", "");
        let cause = cause.replace(self.name(), "DIR");
        let short: String = cause.chars().take(300).collect();
        format!("refused: {}\n", hostile::without_digests(&short))
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile")
}

#[test]
fn each_becomes_what_is_written_down() {
    let corpus = Corpus::new();
    let names = corpus.names();
    assert!(names.len() >= 100, "{}", names.len());
    let mut wrong = Vec::new();
    for name in &names {
        let told = corpus.told(name).replace(corpus.name(), "DIR");
        let told = told.replace(&corpus.name()[1..], "DIR");
        let expected = folder().join("expected").join(name);
        if std::env::var_os("TARE_EXPECT").is_some_and(|it| it == "write") {
            fs::write(&expected, &told).expect("write it");
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if told != expected {
            wrong.push(format!("{name}:\n{told}instead of\n{expected}"));
        }
        let marker = fs::read_to_string(corpus.outside().join("marker")).expect("it is there");
        assert_eq!(marker, "untouched", "{name}");
        assert_eq!(fs::read_dir(corpus.outside()).expect("it is there").count(), 1, "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let written = fs::read_dir(folder().join("expected")).expect("it is there").count();
    assert_eq!(written, names.len(), "an expectation without an image");
}
