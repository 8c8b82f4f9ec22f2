"""Times containerd-shim-tare-v2 beside containerd's own shim, with runc and with crun, and beside the shim in
Rust of containerd's authors; `scripts/bench shim` calls it.

One containerd serves all of them, and the shims take turns, so that a machine that slows down slows all. A
container is asked for as containerd's clients do it, by gRPC, but without a client's start and without a
snapshot: the root is one read-only folder. So what is timed is what containerd and the shim do from the
task's creation to its deletion. A figure is the median of the runs after a warm-up. Memory is the
proportional set size (smaps_rollup, Pss), where shared pages count by their share.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from bench_common import HEAD, measure, milliseconds, table

NAMESPACE = f"bench-{os.getpid()}"


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(fields):
    """A protobuf message of {number: value}: numbers, texts, bytes, nested messages, lists of these."""
    out = b""
    for number, value in fields.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                each = message(each)
            if isinstance(each, int):
                out += varint(number << 3) + varint(each)
            else:
                each = each.encode() if isinstance(each, str) else each
                out += varint(number << 3 | 2) + varint(len(each)) + each
    return out


def exit_status(answer):
    """Field 1 of a WaitResponse, which comes first, and is left out where it is 0."""
    return 0 if not answer or answer[0] != 8 else answer[1] & 127


def any_of(kind, value):
    return {1: kind, 2: value}


class Containerd:
    """A daemon of this run's own."""

    def __init__(self, folder, programs, path):
        self.folder = folder
        config = (f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
                  'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", '
                  '"io.containerd.cri.v1.runtime"]\n'
                  f'[grpc]\n  address = "{folder}/containerd.sock"\n[debug]\n  level = "error"\n')
        (folder / "config.toml").write_text(config)
        self.daemon = subprocess.Popen(
            [programs / "containerd", "-c", folder / "config.toml"], env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w"))
        self.channel = grpc.insecure_channel(f"unix://{folder}/containerd.sock")
        grpc.channel_ready_future(self.channel).result(timeout=60)
        self.methods = {}

    def call(self, method, fields, later=False):
        full = f"/containerd.services.{method}"
        if full not in self.methods:
            self.methods[full] = self.channel.unary_unary(full)
        metadata = [("containerd-namespace", NAMESPACE)]
        what = self.methods[full].future if later else self.methods[full]
        return what(message(fields), metadata=metadata)

    def tasks(self, method, fields, later=False):
        return self.call(f"tasks.v1.Tasks/{method}", fields, later)


class Shim:
    """One of the shims, with the runtime that it starts."""

    count = 0

    def __init__(self, name, runtime, binary=None):
        self.name = name
        # containerd.runc.v1.Options: 6 is BinaryName.
        options = any_of("containerd.runc.v1.Options", message({6: binary})) if binary else None
        self.runtime = {1: runtime, **({2: options} if options else {})}

    def create(self, containerd, root, args):
        Shim.count += 1
        name = f"c{Shim.count}"
        spec = any_of("types.containerd.io/opencontainers/runtime-spec/1/Spec", specification(args, name))
        containerd.call("containers.v1.Containers/Create", {1: {1: name, 4: self.runtime, 5: spec}})
        return name, {1: "bind", 2: str(root), 4: ["rbind", "ro"]}

    def start(self, containerd, root, args):
        """Starts a container; its name and the call that waits for its end."""
        name, mount = self.create(containerd, root, args)
        containerd.tasks("Create", {1: name, 3: [mount]})
        waits = containerd.tasks("Wait", {1: name}, later=True)
        containerd.tasks("Start", {1: name})
        return name, waits

    def end(self, containerd, name, waits):
        containerd.tasks("Kill", {1: name, 3: 9})
        waits.result(timeout=60)
        containerd.tasks("Delete", {1: name})
        containerd.call("containers.v1.Containers/Delete", {1: name})

    def run_true(self, containerd, root):
        """Seconds from a task's creation to its deletion."""
        name, mount = self.create(containerd, root, ["/bin/true"])
        begin = time.perf_counter()
        containerd.tasks("Create", {1: name, 3: [mount]})
        waits = containerd.tasks("Wait", {1: name}, later=True)
        containerd.tasks("Start", {1: name})
        check(exit_status(waits.result(timeout=60)), self)
        containerd.tasks("Delete", {1: name})
        took = time.perf_counter() - begin
        containerd.call("containers.v1.Containers/Delete", {1: name})
        return took

    def exec_true(self, containerd, name):
        process = json.loads(specification(["/bin/true"], name))["process"]
        spec = any_of("types.containerd.io/opencontainers/runtime-spec/1/Process", json.dumps(process))
        Shim.count += 1
        both = {1: name, 2: f"e{Shim.count}"}
        begin = time.perf_counter()
        containerd.tasks("Exec", {1: name, 6: spec, 7: both[2]})
        waits = containerd.tasks("Wait", both, later=True)
        containerd.tasks("Start", both)
        check(exit_status(waits.result(timeout=60)), self)
        containerd.tasks("DeleteProcess", both)
        return time.perf_counter() - begin


def check(status, shim):
    if status:
        sys.exit(f"bench: {shim.name}: exit {status}")


def specification(args, name):
    config = json.loads(SPEC)
    config["root"] = {"path": "rootfs", "readonly": True}
    config["process"].update(terminal=False, args=args)
    config["linux"]["cgroupsPath"] = f"/{NAMESPACE}/{name}"
    return json.dumps(config)


def shims():
    """The serving shims' pids."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if "containerd-shim" in words[0] and NAMESPACE in words and "start" not in words:
            yield int(folder.name)


def pss(pid):
    """KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1])


def threads(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Threads:")).split()[1])


def resting(containerd, shim, root, count):
    """Mean KiB of a shim where `count` of them are alive and idle, and the most threads of one."""
    begun = [shim.start(containerd, root, ["/bin/sleep", "10000"]) for _ in range(count)]
    time.sleep(2)
    pids = list(shims())
    if len(pids) != count:
        sys.exit(f"bench: {shim.name}: {count} shims are expected, {len(pids)} are there")
    memory, most = statistics.mean(map(pss, pids)), max(map(threads, pids))
    for name, waits in begun:
        shim.end(containerd, name, waits)
    # Shims of the next kind shall not be counted with the last of these.
    deadline = time.monotonic() + 30
    while list(shims()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return memory, most


def churn(containerd, shim, root, count, together):
    """Seconds a container, of `count` that come and go, `together` at a time."""
    with ThreadPoolExecutor(together) as pool:
        begin = time.perf_counter()
        for done in [pool.submit(shim.run_true, containerd, root) for _ in range(count)]:
            done.result()
        return (time.perf_counter() - begin) / count


def rows(options, containerd, root, kinds):
    mebibytes = lambda kib: f"{kib / 1024:.1f} MiB"
    print(HEAD)
    table("run true, create to delete",
          measure(kinds, lambda shim: shim.run_true(containerd, root), options.runs), milliseconds)
    begun = {shim.name: shim.start(containerd, root, ["/bin/sleep", "10000"]) for shim in kinds}
    table("exec true", measure(
        kinds, lambda shim: shim.exec_true(containerd, begun[shim.name][0]), options.runs), milliseconds)
    for shim in kinds:
        shim.end(containerd, *begun[shim.name])
    time.sleep(1)
    alone = {shim.name: resting(containerd, shim, root, 1) for shim in kinds}
    table("memory of one idle shim", {name: it[:1] for name, it in alone.items()}, mebibytes)
    many = {shim.name: resting(containerd, shim, root, options.alive) for shim in kinds}
    table(f"memory of a shim, {options.alive} alive", {name: it[:1] for name, it in many.items()}, mebibytes)
    table("threads of a shim", {name: it[1:] for name, it in many.items()}, str)
    each = measure(kinds, lambda shim: churn(containerd, shim, root, options.churn, 16), options.rounds)
    table(f"a container of {options.churn}, 16 at a time", each, milliseconds)


def busybox_root(folder):
    (folder / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", folder / "bin/busybox")
    for applet in ("true", "sleep"):
        (folder / "bin" / applet).symlink_to("busybox")
    for name in ("proc", "dev", "sys"):
        (folder / name).mkdir()
    return folder


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tare", required=True, type=Path, help="folder of our shim and runtime")
    parser.add_argument("--programs", required=True, type=Path, help="folder of containerd, runc and crun")
    parser.add_argument("--rust", type=Path, help="the shim in Rust of containerd's authors")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--alive", type=int, default=50)
    parser.add_argument("--churn", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3, help="how often the churn is repeated")
    options = parser.parse_args()
    global SPEC
    with tempfile.TemporaryDirectory(prefix="tare-bench-shim") as name:
        folder = Path(name)
        subprocess.run([options.programs / "runc", "spec", "--bundle", folder], check=True)
        SPEC = (folder / "config.json").read_text()
        folders = [options.tare, options.programs] + ([options.rust.parent] if options.rust else [])
        path = ":".join([*map(str, folders), os.environ["PATH"]])
        containerd = Containerd(folder, options.programs, path)
        crun = str(options.programs / "crun")
        kinds = [Shim("containerd-shim-tare-v2", "io.containerd.tare.v2"),
                 Shim("containerd-shim-runc-v2, runc", "io.containerd.runc.v2"),
                 Shim("containerd-shim-runc-v2, crun", "io.containerd.runc.v2", crun)]
        if options.rust:
            kinds.append(Shim(f"{options.rust.name}, crun", str(options.rust), crun))
        try:
            rows(options, containerd, busybox_root(folder / "rootfs"), kinds)
        finally:
            containerd.daemon.terminate()
            containerd.daemon.wait()
            for pid in shims():
                os.kill(pid, 9)


main()
