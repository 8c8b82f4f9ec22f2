//! The system calls that rustix does not wrap. Every `unsafe` block that only passes numbers to the
//! kernel is here.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::process::Pid;

/// `CLONE_INTO_CGROUP`: start in the cgroup that a descriptor names (v2 only).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// `CLONE_PIDFD`: hand the parent a descriptor of the child.
const CLONE_PIDFD: u64 = libc::CLONE_PIDFD as u64;

/// Where `clone3` returned.
pub(crate) enum Cloned {
    /// In the new process.
    Child,
    /// In the calling process.
    Parent { pid: Pid, pidfd: OwnedFd },
}

/// clone(2): a new process with its own copy of memory, in new namespaces.
///
/// # Safety
/// The calling process has one thread, so that no lock is held in the child's copy; the child never
/// returns to its caller's callers, but ends in `execve` or `_exit`.
pub(crate) unsafe fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain numbers; zero is a valid value for each.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | CLONE_PIDFD;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal =
        if flags & libc::CLONE_PARENT as u64 == 0 { libc::SIGCHLD as u64 } else { 0 };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: args lives across the call and its size is given; without CLONE_VM the child runs on
    // a copy of this stack.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Cloned::Child),
        pid => Ok(Cloned::Parent {
            pid: Pid::from_raw(pid as i32).expect("clone3 returned a positive pid"),
            // SAFETY: the kernel has just stored a new descriptor that nobody else owns.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        }),
    }
}

/// The kernel's `struct mount_attr`, version 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountAttr {
    pub(crate) set: u64,
    pub(crate) clear: u64,
    pub(crate) propagation: u64,
    pub(crate) userns_fd: u64,
}

/// mount_setattr(2) on the mount at `fd` itself, with all mounts below when `recursive`.
pub(crate) fn mount_setattr(
    fd: BorrowedFd<'_>,
    recursive: bool,
    attr: &MountAttr,
) -> io::Result<()> {
    let depth = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated constant, attr lives across the call, its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | depth,
            attr,
            size_of::<MountAttr>(),
        )
    })
}

/// mount_setattr(2) on the mount at `path`.
pub(crate) fn mount_setattr_at(path: &CStr, recursive: bool, attr: &MountAttr) -> io::Result<()> {
    let depth = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is NUL-terminated, attr lives across the call, its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            depth,
            attr,
            size_of::<MountAttr>(),
        )
    })
}

/// Closes every descriptor from `first` up but those in `keep`, whoever believes to own them.
///
/// # Safety
/// The calling process uses and drops no other descriptor from `first` up afterwards.
pub(crate) unsafe fn close_from(first: u32, keep: &mut [u32]) -> io::Result<()> {
    let close = |from: u32, to: u32| match from <= to {
        // SAFETY: the caller vouches for what is closed.
        true => check(unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) }),
        false => Ok(()),
    };
    keep.sort_unstable();
    let mut from = first;
    for &mut kept in keep {
        if kept >= from {
            if kept > from {
                close(from, kept - 1)?;
            }
            from = kept + 1;
        }
    }
    close(from, u32::MAX)
}

/// rt_sigprocmask(2) with a set of the kernel's, a bit for each signal from the first; returns the set
/// before. The C libraries' own functions pass over the signals that they use themselves.
pub(crate) fn hold_signals(how: libc::c_int, set: u64) -> u64 {
    let mut before = 0_u64;
    let (new, old) = (&raw const set, &raw mut before);
    // SAFETY: both sets are of the size told, and outlive the call, which fails for no valid `how`.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, new, old, size_of::<u64>()) };
    before
}

/// signalfd(2) for a set as in [`hold_signals`], without waiting, closed on exec.
pub(crate) fn signalfd(set: u64) -> io::Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the set is of the size told, and outlives the call.
    let fd =
        unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const set, size_of::<u64>(), flags) };
    check(fd.min(0))?;
    // SAFETY: the kernel returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Has what the caller left open close on exec, and lets signals through that this process holds back:
/// neither is meant for a program that the runtime starts for itself.
pub(crate) fn detach_from_caller() -> io::Result<()> {
    hold_signals(libc::SIG_SETMASK, 0);
    let flag = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: passes numbers; nothing is closed yet.
    check(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, flag) })
}

/// execve(2); returns only when it failed.
pub(crate) fn execve(path: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both arrays end in a null pointer and borrow strings that outlive the call.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Executes the file behind `fd`; returns only when it failed.
pub(crate) fn execve_fd(fd: BorrowedFd<'_>, args: &[CString], env: &[CString]) -> io::Error {
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: as for execve; the path is a NUL-terminated constant.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_raw_fd(),
            c"".as_ptr(),
            args.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Ends a forked child without running the parent's destructors a second time.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

/// Overwrites the environment that this process was started with: it is the caller's, and a container's
/// process that may trace any other reads it from `/proc/<pid>/environ`.
pub(crate) fn forget_environment() {
    unsafe extern "C" {
        static environ: *const *mut libc::c_char;
    }
    // SAFETY: the C library keeps a null-terminated array of strings there. No thread reads them, and
    // nothing in this process asks for a variable any more.
    unsafe {
        let mut next = environ;
        while !next.is_null() && !(*next).is_null() {
            libc::memset((*next).cast(), 0, libc::strlen(*next));
            next = next.add(1);
        }
    }
}

/// madvise(2) MADV_DONTNEED on the program's constants and text, which lie between two symbols of the
/// linker's. Nobody writes to them, so the kernel finds them again in the program's file. (The exception:
/// a debugger's breakpoints go.)
pub(crate) fn unmap_text() -> io::Result<()> {
    unsafe extern "C" {
        static __executable_start: u8;
        static etext: u8;
    }
    let (start, end) = (&raw const __executable_start, &raw const etext);
    let length = end.addr() - start.addr();
    // SAFETY: what the range holds is the same when it is mapped again, this function included.
    check(unsafe { libc::madvise(start.cast_mut().cast(), length, libc::MADV_DONTNEED) }.into())
}

/// keyctl(2) JOIN_SESSION_KEYRING of a new, nameless keyring; returns its serial number.
pub(crate) fn join_session_keyring() -> io::Result<i64> {
    let no_name = std::ptr::null::<libc::c_char>();
    // SAFETY: a null pointer asks for a nameless keyring.
    match unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, no_name) } {
        -1 => Err(io::Error::last_os_error()),
        serial => Ok(serial),
    }
}

/// ioctl(2) SIOCSIFFLAGS: brings the loopback interface of the current network namespace up.
pub(crate) fn loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // The C libraries disagree about the request's type.
    const SET_FLAGS: libc::Ioctl = libc::SIOCSIFFLAGS as libc::Ioctl;
    // SAFETY: ifreq is plain data; zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: the request lives across the call and names an interface of at most IFNAMSIZ bytes.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), SET_FLAGS, &raw const request) }.into())
}

/// personality(2).
pub(crate) fn personality(domain: u64) -> io::Result<()> {
    // SAFETY: a number only.
    check(unsafe { libc::personality(domain as libc::c_ulong) }.into())
}

/// ioprio_set(2) for the calling process.
pub(crate) fn set_io_priority(value: i32) -> io::Result<()> {
    const IOPRIO_WHO_PROCESS: i32 = 1;
    // SAFETY: numbers only.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) })
}

/// set_mempolicy(2) with a set of nodes, none for an empty one.
pub(crate) fn set_memory_policy(mode: i32, nodes: &[u64]) -> io::Result<()> {
    let pointer = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    // The kernel takes one bit less than it is told (set_mempolicy(2)).
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    // SAFETY: the kernel only reads as many bits as the slice has.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) })
}

/// sched_setaffinity(2) for the calling process.
pub(crate) fn set_affinity(cpus: &[u64]) -> io::Result<()> {
    // SAFETY: the kernel only reads the slice, whose size is given.
    check(unsafe {
        libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(cpus), cpus.as_ptr())
    })
}

/// The kernel's `struct sched_attr`, version 1.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SchedAttr {
    pub(crate) size: u32,
    pub(crate) policy: u32,
    pub(crate) flags: u64,
    pub(crate) nice: i32,
    pub(crate) priority: u32,
    pub(crate) runtime: u64,
    pub(crate) deadline: u64,
    pub(crate) period: u64,
    pub(crate) util_min: u32,
    pub(crate) util_max: u32,
}

/// sched_setattr(2) for the calling process.
pub(crate) fn set_scheduler(mut attr: SchedAttr) -> io::Result<()> {
    attr.size = size_of::<SchedAttr>() as u32;
    // SAFETY: attr lives across the call and carries its own size.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) })
}

/// setns(2) by a pidfd: joins several namespaces of that process at once.
pub(crate) fn setns(pidfd: BorrowedFd<'_>, flags: i32) -> io::Result<()> {
    // SAFETY: numbers only.
    check(unsafe { libc::setns(pidfd.as_raw_fd(), flags) }.into())
}

/// ioctl(2) NS_GET_NSTYPE: the `CLONE_NEW*` flag of a namespace's kind (ioctl_ns(2)).
pub(crate) fn namespace_kind(namespace: BorrowedFd<'_>) -> io::Result<i64> {
    const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
    // SAFETY: numbers only.
    let kind = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_NSTYPE) };
    check(kind.into()).map(|()| kind.into())
}

/// seccomp(2) SET_MODE_FILTER with instructions of 8 bytes each; returns a descriptor when the flags ask
/// for a listener.
pub(crate) fn load_filter(instructions: &[u8], flags: u64) -> io::Result<i32> {
    let program = libc::sock_fprog {
        len: u16::try_from(instructions.len() / 8)
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?,
        filter: instructions.as_ptr().cast_mut().cast(),
    };
    // SAFETY: the kernel only reads the instructions, whose length is given and which live across the
    // call; it copies them bytewise, so their alignment does not matter.
    match unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    } {
        -1 => Err(io::Error::last_os_error()),
        loaded => Ok(loaded as i32),
    }
}

/// Whether a descriptor number is open.
pub(crate) fn is_open(fd: RawFd) -> bool {
    // SAFETY: asks the kernel about a number.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// Sends any signal number, with 0 only asking whether the process can be signalled.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: numbers only.
    check(unsafe { libc::kill(pid, signal) }.into())
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
