"""Times tare-store beside skopeo, crane, oras, podman, containerd and umoci; `scripts/bench store` calls it.

Runs inside a folder with the peers, as the root of a mount namespace, with a docker-registry on loopback. The
ways of a row take turns, so that a machine that slows down slows all of them; a figure is the median of the
runs after one warm-up. Every run starts from the same state, made before the clock does: an empty store, an
empty registry. CPU is that of the command and all its children, and of a daemon that works for it; memory is
the peak resident set of the largest process. What is written is on the disk at the end of a run only where
the program itself sees to that, as tare-store does.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import bench_rest
from bench_common import sh
from bench_rest import layout_of

TICK = os.sysconf("SC_CLK_TCK")


def cpu_of(pid):
    """Seconds of CPU that a process and its ended children have taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[index]) for index in (11, 12, 13, 14)) / TICK


def measure(words, daemon=None):
    """Wall seconds, CPU seconds, peak resident KiB of one command; a daemon's CPU and memory with it."""
    before = cpu_of(daemon) if daemon else 0
    command = ["/usr/bin/time", "--quiet", "--format=%U %S %M", *map(str, words)]
    start = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wall = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"bench: {' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr[-4000:]}")
    user, system, memory = done.stderr.split("\n")[-2].split()
    cpu, memory = float(user) + float(system), int(memory)
    if daemon:
        cpu += cpu_of(daemon) - before
        status = Path(f"/proc/{daemon}/status").read_text()
        memory = max(memory, int(status.split("VmHWM:")[1].split()[0]))
    return wall, cpu, memory


class Daemon:
    """A program that is ended with the measurement."""

    def __init__(self, words, log, ready):
        self.child = subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not ready():
            if time.monotonic() > deadline or self.child.poll() is not None:
                sys.exit(f"bench: {words[0]} does not start: see {log.name}")
            time.sleep(0.05)

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(timeout=60)


class Registry(Daemon):
    """A docker-registry; `clear` makes it an empty one."""

    def __init__(self, folder, log):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.log = folder, log
        self.start()

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "config.yml"
        config.write_text("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage:\n"
                          f"  filesystem: {{rootdirectory: {self.folder}/data}}\nhttp: {{addr: '127.0.0.1:{self.port}'}}\n")
        super().__init__(["docker-registry", "serve", config], self.log, self.answers)

    def answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def clear(self):
        self.end()
        shutil.rmtree(self.folder)
        self.start()

    def name(self, image):
        return f"127.0.0.1:{self.port}/{image}"


class Bench:
    """What the rows share."""

    def __init__(self, options):
        self.runs, self.dir = options.runs, Path(options.scratch)
        self.log = open(self.dir / "daemons.log", "wb")
        self.count = 0
        self.tare = ["tare-store", "--store"]
        self.origin = self.dir / "origin"
        self.source = Registry(self.dir / "source", self.log)
        self.target = Registry(self.dir / "target", self.log)
        for image in ("six", "seven"):
            sh(*self.tare, self.origin, "push", "-q", image, self.source.name(f"{image}:1"))
        self.image, self.second = self.source.name("six:1"), self.source.name("seven:1")
        self.containerd = self.start_containerd()
        self.podman = ["podman", "--root", self.dir / "podman", "--runroot", "/run/podman", "--storage-driver",
                       "overlay", "--cgroup-manager=cgroupfs"]

    def start_containerd(self):
        config = self.dir / "containerd.toml"
        config.write_text(f'version = 2\nroot = "{self.dir}/containerd"\nstate = "/run/containerd"\n'
                          'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        return Daemon(["containerd", "--config", config], self.log,
                      lambda: subprocess.run(["ctr", "version"], capture_output=True).returncode == 0)

    def close(self):
        for daemon in (self.source, self.target, self.containerd):
            daemon.end()
        self.release()
        self.log.close()

    def fresh(self, name="x"):
        """A path that nothing has had before."""
        self.count += 1
        return self.dir / f"run-{self.count}-{name}"

    def release(self):
        """Takes away what the runs have made."""
        for bundle in self.dir.glob("run-*-bundle"):
            if (bundle / "tare.json").exists():
                sh("tare-store", "unbundle", bundle)
        for path in self.dir.glob("run-*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def row(self, work, ways, before=lambda: None, after=lambda: None, keep=False):
        """`ways`: name to a function that prepares a run and gives its command, and perhaps a daemon's PID. What runs
        have made goes after each, or with `keep` at the end of all."""
        figures = {name: [] for name in ways}
        for turn in range(self.runs + 1):
            for name, prepare in ways.items():
                before()
                words, *daemon = prepare()
                os.sync()
                took = measure(words, *daemon)
                if turn:
                    figures[name].append(took)
                after()
                if not keep:
                    self.release()
        result = {name: (statistics.median(wall for wall, _, _ in it), statistics.median(cpu for _, cpu, _ in it),
                         max(memory for _, _, memory in it)) for name, it in figures.items()}
        print(f"{work}: " + ", ".join(f"{name} {wall:.3f} s" for name, (wall, _, _) in result.items()),
              file=sys.stderr, flush=True)
        return work, result


def urls_of(bench):
    """curl's configuration to get every blob."""
    manifest = json.loads(sh("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{bench.image}"))
    target = bench.fresh("curl")
    target.mkdir()
    lines = [f'url = "http://{bench.source.name("").rstrip("/")}/v2/six/blobs/{blob["digest"]}"\n'
             f'output = "{target}/{number}"' for number, blob in enumerate([manifest["config"], *manifest["layers"]])]
    config = target / "config"
    config.write_text("\n".join(lines) + "\n")
    return config


def pull(bench):
    """An image from the registry into a layout, which is empty before."""
    yield bench.row("pull into a layout", {
        "tare": lambda: ([*bench.tare, bench.fresh("store"), "pull", "-q", bench.image],),
        "skopeo": lambda: (["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{bench.image}",
                            f"oci:{bench.fresh('oci')}:six"],),
        "crane": lambda: (["crane", "pull", "--insecure", "--format=oci", bench.image, bench.fresh("oci")],),
        "curl, unchecked": lambda: (["curl", "-sSZ", "-K", urls_of(bench)],),
    })


def start(bench):
    """Until a container can be started: what a runtime needs is there."""
    ctr = ["ctr", "-n", "bench"]

    def tare():
        store, bundle = bench.fresh("store"), bench.fresh("bundle")
        return (["sh", "-ec", f"tare-store --store {store} pull -q --unpack {bench.image}\n"
                 f"tare-store --store {store} bundle {bench.image} {bundle}"],)

    def skopeo_umoci():
        layout, bundle = bench.fresh("oci"), bench.fresh("umoci")
        return (["sh", "-ec", f"skopeo copy -q --src-tls-verify=false docker://{bench.image} oci:{layout}:six\n"
                 f"umoci unpack --image {layout}:six {bundle}"],)

    def podman():
        sh(*bench.podman, "rmi", "--all", "--force")
        return ([*bench.podman, "pull", "-q", "--tls-verify=false", bench.image],)

    def containerd():
        for image in sh(*ctr, "images", "ls", "-q").split():
            sh(*ctr, "images", "rm", "--sync", image)
        return ([*ctr, "images", "pull", "--plain-http", bench.image], bench.containerd.child.pid)

    yield bench.row("pull until a container can start", {
        "tare": tare, "podman": podman, "containerd": containerd, "skopeo + umoci": skopeo_umoci})


def second(bench):
    """An image that shares all but its top layer with one that is there."""
    first = bench.dir / "first"
    sh(*bench.tare, first, "pull", "-q", bench.image)
    layout = layout_of(bench)

    def copied(source, name):
        target = bench.fresh(name)
        shutil.copytree(source, target, copy_function=os.link)
        # What is changed in place must not be shared.
        for file in ("index.json", "oci-layout"):
            text = (source / file).read_bytes()
            (target / file).unlink()
            (target / file).write_bytes(text)
        return target

    def podman():
        sh(*bench.podman, "pull", "-q", "--tls-verify=false", bench.image)
        subprocess.run([*map(str, bench.podman), "rmi", "--force", bench.second], capture_output=True)
        return ([*bench.podman, "pull", "-q", "--tls-verify=false", bench.second],)

    yield bench.row("a second image, of which all but the top layer is there", {
        "tare": lambda: ([*bench.tare, copied(first, "store"), "pull", "-q", bench.second],),
        "skopeo": lambda: (["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{bench.second}",
                            f"oci:{copied(layout, 'oci')}:seven"],),
        "podman": podman,
    })


def push(bench):
    """Compressed layers from a layout into an empty registry, and the same again."""
    store, layout = bench.dir / "pulled", layout_of(bench)
    sh(*bench.tare, store, "pull", "-q", bench.image)
    there = bench.target.name("there/six:1")

    def ways(name):
        return {
            "tare": lambda: ([*bench.tare, store, "push", "-q", bench.image, name()],),
            "skopeo": lambda: (["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:six",
                                f"docker://{name()}"],),
            "crane": lambda: (["crane", "push", "--insecure", layout, name()],),
        }

    # What the registry itself takes: all blobs at once, not looked at, without a manifest.
    floor = {"curl, unchecked": lambda: (["sh", "-ec", uploads_of(bench, layout)],)}
    yield bench.row("push into an empty registry", ways(lambda: there) | floor, before=bench.target.clear)
    sh("crane", "push", "--insecure", layout, there)
    yield bench.row("push again", ways(lambda: there))


def uploads_of(bench, layout):
    """A shell's commands to put all blobs side by side."""
    base = f"http://{bench.target.name('there/six')}".replace("/there/", "/v2/there/", 1)
    lines = []
    for blob in (layout / "blobs/sha256").iterdir():
        lines.append(f"""(at=$(curl -sS -X POST -D - -o /dev/null {base}/blobs/uploads/ | tr -d '\\r' |
            sed -n 's/^[Ll]ocation: //p')
            curl -sSf -X PUT -T {blob} -H 'Expect:' "$at&digest=sha256:{blob.name}") &""")
    return "\n".join([*lines, "wait"])


def built(bench):
    """Layers as a build leaves them, uncompressed: they are compressed on their way."""
    def store():
        target = bench.fresh("store")
        shutil.copytree(bench.origin, target, ignore=lambda _, names: [it for it in names if ".gzip-" in it])
        return target

    def skopeo():
        # It remembers what a layer is compressed, and so would not do it again.
        shutil.rmtree("/var/lib/containers/cache", ignore_errors=True)
        return (["skopeo", "copy", "-q", "--dest-tls-verify=false",
                 f"oci:{bench.origin}:docker.io/library/six:latest", f"docker://{name}"],)

    name = bench.target.name("built/six:1")
    yield bench.row("push what was just built, compressing it", {
        "tare": lambda: ([*bench.tare, store(), "push", "-q", "six", name],),
        "skopeo": skopeo,
    }, before=bench.target.clear)


def copy(bench):
    """From one repository to another that has nothing, in the same registry."""
    def other():
        bench.count += 1
        return bench.source.name(f"copies/r{bench.count}:1")

    yield bench.row("copy within a registry", {
        "tare": lambda: ([*bench.tare, bench.dir / "empty", "copy", "-q", f"docker://{bench.image}",
                          f"docker://{other()}"],),
        "skopeo": lambda: (["skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false",
                            f"docker://{bench.image}", f"docker://{other()}"],),
        "crane": lambda: (["crane", "copy", "--insecure", bench.image, other()],),
        "oras": lambda: (["oras", "cp", "--no-tty", "--from-plain-http", "--to-plain-http", bench.image, other()],),
    })


ROWS = {"pull": pull, "start": start, "second": second, "push": push, "built": built, "copy": copy, **bench_rest.ROWS}


def table(rows):
    """The figures as Markdown: a line per row and way, with the ratio to Tare's own."""
    lines = ["| work | way | median | tare's ÷ this | CPU | tare's ÷ this | peak memory |",
             "|---|---|---:|---:|---:|---:|---:|"]
    for work, result in rows:
        own_wall, own_cpu, _ = result["tare"]
        for position, (name, (wall, cpu, memory)) in enumerate(result.items()):
            ratio = [f"{own / it:.2f}" if position and it else "" for own, it in ((own_wall, wall), (own_cpu, cpu))]
            lines.append(f"| {'' if position else work} | {name} | {wall:.3f} s | {ratio[0]} | {cpu:.2f} s | "
                         f"{ratio[1]} | {memory / 1024:.0f} MB |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rows", default=",".join(ROWS))
    options = parser.parse_args()
    bench = Bench(options)
    rows = []
    try:
        for name in options.rows.split(","):
            rows.extend(ROWS[name](bench))
            bench.release()
    finally:
        bench.close()
    print(table(rows))


main()
