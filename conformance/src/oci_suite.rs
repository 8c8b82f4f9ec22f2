//! The validation suite of OCI's runtime-tools: built, run with a runtime, judged.
//!
//! The suite is a folder of programs, each of which starts containers with the runtime that it is given
//! and tells what it found in the Test Anything Protocol. `conformance/oci-suite/build` makes the
//! folder, `isolate` there runs one program apart from all others and leaves nothing behind.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How long a program may take, in seconds; the slowest waits for about 25.
const LIMIT: &str = "120";

/// What a program of the suite said of a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All its results are good, and there is one.
    Passed,
    /// A bad result, or an end with an error or by the time limit.
    Failed,
    /// It ended well without a result: the protocol's `1..0`, or nothing but `# SKIP`.
    Skipped,
}

/// One program's run with one runtime.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The judgement.
    pub verdict: Verdict,
    /// All that it said, standard error last.
    pub said: String,
}

/// A folder with the suite's programs.
#[derive(Clone, Debug)]
pub struct Suite {
    folder: PathBuf,
}

impl Suite {
    /// Builds the suite below the folder of `cache`, unless it is there.
    ///
    /// # Errors
    ///
    /// What the build says, when sources or packages are missing.
    pub fn build(cache: &Path) -> io::Result<Self> {
        let folder = cache.join("suite");
        let output = Command::new(tool("build")).arg(&folder).output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(Self { folder })
    }

    /// Which version of runtime-tools it is.
    ///
    /// # Errors
    ///
    /// A folder that was tampered with.
    pub fn version(&self) -> io::Result<String> {
        Ok(std::fs::read_to_string(self.folder.join("version"))?.trim().to_owned())
    }

    /// The programs' names, in order.
    ///
    /// # Errors
    ///
    /// A folder that was tampered with.
    pub fn programs(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(self.folder.join("bin"))?;
        let mut names = entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// Runs one program with a runtime.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn run(&self, program: &str, runtime: &Path) -> io::Result<Ran> {
        let output = Command::new(tool("isolate"))
            .arg(&self.folder)
            .arg(program)
            .arg(runtime)
            .arg(LIMIT)
            .output()?;
        let told = String::from_utf8_lossy(&output.stdout);
        let verdict = judge(&told, output.status.success());
        Ok(Ran { verdict, said: told.into_owned() + &String::from_utf8_lossy(&output.stderr) })
    }

    /// Runs the programs with a runtime, `jobs` at a time (most of them wait most of the time).
    ///
    /// # Errors
    ///
    /// When one cannot be started.
    pub fn run_all(
        &self,
        programs: &[String],
        runtime: &Path,
        jobs: usize,
    ) -> io::Result<BTreeMap<String, Ran>> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(BTreeMap::new());
        let work = || -> io::Result<()> {
            while let Some(program) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let ran = self.run(program, runtime)?;
                let mut results = results.lock().map_err(|_| io::Error::other("a run panicked"))?;
                results.insert(program.clone(), ran);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| {
                worker.join().map_err(|_| io::Error::other("a run panicked"))?
            })
        })?;
        results.into_inner().map_err(|_| io::Error::other("a run panicked"))
    }
}

/// What a program told in the Test Anything Protocol, and whether it ended well.
fn judge(told: &str, ended_well: bool) -> Verdict {
    let results =
        told.lines().filter(|line| line.starts_with("ok ") || line.starts_with("not ok "));
    let counted: Vec<&str> = results.filter(|line| !line.contains("# SKIP")).collect();
    let bad = |line: &&str| line.starts_with("not ok ") && !line.contains("# TODO");
    match counted.iter().any(bad) {
        true => Verdict::Failed,
        false if !ended_well => Verdict::Failed,
        false if counted.is_empty() => Verdict::Skipped,
        false => Verdict::Passed,
    }
}

fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("oci-suite").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_as_the_protocol_says() {
        for (told, ended_well, verdict) in [
            ("TAP version 13\nok 1 - a\nok 2 # SKIP b\n1..2\n", true, Verdict::Passed),
            ("ok 1 - a\nnot ok 2 - # TODO b\n", true, Verdict::Passed),
            ("ok 1 - a\nnot ok 2 - b\n", true, Verdict::Failed),
            ("ok 1 - a\n", false, Verdict::Failed),
            ("TAP version 13\n1..0\n", true, Verdict::Skipped),
            ("1..1\nok 1 # SKIP not here\n", true, Verdict::Skipped),
            ("", false, Verdict::Failed),
        ] {
            assert_eq!(judge(told, ended_well), verdict, "{told}");
        }
    }
}
