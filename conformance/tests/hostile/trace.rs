//! What a program changes, by strace(1).

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output};

/// The calls that change a file system, but for opening a file.
const CHANGING: &str = "mkdir,mkdirat,mknod,mknodat,symlink,symlinkat,link,linkat,unlink,unlinkat,rmdir,rename,renameat,\
    renameat2,chmod,fchmod,fchmodat,?fchmodat2,chown,lchown,fchown,fchownat,utimensat,truncate,ftruncate,setxattr,\
    lsetxattr,fsetxattr,?setxattrat,removexattr,lremovexattr,fremovexattr,mount,move_mount,open,creat,openat,openat2";

/// Runs a command and logs its calls, each descriptor with its path.
pub(crate) fn run(command: Command, log: &Path) -> Output {
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-y", "-s", "8192", "-e", &format!("trace={CHANGING}"), "-o"])
        .arg(log);
    strace.arg("timeout").arg("60").arg(command.get_program()).args(command.get_args());
    strace.output().expect("strace runs")
}

/// The calls in a log that changed something outside of the paths given.
pub(crate) fn touched(log: &Path, given: &[PathBuf]) -> Vec<String> {
    let text = fs::read(log).expect("the log");
    let text = String::from_utf8_lossy(&text);
    let calls: Vec<&str> = text.lines().filter(|line| line.contains('(')).collect();
    assert!(calls.len() > 3, "strace saw nothing:\n{text}");
    let is_given = |path: &Path| given.iter().any(|given| path.starts_with(given));
    // Pipes, terminals, and descriptors by their names in procfs have been opened before.
    let is_ours = |path: &Path| path.starts_with("/dev") || path.starts_with("/proc/self");
    calls
        .into_iter()
        .filter(|call| changes(call))
        .filter(|call| !places(call).iter().all(|path| is_given(path) || is_ours(path)))
        .map(str::to_owned)
        .collect()
}

/// Whether a call may change something: an open for reading does not, and one that failed did not.
fn changes(call: &str) -> bool {
    let opens = call.contains("open(") || call.contains("openat(") || call.contains("openat2(");
    let writes =
        ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| call.contains(flag));
    (!opens || writes) && !call.contains(" = -1 ")
}

/// The absolute paths that a call is about: names below their directories, descriptors, and the result.
fn places(call: &str) -> Vec<PathBuf> {
    let start = call.find('(').map_or(0, |at| at + 1);
    let (mut places, mut directory): (Vec<PathBuf>, Option<PathBuf>) = (Vec::new(), None);
    let (is_link, is_attribute) =
        (call[..start].contains("symlink"), call[..start].contains("xattr"));
    let mut rest = &call[start..];
    let mut strings = 0;
    while let Some(at) = rest.find(['"', '<']) {
        let (opening, after) = (rest.as_bytes()[at], &rest[at + 1..]);
        let end = closing(after, if opening == b'"' { b'"' } else { b'>' });
        let word = &after[..end];
        rest = &after[(end + 1).min(after.len())..];
        if opening == b'<' {
            places.extend(directory.take());
            directory = Some(PathBuf::from(word)).filter(|path| path.is_absolute());
            continue;
        }
        strings += 1;
        // What a symbolic link says is not where it is; attributes' names and values are no paths.
        let is_said = is_link && strings == 1 || is_attribute && strings > 1;
        if !is_said {
            let base = directory.take().unwrap_or_default();
            places.push(normal(&base.join(word)));
        }
    }
    places.extend(directory);
    places.retain(|path| path.is_absolute());
    places
}

fn closing(text: &str, end: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            byte if byte == end => return at,
            _ => {}
        }
    }
    text.len()
}

/// Without `.` and `..`, by the text.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            component => out.push(component),
        }
    }
    out
}
