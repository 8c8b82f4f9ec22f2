"""Writes what BuildKit makes of the Dockerfiles in conformance/tests/dockerfile; called by scripts/golden.

Each case is a folder: a Dockerfile, perhaps a context.sh that makes the context in the folder where it
runs (scripts that many share are in $CONTEXTS), perhaps args with an argument of `docker build` on each line, in which `@` at the start or behind
`=` is the context's folder. This writes expected.json beside them: configuration, history, and the
files in which the image differs from its base, or how the Dockerfile is refused. The test reads it;
BuildKit is only needed here.

With --buildah the same is done by buildah, and conformance/README.md gets the table of what differs.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import golden_buildah
from bench import Peers, sh

TOP = Path(__file__).resolve().parent.parent
CASES = TOP / "conformance/tests/dockerfile"
CONTEXTS = TOP / "conformance/tests/contexts"
README = TOP / "conformance/README.md"
REASONS = TOP / "conformance/dockerfile-reasons/buildah"
# What differs from run to run in the text of an error, and what stands for it.
VOLATILE = [(r"^(failed to (build|solve|run Build function): )+", ""), (r"\bref [a-z0-9]+::[a-z0-9]+", "ref …"),
            (r"/\S+/cachemounts/buildkit\d+", "MOUNT")]
# Of an extended attribute, how tars have it (star's man page).
XATTR = "SCHILY.xattr."
LETTERS = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.FIFOTYPE: "p", tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b"}


class Running:
    """Peers that run already: a program for each that finds its own way to its daemon."""

    def __init__(self, programs):
        self.programs = programs

    def words(self, program, *more):
        return [self.programs[program], *map(str, more)]

    def close(self):
        pass


def busybox_root(root):
    """The same base as the tests have: see `busybox_root` in conformance/src/lib.rs."""
    for folder in ["bin", "etc", "tmp", "root", "proc", "sys", "dev", "var/lib"]:
        (root / folder).mkdir(parents=True)
    (root / "bin/busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (root / "bin/busybox").chmod(0o755)
    for applet in sh("/bin/busybox", "--list").split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/tmp:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\napp:x:1001:\nextra:x:2000:app\n")


class Tree:
    """Files by path, each an inode: a dictionary that hard links share."""

    def __init__(self):
        self.files = {}

    def apply(self, layer):
        with tarfile.open(fileobj=layer) as tar:
            members = [(member.name.removeprefix("./").strip("/"), member) for member in tar]
            for path, _ in members:
                folder, _, name = path.rpartition("/")
                if name == ".wh..wh..opq":
                    self.remove(folder, itself=False)
                elif name.startswith(".wh."):
                    self.remove(f"{folder}/{name[4:]}".strip("/"))
            for path, member in members:
                if path not in ("", ".") and not path.rpartition("/")[2].startswith(".wh."):
                    self.add(path, member, tar)

    def remove(self, path, itself=True):
        below = f"{path}/" if path else ""
        for known in [it for it in self.files if it.startswith(below) or (itself and it == path)]:
            del self.files[known]

    def add(self, path, member, tar):
        if not member.isdir():
            linked = self.files.get(member.linkname.removeprefix("./").strip("/"))
            self.remove(path)
        if member.islnk():
            self.files[path] = linked
            return
        file = {"type": LETTERS.get(member.type, "f"), "mode": f"{member.mode:o}", "owner": f"{member.uid}:{member.gid}"}
        if member.issym():
            file |= {"to": member.linkname, "mode": "777"}
        elif member.isreg():
            content = tar.extractfile(member).read()
            short = len(content) <= 400 and content.isascii()
            file |= {"text": content.decode()} if short else {"size": len(content)}
        elif member.isdev() and not member.isfifo():
            file["device"] = f"{member.devmajor}:{member.devminor}"
        attributes = {name.removeprefix(XATTR): value.encode("utf-8", "surrogateescape").hex()
                      for name, value in sorted(member.pax_headers.items()) if name.startswith(XATTR)}
        self.files[path] = file | ({"xattrs": attributes} if attributes else {})

    def listed(self):
        first, result = {}, {}
        for path in sorted(self.files, key=lambda it: it.split("/")):
            file = self.files[path]
            known = first.setdefault(id(file), path)
            result[path] = file if known == path else {"link": known}
        return result


class Refused(Exception):
    """What a peer said instead of building."""


def attempt(words):
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Refused(done.stdout + done.stderr)


def arguments(folder, context):
    """The case's arguments, and last the context."""
    file = folder / "args"
    lines = file.read_text().splitlines() if file.exists() else []
    return [re.sub(r"(^|=)@", rf"\1{context}", line) for line in lines] + [context]


def by_buildkit(peers, folder, context, out):
    attempt(peers.words("docker", "buildx", "build", "--network=host", "--provenance=false", "--no-cache",
                        "--progress=plain", f"--output=type=oci,dest={out},compression=uncompressed",
                        *arguments(folder, context)))


def by_buildah(peers, folder, context, out):
    name = f"case-{folder.name}"
    attempt(peers.words("buildah", "build", "--network=host", "--isolation=oci", "--no-cache", "--pull-never",
                        "-t", name, *arguments(folder, context)))
    attempt(peers.words("buildah", "push", "--quiet", "--disable-compression", name, f"oci-archive:{out}"))


def read(archive):
    """The configuration of the image in an archive, and its files."""
    with tarfile.open(archive) as tar:
        def blob(descriptor):
            return tar.extractfile(f"blobs/sha256/{descriptor['digest'].split(':')[1]}")
        manifest = json.load(blob(json.load(tar.extractfile("index.json"))["manifests"][0]))
        config = json.load(blob(manifest["config"]))
        tree = Tree()
        for layer in manifest["layers"] or []:
            tree.apply(blob(layer))
        return config, tree


def expected(config, tree, base):
    history = [[it["created_by"], it.get("empty_layer", False)] for it in config.get("history") or []
               if it.get("comment") == "buildkit.dockerfile.v0" and not it["created_by"].startswith("ARG ")]
    before, after = base.listed(), tree.listed()
    scratch = "bin/busybox" not in after
    before = {} if scratch else before
    files = {path: file for path, file in after.items() if before.get(path) != file}
    return {
        "config": {name: value for name, value in sorted(config["config"].items()) if value},
        "files": files,
        "history": history,
        "removed": sorted(path for path in before if path not in after),
    }


def refusal(said, context):
    """The error of BuildKit, and the line of the Dockerfile that it points to."""
    error = re.findall(r"^(?:ERROR|Error|error): (.*(?:\n(?!-{3,}).+)*)", said, re.M)
    text = error[-1].replace(str(context), "CONTEXT") if error else said
    for volatile, stable in VOLATILE:
        text = re.sub(volatile, stable, text)
    result = {"refused": text}
    line = re.findall(r"^\S*ockerfile\S*:(\d+)$", said, re.M)
    return result | ({"line": int(line[-1])} if line else {})


class Cases:
    """The cases, each with a folder for its context."""

    def __init__(self, peers, work):
        self.peers, self.work = peers, work
        busybox_root(work / "root")
        sh("tar", "-C", work / "root", "-cf", work / "base.tar", ".")
        self.base = Tree()
        self.base.apply(open(work / "base.tar", "rb"))

    def context(self, folder, how):
        context = self.work / how / folder.name
        context.mkdir(parents=True)
        (context / "Dockerfile").write_bytes((folder / "Dockerfile").read_bytes())
        if (folder / "context.sh").exists():
            subprocess.run(["bash", "-eu", folder / "context.sh"], cwd=context, check=True,
                           env=os.environ | {"CONTEXTS": str(CONTEXTS)})
        return context

    def result(self, folder, build):
        context, out = self.context(folder, build.__name__), self.work / f"{build.__name__}-{folder.name}.tar"
        try:
            build(self.peers, folder, context, out)
        except Refused as refused:
            return refusal(str(refused), context)
        result = expected(*read(out), self.base)
        out.unlink()
        return result

    def golden(self, folder):
        text = json.dumps(self.result(folder, by_buildkit), indent=2, ensure_ascii=False)
        (folder / "expected.json").write_text(text + "\n")
        print(folder.name, file=sys.stderr)

    def by_buildah(self, folder):
        """How buildah's result differs from BuildKit's."""
        print(folder.name, file=sys.stderr)
        expected = json.loads((folder / "expected.json").read_text())
        return golden_buildah.differences(expected, self.result(folder, by_buildah))


def write_section(name, text):
    mark = f"<!-- {name} -->"
    before, _, rest = README.read_text().partition(mark)
    after = rest.partition(f"<!-- /{name} -->")[2]
    README.write_text(f"{before}{mark}\n{text}\n<!-- /{name} -->{after}")


def prepare(peers, base, buildah):
    """Gives the peers the base image."""
    attempt(peers.words("docker", "import", base, "busybox:base"))
    if buildah:
        container = subprocess.run(peers.words("buildah", "from", "scratch"), capture_output=True, text=True, check=True)
        attempt(peers.words("buildah", "add", container.stdout.strip(), base, "/"))
        attempt(peers.words("buildah", "commit", "--quiet", "--rm", container.stdout.strip(), "busybox:base"))


def version(peers):
    text = subprocess.run(peers.words("buildah", "--version"), capture_output=True, text=True, check=True).stdout
    return f"buildah {text.split()[2]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, help="the folder with the peers, see scripts/golden")
    parser.add_argument("--docker", help="a docker that runs already, in place of --dir's")
    parser.add_argument("--buildah-program", help="likewise")
    parser.add_argument("--buildah", action="store_true", help="compare with buildah, and write the table")
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    running = {"docker": options.docker, "buildah": options.buildah_program}
    peers = Running(running) if options.docker else Peers(options.dir)
    folders = [it for it in sorted(CASES.iterdir()) if not options.cases or it.name in options.cases]
    try:
        with tempfile.TemporaryDirectory(dir=options.dir) as work, ThreadPoolExecutor(2 * os.cpu_count()) as pool:
            cases = Cases(peers, Path(work))
            prepare(peers, cases.work / "base.tar", options.buildah)
            if not options.buildah:
                list(pool.map(cases.golden, folders))
                return
            found = dict(zip((it.name for it in folders), pool.map(cases.by_buildah, folders)))
            text, unexplained = golden_buildah.table(found, golden_buildah.causes(REASONS), version(peers))
            print(text) if options.cases else write_section("buildah", text)
            if unexplained:
                sys.exit(f"golden: {REASONS} does not explain {' '.join(unexplained)}")
    finally:
        peers.close()


if __name__ == "__main__":
    main()
