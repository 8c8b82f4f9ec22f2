"""Times Tare beside BuildKit, buildah, umoci and podman; called by scripts/bench.

Each row is a piece of work; each column a way to do it. The ways of a row take turns, so that a
machine that slows down slows all of them. A figure is the median of the runs. Memory is the peak
resident set of the largest process, and for BuildKit that of its daemons as well.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_common import sh

APP = Path(__file__).resolve().parent.parent / "examples" / "tutorial"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def measure(words):
    """Wall seconds and peak resident KiB of one command, the largest of its processes."""
    with tempfile.NamedTemporaryFile("r") as memory:
        # A small program starts the command: a child of this one would count this one's own memory.
        command = ["/usr/bin/time", "--quiet", "--format=%M", f"--output={memory.name}", *map(str, words)]
        start = time.perf_counter()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        took = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"bench: {' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout.decode()[-4000:]}")
        return took, int(memory.read())


class Peers:
    """The folder with the peers, entered as a mount namespace in which dockerd runs."""

    def __init__(self, directory):
        self.directory = directory
        root = directory / "peers"
        state = directory / "state"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        config = root / "etc/docker/daemon.json"
        config.parent.mkdir(exist_ok=True)
        config.write_text('{"features": {"containerd-snapshotter": true}}')
        files, processes = (resource.getrlimit(it)[1] for it in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
        if min(files, processes) > 0:      # crun may not raise a limit where root itself may not
            (root / "etc/containers/containers.conf").write_text(
                f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]\n')
        self.log = open(directory / "dockerd.log", "wb")
        self.daemon = subprocess.Popen(["unshare", "--mount", "sh", "-c", f"""
            set -e
            mount --make-rprivate /
            mount --bind {root} {root}
            mount -t proc proc {root}/proc
            mount --rbind /sys {root}/sys
            umount {root}/sys/fs/cgroup/unified 2>/dev/null || true   # crun refuses the hybrid layout
            mount --rbind /dev {root}/dev
            mount -t tmpfs tmpfs {root}/run
            mkdir -p {root}/{directory}
            mount --rbind {directory} {root}/{directory}
            cp /etc/resolv.conf {root}/etc/resolv.conf
            cd {root}; mkdir -p .old; pivot_root . .old; umount -l .old
            exec dockerd --iptables=false --bridge=none --data-root {state}/docker \
                --exec-root /run/docker -H unix:///run/docker.sock
        """], stdout=self.log, stderr=self.log, start_new_session=True)
        deadline = time.monotonic() + 60
        while subprocess.run(self.words("docker", "version"), capture_output=True).returncode:
            if time.monotonic() > deadline or self.daemon.poll() is not None:
                self.close()
                sys.exit(f"bench: dockerd does not start: see {self.log.name}")
            time.sleep(0.1)

    def words(self, *command):
        """The command line that runs `command` among the peers."""
        return ["nsenter", f"--target={self.daemon.pid}", "--mount", "--root", "env", "--chdir=/", *map(str, command)]

    def run(self, *command):
        return sh(*self.words(*command))

    def daemon_memory(self):
        """Peak resident KiB of dockerd and its containerd."""
        total = 0
        for pid in [self.daemon.pid, *children(self.daemon.pid)]:
            status = Path(f"/proc/{pid}/status").read_text()
            total += int(status.split("VmHWM:")[1].split()[0])
        return total

    def close(self):
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(timeout=60)


def children(pid):
    return [int(it) for it in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Bench:
    """What the rows share: programs, stores, contexts."""

    def __init__(self, options):
        self.dir = Path(options.dir)
        self.programs = Path(options.programs)
        self.runs = options.runs
        os.environ["PATH"] = f"{self.programs}:{os.environ['PATH']}"
        self.store = self.dir / "store"
        shutil.rmtree(self.store, ignore_errors=True)
        self.contexts = self.dir / "contexts"
        shutil.rmtree(self.contexts, ignore_errors=True)
        self.contexts.mkdir()
        self.scratch = self.dir / "scratch"
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        sh(self.programs / "tare-store", "--store", self.store, "import", self.dir / "base.tar", "debian:bookworm")
        self.peers = Peers(self.dir)
        self.buildah = ["buildah", "--root", self.dir / "state/containers", "--runroot", "/run/containers"]
        self.podman = ["podman", "--root", self.dir / "state/containers", "--runroot", "/run/containers"]

    def prepare(self):
        """Gives the peers the base image."""
        self.peers.run("docker", "import", self.dir / "base.tar", "debian:bookworm")
        container = self.peers.run(*self.buildah, "from", "scratch")
        self.peers.run(*self.buildah, "add", container, self.dir / "base.tar", "/")
        self.peers.run(*self.buildah, "commit", "--rm", container, "debian:bookworm")

    def forget(self):
        """Drops the builders' caches, and the images that have no name any more."""
        self.peers.run("docker", "builder", "prune", "--all", "--force")
        self.peers.run(*self.buildah, "rmi", "--prune")
        for command in (["prune", "--all", "--force"], ["gc"]):
            sh(self.programs / "tare-store", "--store", self.store, *command)

    def context(self, name, dockerfile):
        path = self.contexts / name
        path.mkdir()
        (path / "Dockerfile").write_text(dockerfile)
        return path

    def tare(self, context, *more):
        return [self.programs / "tare-build", "--store", self.store, "-q", "-t", context.name, *more, context]

    def directory(self, context, *more):
        return self.tare(context, "--driver", "directory", *more)

    def buildkit(self, context, *more, output="type=cacheonly"):
        return self.peers.words("docker", "buildx", "build", "--network=host", "--provenance=false",
                                "--progress=quiet", f"--output={output}", *more, context)

    def export(self, context, *more, compression="uncompressed"):
        target = self.scratch / "export.tar"
        return self.buildkit(context, *more, output=f"type=oci,dest={target},compression={compression}")

    def by_buildah(self, context, *more):
        cache = [] if "--no-cache" in more else ["--layers"]
        return self.peers.words(*self.buildah, "build", "--network=host", "--isolation=oci", *cache,
                                *more, "-t", context.name, context)

    def row(self, work, ways, before=None, runs=None):
        """Measures the ways in turn; `before` (way name) prepares one run, untimed."""
        figures = {name: [] for name in ways}
        for turn in range((runs or self.runs) + 1):
            for name, words in ways.items():
                if before:
                    before(name)
                took = measure(words)
                if turn:          # the first turn warms up
                    figures[name].append(took)
        result = {name: (statistics.median(t for t, _ in it), max(m for _, m in it)) for name, it in figures.items()}
        if any("BuildKit" in name for name in ways):
            result["BuildKit's daemons"] = (None, self.peers.daemon_memory())
        print(f"{work}: " + ", ".join(f"{name} {took:.3f} s {memory / 1024:.0f} MB"
              for name, (took, memory) in result.items() if took is not None), file=sys.stderr)
        return work, result

    def ways(self, context, *more, directory=False, export=True, compression="uncompressed"):
        ways = {"tare": self.tare(context, *more)}
        if directory:
            ways["tare, directory driver"] = self.directory(context, *more)
        ways["BuildKit"] = self.buildkit(context, *more)
        if export:
            ways["BuildKit, exported"] = self.export(context, *more, compression=compression)
        ways["buildah"] = self.by_buildah(context, *more)
        return ways


def run_true(bench):
    context = bench.context("run-true", "FROM debian:bookworm\n" + "RUN /bin/true\n" * 30)
    yield bench.row("30 × `RUN /bin/true`, no cache", bench.ways(context, "--no-cache", directory=True))
    yield bench.row("the same again, nothing changed", bench.ways(context, directory=True))


def plan(bench):
    """What there is to do, without doing it: the Dockerfile read, expanded, and its rules checked."""
    stages = "".join(f"FROM debian:bookworm AS s{n}\nARG NAME=s{n}\nENV STAGE=$NAME\n"
                     f"COPY --from=s{n - 1} /f{n - 1} /\nRUN cat /f{n - 1} > /f{n}\n" for n in range(1, 200))
    context = bench.context("plan", f"FROM debian:bookworm AS s0\nRUN touch /f0\n{stages}")
    ways = {"tare": [bench.programs / "tare-build", "--store", bench.store, "--check", context]}
    buildx = bench.peers.words("docker", "buildx", "build")
    # The buildx of Debian 13 is older than its checks.
    if "--check" in subprocess.run([*buildx, "--help"], capture_output=True, text=True, check=True).stdout:
        ways["BuildKit"] = [*buildx, "--check", str(context)]
    yield bench.row("`--check` of 200 stages", ways, runs=max(bench.runs, 11))


def small_files(bench):
    context = bench.context("small-files", "FROM debian:bookworm\nCOPY . /src\n")
    for number in range(20_000):
        folder = context / f"d{number % 200}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{number}").write_text(f"{number}\n" * (1 + number % 400))
    yield bench.row("`COPY` of 20,000 small files, no cache", bench.ways(context, "--no-cache"))
    yield bench.row("the same again, nothing changed", bench.ways(context))
    counter = iter(range(1_000_000))

    def change(_):
        (context / "d7/f7").write_text(f"changed {next(counter)}\n")

    yield bench.row("the same, one file changed", bench.ways(context), before=change)


def many_files(bench):
    context = bench.context("many-files", "FROM debian:bookworm\nCOPY . /src\n")
    for number in range(50_000):
        folder = context / f"d{number % 500}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{number}").write_text(f"{number}\n")
    ways = bench.ways(context, export=False)
    del ways["buildah"]      # It copies them all again, for minutes.
    yield bench.row("`COPY` of 50,000 files, nothing changed", ways)


def big_file(bench):
    context = bench.context("big-file", "FROM debian:bookworm\nCOPY big /big\n")
    with open(context / "big", "wb") as big:
        for _ in range(1024):
            big.write(os.urandom(1 << 20))
    ways = bench.ways(context, "--no-cache")
    copy = bench.scratch / "copy"
    ways["cat + sha256sum"] = ["sh", "-c", f"cat {context}/big >{copy} && sha256sum {context}/big"]
    ways["cat + sync + openssl sha256"] = [
        "sh", "-c", f"cat {context}/big >{copy} && sync {copy} && openssl dgst -sha256 {context}/big"]
    counter = iter(range(1_000_000))

    def change(_):
        copy.unlink(missing_ok=True)
        bench.forget()      # A gigabyte for each run and way would fill most disks.
        with open(context / "big", "r+b") as big:     # content that nobody has hashed or stored
            big.write(f"{next(counter)}".encode())

    yield bench.row("`COPY` of one 1 GiB file, no cache", ways, before=change)


def parallel_stages(bench):
    stages = "".join(f"FROM debian:bookworm AS s{n}\nRUN sleep 2 && touch /s{n}\n" for n in range(10))
    copies = "".join(f"COPY --from=s{n} /s{n} /s{n}\n" for n in range(10))
    context = bench.context("stages", f"{stages}FROM debian:bookworm\n{copies}")
    yield bench.row("ten independent stages, each `sleep 2`",
                    bench.ways(context, "--no-cache", directory=True, export=False))


def tutorial(bench):
    context = bench.contexts / "tutorial"
    shutil.copytree(APP, context)
    mounts = []
    if Path("/etc/pip.conf").exists():
        # The network of such a machine has its own certificates. BuildKit and buildah have no files of
        # the host in a step; all get them the same way, from the context.
        shutil.copy(CERTIFICATES, context / "host.crt")
        text = (context / "Dockerfile").read_text()
        text = text.replace("RUN pip3 install", "COPY host.crt /tmp/host.crt\nRUN pip3 install --cert /tmp/host.crt")
        (context / "Dockerfile").write_text(text)
    ways = bench.ways(context, "--no-cache", *mounts, compression="gzip")
    yield bench.row("tutorial app, cold", ways, runs=min(bench.runs, 3))
    for words in bench.ways(context, compression="gzip").values():
        measure(words)
    counter = iter(range(1_000_000))

    def change(_):
        lines = (APP / "app.py").read_text().replace("Hello from", f"Hello {next(counter)} from")
        (context / "app.py").write_text(lines)

    yield bench.row("tutorial app, one line of app.py changed",
                    bench.ways(context, compression="gzip"), before=change)


def six_layers(bench):
    """An image of six layers and some 400 MB, gzip, as a registry would give it."""
    context = bench.context("six-layers", "FROM debian:bookworm\n" + "".join(
        f"RUN cp -a /usr /opt/usr{n} && rm -rf /opt/usr{n}/share\n" for n in range(5)) + 'CMD ["true"]\n')
    archive, layout = bench.scratch / "six.tar", bench.scratch / "six"
    sh(*bench.buildkit(context, output=f"type=oci,dest={archive},compression=gzip,name=six"))
    layout.mkdir()
    sh("tar", "-C", layout, "-xf", archive)
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0].setdefault("annotations", {})["org.opencontainers.image.ref.name"] = "six"
    (layout / "index.json").write_text(json.dumps(index))
    bundle, own = bench.scratch / "bundle", bench.scratch / "own"
    tare = [bench.programs / "tare-store", "--store", own]
    make = [*tare, "bundle", "six", bundle]

    def fresh(name):
        release(name)
        shutil.rmtree(own, ignore_errors=True)
        if "tare" in name:
            shutil.copytree(layout, own)
        bench.peers.run("podman", "--root", bench.dir / "state/podman", "rmi", "--all", "--force")
        os.sync()

    def release(_):
        if (bundle / "tare.json").exists():
            sh(*tare, "unbundle", bundle)
        shutil.rmtree(bundle, ignore_errors=True)

    ways = {"tare": make, "tare, directory driver": [*tare, "bundle", "--driver=directory", "six", bundle],
            "umoci unpack": bench.peers.words("umoci", "unpack", "--image", f"{layout}:six", bundle),
            "podman (pull from the layout)": bench.peers.words(
                "podman", "--root", bench.dir / "state/podman", "pull", "-q", f"oci:{layout}:six")}
    yield bench.row("image → ready bundle, first time", ways, before=fresh)
    fresh("tare")
    for driver in ("erofs", "directory"):
        sh(*tare, "bundle", f"--driver={driver}", "six", bundle)
        release("")
    again = {"tare": make, "tare, directory driver": ways["tare, directory driver"],
             "umoci unpack": ways["umoci unpack"]}
    yield bench.row("the same again", again, before=release)
    release("")


def run(bench):
    tare = [bench.programs / "tare", "--store", bench.store, "run", "--rm", "debian:bookworm", "true"]
    yield bench.row("`run --rm IMAGE true`", {
        "tare": tare,
        "tare, directory driver": [*tare[:4], "--rm", "--driver=directory", *tare[5:]],
        "podman": bench.peers.words(*bench.podman, "run", "--rm", "--network=host", "debian:bookworm", "true"),
        "docker": bench.peers.words("docker", "run", "--rm", "--network=host", "debian:bookworm", "true"),
    }, runs=max(bench.runs, 11))


ROWS = {"run-true": run_true, "plan": plan, "small-files": small_files,
        "many-files": many_files, "big-file": big_file, "stages": parallel_stages,
        "bundle": six_layers, "run": run, "tutorial": tutorial}


def table(rows):
    """The figures as Markdown: a line per row and way, with the ratio to Tare's own."""
    lines = ["| work | way | median | Tare's time ÷ this | peak memory |", "|---|---|---:|---:|---:|"]
    for work, result in rows:
        own = result["tare"][0]
        for position, (name, (took, memory)) in enumerate(result.items()):
            seconds = f"{took:.3f} s" if took is not None else ""
            ratio = f"{own / took:.3f}" if position and took else ""
            lines.append(f"| {work if not position else ''} | {name} | {seconds} | {ratio} | {memory / 1024:.0f} MB |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", required=True)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    bench = Bench(options)
    rows = []
    try:
        bench.prepare()
        for name in options.rows.split(","):
            rows.extend(ROWS[name](bench))
            if options.output:
                options.output.write_text(table(rows) + "\n")
    finally:
        bench.peers.close()
    print(table(rows))


if __name__ == "__main__":
    main()
