//! The last steps before the container's program runs, shared by `create`, `run` and `exec`: who it
//! is, where it stands, what it sees, and `execve`.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Process;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Doing, Error, Result, reason};
use crate::seccomp::Filter;
use crate::sync::{Channel, Message};
use crate::{identity, syscalls};

/// A program that only needs to be executed.
pub(crate) struct Program {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

/// Becomes the process's user under its seccomp filter, in its working directory, and finds the
/// program. What can fail does so here, before `create` reports success.
pub(crate) fn prepare(
    process: &Process,
    mapped: bool,
    filter: Option<&Filter>,
    preserve_fds: u32,
    listen_fds: u32,
    channel: &Channel,
    kept: &[BorrowedFd<'_>],
) -> Result<Program> {
    close_others(3 + preserve_fds + listen_fds, channel, kept)?;
    crate::signals::restore_pipe_signal();
    let umask = process.user().umask().unwrap_or(0o022);
    rustix::process::umask(Mode::from_raw_mode(umask & 0o777));
    give_standard_streams(process.user().uid())?;
    let entered = enter_directory(process.cwd(), true)?;
    if entered {
        // Before the filter, which may forbid to ask.
        check_directory()?;
    }
    if process.no_new_privileges() == Some(true) {
        identity::forbid_new_privileges()?;
    } else {
        // Without no-new-privileges a filter can be loaded only by who has CAP_SYS_ADMIN still.
        load_filter(filter, channel)?;
    }
    for warning in identity::assume(process, mapped)? {
        channel.send(&Message::Warning(warning))?;
    }
    if !entered {
        enter_directory(process.cwd(), false)?;
        check_directory()?;
    }
    let program = Program::find(process, listen_fds)?;
    if process.no_new_privileges() == Some(true) && filter.is_some_and(Filter::notifies) {
        // Its descriptor is taken by the runtime, which goes once the container is created.
        load_filter(filter, channel)?;
    }
    Ok(program)
}

/// Before any path is looked up in the container all descriptors are closed but those by which we are
/// spoken to. Closing on exec would be too late: the kernel looks the program up before, and
/// `/proc/self/fd/N/../..` of a directory of the host's leads to the host's programs
/// (CVE-2024-21626).
fn close_others(first: u32, channel: &Channel, kept: &[BorrowedFd<'_>]) -> Result<()> {
    let all = kept.iter().copied().chain([channel.as_fd()]);
    let mut keep: Vec<u32> = all.map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    // SAFETY: what this process still owns besides is kept; it ends in execve or _exit.
    unsafe { syscalls::close_from(first, &mut keep) }.doing(|| "close other descriptors".into())
}

/// With no-new-privileges the filter comes last, so that it need allow nothing of the runtime's.
pub(crate) fn confine(process: &Process, filter: Option<&Filter>, channel: &Channel) -> Result<()> {
    let notifies = filter.is_some_and(Filter::notifies);
    if process.no_new_privileges() == Some(true) && !notifies {
        load_filter(filter, channel)?;
    }
    Ok(())
}

fn load_filter(filter: Option<&Filter>, channel: &Channel) -> Result<()> {
    let Some(filter) = filter else { return Ok(()) };
    match filter.load()? {
        Some(listener) => {
            channel.send(&Message::SeccompListener(listener))?;
            // It closes on exec, so not before the runtime has it.
            channel.expect_proceed()
        }
        None => Ok(()),
    }
}

/// A program that runs as another user may reopen its standard streams (`/dev/stdout`), so they become
/// its own, as far as they belong to anybody: `/dev/null` is everybody's.
fn give_standard_streams(uid: u32) -> Result<()> {
    let null = rustix::fs::makedev(1, 3);
    for fd in [0, 1, 2] {
        // SAFETY: the number is only looked at while nothing in this process closes it.
        let stream = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        let Ok(stat) = rustix::fs::fstat(stream) else { continue };
        if stat.st_uid == uid || stat.st_rdev == null {
            continue;
        }
        match rustix::fs::fchown(stream, Some(rustix::fs::Uid::from_raw(uid)), None) {
            Err(Errno::INVAL | Errno::PERM | Errno::ROFS | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            changed => changed.doing(|| format!("give the standard stream {fd} to user {uid}"))?,
        }
    }
    Ok(())
}

/// chdir(2). With the runtime's rights first, as runc does, for a user may stand where it could not go;
/// `may_fail`: it will be tried again as the user, who may be the only one who can.
fn enter_directory(cwd: &Path, may_fail: bool) -> Result<bool> {
    match rustix::process::chdir(cwd) {
        Err(Errno::ACCESS | Errno::PERM) if may_fail => Ok(false),
        entered => {
            entered.doing(|| format!("chdir to cwd ({:?}) set in config.json failed", cwd))?;
            Ok(true)
        }
    }
}

/// The directory must lie inside the root: a descriptor of the host's that leaked could be named as
/// `/proc/self/fd/N` (CVE-2024-21626).
fn check_directory() -> Result<()> {
    let here = rustix::process::getcwd(Vec::new()).doing(|| "ask where we are".into())?;
    if here.as_bytes().first() == Some(&b'/') {
        return Ok(());
    }
    Err(Error::spec("process.cwd", "lies outside the container"))
}

impl Program {
    fn find(process: &Process, listen_fds: u32) -> Result<Self> {
        let args = process.args().as_deref().unwrap_or_default();
        let name = args.first().ok_or_else(|| Error::spec("process.args", "empty"))?;
        let mut env = environment(process.env().iter().flatten());
        // An empty one counts as none.
        env.retain(|variable| variable != "HOME=");
        if listen_fds > 0 {
            env.push(format!("LISTEN_FDS={listen_fds}"));
            env.push("LISTEN_PID=1".into());
        }
        if !env.iter().any(|variable| variable.starts_with("HOME=")) {
            env.push(format!("HOME={}", home(process.user().uid()).display()));
        }
        let search = env.iter().find_map(|variable| variable.strip_prefix("PATH="));
        let path = look_up(name, search)?;
        let c_string = |text: &[u8]| {
            CString::new(text).map_err(|_| Error::spec("process", "contains a NUL byte"))
        };
        Ok(Self {
            path: c_string(path.as_os_str().as_bytes())?,
            args: args.iter().map(|arg| c_string(arg.as_bytes())).collect::<Result<_>>()?,
            env: env.iter().map(|variable| c_string(variable.as_bytes())).collect::<Result<_>>()?,
        })
    }

    /// The program's variables, each `NAME=value`.
    pub(crate) fn environment(&self) -> Vec<String> {
        self.env.iter().map(|variable| variable.to_string_lossy().into_owned()).collect()
    }

    /// execve(2); returns only when it failed.
    pub(crate) fn execute(&self) -> Error {
        let error = syscalls::execve(&self.path, &self.args, &self.env);
        Error::NotExecuted(format!("exec {}: {}", self.path.to_string_lossy(), reason(&error)))
    }
}

/// Of several values of a variable the last counts.
fn environment<'a>(variables: impl DoubleEndedIterator<Item = &'a String>) -> Vec<String> {
    let mut names = BTreeSet::new();
    let mut kept: Vec<String> = Vec::new();
    for variable in variables.rev() {
        if names.insert(variable.split('=').next().unwrap_or_default()) {
            kept.push(variable.clone());
        }
    }
    kept.reverse();
    kept
}

/// A name without a slash is looked for in `PATH`, as execvp(3) does, but only by absolute paths.
fn look_up(name: &str, search: Option<&str>) -> Result<PathBuf> {
    let failed = |reason: String| Error::Init(format!("exec: {name:?}: {reason}"));
    if name.contains('/') {
        return match executable(Path::new(name)) {
            Ok(()) => Ok(name.into()),
            // Engines look for execve(2)'s own answer to tell their users 126.
            Err(Errno::ISDIR) => Err(failed("is a directory: permission denied".into())),
            Err(error) => Err(failed(reason(&error.into()))),
        };
    }
    let directories = search.filter(|search| !search.is_empty()).into_iter();
    let directories = directories.flat_map(|search| search.split(':'));
    let found = directories
        .map(|directory| Path::new(if directory.is_empty() { "." } else { directory }).join(name))
        .find(|path| executable(path).is_ok());
    match found {
        None => Err(failed("executable file not found in $PATH".into())),
        // As runc has it: what happens to lie in the working directory is not what was meant.
        Some(path) if path.is_relative() => {
            Err(failed("found by a relative path in $PATH only: name it by its path".into()))
        }
        Some(path) => Ok(path),
    }
}

fn executable(path: &Path) -> Result<(), Errno> {
    let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let stat = rustix::fs::statat(file.as_fd(), "", AtFlags::EMPTY_PATH)?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory {
        return Err(Errno::ISDIR);
    }
    let any_execute = 0o111;
    if stat.st_mode & any_execute == 0 {
        return Err(Errno::ACCESS);
    }
    match rustix::fs::accessat(rustix::fs::CWD, path, rustix::fs::Access::EXEC_OK, AtFlags::EACCESS)
    {
        // A system call filter that is loaded already may not know faccessat2(2).
        Err(Errno::NOSYS | Errno::PERM) => Ok(()),
        answer => answer,
    }
}

/// The user's home by the container's `/etc/passwd`, else the root.
fn home(uid: u32) -> PathBuf {
    use std::io::Read;
    let mut text = String::new();
    // The image may have a pipe there, for which nobody would ever be the writer, or a terminal.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let read = rustix::fs::open("/etc/passwd", flags, Mode::empty())
        .map_err(std::io::Error::from)
        .and_then(|file| std::fs::File::from(file).take(1 << 20).read_to_string(&mut text));
    if read.is_err() {
        return "/".into();
    }
    let home = text.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        (fields.get(2)?.parse() == Ok(uid)).then(|| fields.get(5).copied())?
    });
    home.filter(|home| home.starts_with('/')).unwrap_or("/").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_variable_counts() {
        let given = ["A=1", "B=2", "A=3"].map(str::to_owned);
        assert_eq!(environment(given.iter()), ["B=2", "A=3"]);
    }

    #[test]
    fn looks_programs_up() {
        assert_eq!(look_up("sh", Some("/nowhere:/bin")).unwrap(), Path::new("/bin/sh"));
        let missing = look_up("no-such-program", Some("/bin")).unwrap_err().to_string();
        assert_eq!(missing, "exec: \"no-such-program\": executable file not found in $PATH");
        assert!(
            look_up("/etc/passwd", None).unwrap_err().to_string().contains("permission denied")
        );
        assert!(look_up("/etc", None).unwrap_err().to_string().contains("directory"));
    }
}
