"""Times tare-runtime beside the newest crun and runc; `scripts/bench runtime` calls it.

Runs inside the folder with the peers, where cgroup v2's second hierarchy is hidden from all of them alike,
since crun refuses it. The runtimes take turns, so that a machine that slows down slows all of them; each
is started as a whole process, with files for its streams. A figure is the median of the runs after a
warm-up; memory is the peak resident set of the largest process of the command.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench_common import HEAD, measure, milliseconds, table

NULL = os.open("/dev/null", os.O_RDWR)
STREAMS = [(os.POSIX_SPAWN_DUP2, NULL, fd) for fd in (0, 1, 2)]


def timed(words, expected=0):
    """Seconds that one command takes from its start to its end."""
    start = time.perf_counter()
    pid = os.posix_spawn(words[0], words, os.environ, file_actions=STREAMS)
    _, status = os.waitpid(pid, 0)
    took = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != expected:
        sys.exit(f"bench: {' '.join(words)}: exit {os.waitstatus_to_exitcode(status)}")
    return took


def peak_memory(words):
    """Peak resident KiB of a command, told by a small program: a child of this one would count this one's."""
    done = subprocess.run(["/usr/bin/time", "--quiet", "--format=%M", *words],
                          stdin=NULL, stdout=NULL, stderr=subprocess.PIPE, text=True, check=True)
    return int(done.stderr.split()[-1])


class Runtime:
    """One of the programs, with a state root of its own."""

    count = 0

    def __init__(self, name, program, scratch):
        self.name = name
        self.base = [program, "--root", str(scratch / f"state-{name}")]

    def words(self, command, *rest):
        return [*self.base, command, *map(str, rest)]

    @classmethod
    def new_id(cls):
        cls.count += 1
        return f"tare-bench-{os.getpid()}-{cls.count}"


def default_seccomp(file):
    """containers-common's profile, which is docker's, as a plain `linux.seccomp` for this machine."""
    profile = json.loads(Path(file).read_text())
    held = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"}

    def wanted(rule):
        include, exclude = rule.get("includes") or {}, rule.get("excludes") or {}
        arches = include.get("arches")
        return ((not arches or "amd64" in arches or "x86" in arches)
                and set(include.get("caps") or []) <= held
                and not set(exclude.get("caps") or []) & held
                and "amd64" not in (exclude.get("arches") or []))

    rules = []
    for rule in filter(wanted, profile["syscalls"]):
        plain = {"names": rule["names"], "action": rule["action"]}
        if rule.get("args"):
            plain["args"] = rule["args"]
        if rule.get("errnoRet") is not None:
            plain["errnoRet"] = rule["errnoRet"]
        rules.append(plain)
    return {"defaultAction": profile["defaultAction"], "defaultErrnoRet": profile.get("defaultErrnoRet", 1),
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": rules}


def bundle(scratch, name, runc, args, seccomp=None):
    """A bundle with runc's default specification, on busybox."""
    path = scratch / name
    (path / "rootfs/bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", path / "rootfs/bin/busybox")
    for applet in ("true", "sleep"):
        (path / "rootfs/bin" / applet).symlink_to("busybox")
    subprocess.run([runc, "spec", "--bundle", path], check=True)
    config = json.loads((path / "config.json").read_text())
    config["process"]["terminal"] = False
    config["process"]["args"] = args
    if seccomp:
        config["linux"]["seccomp"] = seccomp
    (path / "config.json").write_text(json.dumps(config))
    return path


def run_row(path):
    return lambda runtime: timed(runtime.words("run", "--bundle", path, runtime.new_id()))


def lifecycle_row(path):
    def once(runtime):
        name = runtime.new_id()
        took = sum(timed(runtime.words(*words)) for words in (
            ("create", "--bundle", path, name), ("start", name), ("kill", name, "KILL")))
        # Death takes a moment, and `delete` refuses what still lives.
        while json.loads(subprocess.check_output(runtime.words("state", name)))["status"] != "stopped":
            pass
        return took + timed(runtime.words("delete", name))
    return once


def held():
    """KiB that the kernel holds and cannot take back by itself: its own memory, not that of programs, so
    that neighbours of the measurement count little. What goes late or at need has gone before it is read."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")
    time.sleep(2)
    table = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return sum(int(table[name].split()[0]) for name in ("SUnreclaim", "KernelStack", "PageTables", "Percpu"))


def alive(runtime, path, count):
    """Seconds to start `count` containers, those of the second half, KiB that the kernel holds for them, and
    how many processes of the runtime stay."""
    before, names = held(), [runtime.new_id() for _ in range(count)]
    each = [timed(runtime.words("run", "--detach", "--bundle", path, name)) for name in names]
    taken = held() - before
    resident = sum(1 for exe in Path("/proc").glob("[0-9]*/exe") if same(exe, runtime.base[0]))
    for name in names:
        timed(runtime.words("delete", "--force", name))
    return sum(each), sum(each[count // 2:]), taken, resident


def all_alive(runtimes, path, count, rounds):
    """Runtime's name to the medians of `alive`. The runtimes take turns: the first one finds the kernel's
    caches small, and would be charged for their growth."""
    figures = {runtime.name: [] for runtime in runtimes}
    for turn in range(rounds + 1):
        for runtime in runtimes:
            # The warm-up shall fill caches, and takes a share of them for that.
            figure = alive(runtime, path, count if turn else count // 4)
            if turn:
                figures[runtime.name].append(figure)
    return {name: [statistics.median(column) for column in zip(*each)] for name, each in figures.items()}


def same(exe, program):
    try:
        return exe.resolve() == Path(program).resolve()
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tare", required=True)
    parser.add_argument("--scratch", required=True, type=Path)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--alive", type=int, default=1000, help="containers alive at once; 0: leave it out")
    parser.add_argument("--rounds", type=int, default=3, help="how often they are started, after a warm-up")
    options = parser.parse_args()
    scratch, runc = options.scratch, "/usr/sbin/runc"
    runtimes = [Runtime("tare-runtime", options.tare, scratch), Runtime("crun", "/usr/bin/crun", scratch),
                Runtime("runc", runc, scratch)]
    seccomp = default_seccomp("/usr/share/containers/seccomp.json")
    plain = bundle(scratch, "plain", runc, ["/bin/true"])
    filtered = bundle(scratch, "filtered", runc, ["/bin/true"], seccomp)
    asleep = bundle(scratch, "asleep", runc, ["/bin/sleep", "10000"])

    print(HEAD)
    def row(title, once):
        table(title, measure(runtimes, once, options.runs), milliseconds)
    row("`run` of true, default spec", run_row(plain))
    row("`run` of true, docker's seccomp profile", run_row(filtered))
    row("create, start, kill, delete", lifecycle_row(asleep))
    ids = {}
    for runtime in runtimes:
        ids[runtime.name] = runtime.new_id()
        timed(runtime.words("run", "--detach", "--bundle", asleep, ids[runtime.name]))
    row("`exec` of true", lambda runtime: timed(runtime.words("exec", ids[runtime.name], "/bin/true")))
    row("`state`", lambda runtime: timed(runtime.words("state", ids[runtime.name])))
    for runtime in runtimes:
        timed(runtime.words("delete", "--force", ids[runtime.name]))
    peak = {it.name: [peak_memory(it.words("run", "--bundle", plain, it.new_id())) for _ in range(5)]
            for it in runtimes}
    table("peak memory of `run`", peak, lambda kib: f"{kib / 1024:.1f} MiB")
    if options.alive:
        staying = all_alive(runtimes, asleep, options.alive, options.rounds)
        table(f"start {options.alive} that stay", {name: it[:1] for name, it in staying.items()}, "{:.1f} s".format)
        table("the second half of them", {name: it[1:2] for name, it in staying.items()}, "{:.1f} s".format)
        table("kernel memory that they take",
              {name: [it[2] / 1024] for name, it in staying.items()}, "{:.0f} MiB".format)
        table("processes of the runtime that stay", {name: it[3:] for name, it in staying.items()}, "{:.0f}".format)


main()
