"""Builds the services in examples/ with tare-build, runs them, and compares them with BuildKit's; called
by scripts/examples."""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench import Peers, sh
from golden import Running, Tree, attempt, read

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
BASE = "debian:trixie"
SERVICES = {
    # name: the arguments of its container, and what it says
    "rust-service": ([], "hello from 1.2.3, world (23 bytes)"),
    "go-service": (["--version"], "hello from go 1.2.3"),
    "node-service": (["node", "server.js", "--once"], "hello from node, where a day has 86400000 ms"),
    "python-service": (["ok"], "hello from python ok"),
}
# What no two builds have in common: caches, logs, times in names.
VOLATILE = re.compile(r"^(var/(cache|log|lib/(apt|dpkg|systemd))|tmp|root/\.|etc/(ld\.so\.cache|.*-$))|__pycache__")


class Tare:
    """The programs, and a store of their own."""

    def __init__(self, options):
        self.store = options.dir / "store"
        os.environ["TARE_STORE"] = str(self.store)
        os.environ["PATH"] = f"{options.programs}:{os.environ['PATH']}"
        sh("tare-store", "import", options.dir / "base.tar", BASE)

    def build(self, name):
        """Seconds that it took."""
        start = time.monotonic()
        sh("tare-build", "-q", "-t", name, "--build-arg", "VERSION=1.2.3", EXAMPLES / name)
        return time.monotonic() - start

    def check(self, name):
        arguments, want = SERVICES[name]
        said = sh("tare", "run", "--rm", name, *arguments)
        if want not in said:
            sys.exit(f"examples: {name} says {said!r}, not {want!r}")

    def image(self, name):
        """Configuration and files, as golden.py has them: the store is an OCI layout."""
        def blob(descriptor):
            return open(self.store / "blobs/sha256" / descriptor["digest"].split(":")[1], "rb")
        index = json.loads((self.store / "index.json").read_text())["manifests"]
        named = [it for it in index if f"/{name}:" in it.get("annotations", {}).get("org.opencontainers.image.ref.name", "")]
        manifest = json.load(blob(named[-1]))
        tree = Tree()
        for layer in manifest["layers"]:
            tree.apply(blob(layer))
        return json.load(blob(manifest["config"])), tree


def of_buildkit(peers, name, work):
    """The peers see nothing but `work`."""
    context, out = work / name, work / f"{name}-buildkit.tar"
    shutil.copytree(EXAMPLES / name, context)
    attempt(peers.words("docker", "buildx", "build", "--network=host", "--provenance=false", "--build-arg",
                        "VERSION=1.2.3", f"--output=type=oci,dest={out},compression=uncompressed", context))
    return read(out)


def kinds(tree):
    """What a build decides of each file: its kind, mode and owner."""
    listed = ((path, file) for path, file in tree.listed().items() if not VOLATILE.search(path))
    return {path: tuple(file.get(key) for key in ("type", "mode", "owner", "to", "link")) for path, file in listed}


def differences(ours, theirs):
    """Lines that say where two images differ; none where they do not."""
    (config, tree), (wanted, wanted_tree) = ours, theirs
    said = [f"config {key}: {config['config'].get(key)} instead of {value}"
            for key, value in wanted["config"].items() if value and config["config"].get(key) != value]
    said += [f"config {key}: not wanted" for key, value in config["config"].items() if value and not wanted["config"].get(key)]
    files, wanted_files = kinds(tree), kinds(wanted_tree)
    said += [f"/{path}: {files.get(path)} instead of {wanted_files.get(path)}"
             for path in sorted(files.keys() | wanted_files.keys()) if files.get(path) != wanted_files.get(path)]
    return said


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--peers", type=Path, help="the folder with the peers, see scripts/golden")
    parser.add_argument("--docker", help="a docker that runs already, in place of --peers")
    parser.add_argument("names", nargs="*", default=list(SERVICES))
    options = parser.parse_args()
    tare, failed = Tare(options), False
    peers = options.compare and (Running({"docker": options.docker}) if options.docker else Peers(options.peers))
    try:
        with tempfile.TemporaryDirectory(dir=options.peers or options.dir) as work:
            if peers:
                base = shutil.copy(options.dir / "base.tar", work)
                attempt(peers.words("docker", "import", base, BASE))
            for name in options.names:
                first, again = tare.build(name), tare.build(name)
                tare.check(name)
                print(f"{name}: built in {first:.1f} s, again in {again:.2f} s, and it runs")
                if peers:
                    found = differences(tare.image(name), of_buildkit(peers, name, Path(work)))
                    failed |= bool(found)
                    print("\n".join(f"    {line}" for line in found[:40] or ["as BuildKit makes it"]))
    finally:
        if peers:
            peers.close()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
