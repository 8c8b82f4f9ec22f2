#!/usr/bin/env python3
"""Writes what BuildKit makes of the Dockerfiles in conformance/tests/dockerfile.

Each case is a folder: a Dockerfile, perhaps a context.sh that makes the context in the folder where
it runs, perhaps args with an argument of `docker build` on each line. This writes expected.json
beside them: configuration, history, and the files in which the image differs from its base. The test
reads it; BuildKit is only needed here.

    scripts/golden.py DIR [CASE…]      DIR holds the folder `peers` that scripts/bench makes
"""

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench import Peers, sh

CASES = Path(__file__).resolve().parent.parent / "conformance/tests/dockerfile"
LETTERS = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.FIFOTYPE: "p", tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b"}


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
        if member.islnk():
            self.files[path] = self.files[member.linkname.removeprefix("./").strip("/")]
            return
        if not member.isdir():
            self.remove(path)
        file = {"type": LETTERS.get(member.type, "f"), "mode": f"{member.mode:o}", "owner": f"{member.uid}:{member.gid}"}
        if member.issym():
            file |= {"to": member.linkname, "mode": "777"}
        elif member.isreg():
            content = tar.extractfile(member).read()
            short = len(content) <= 400 and content.isascii()
            file |= {"text": content.decode()} if short else {"size": len(content)}
        elif member.isdev() and not member.isfifo():
            file["device"] = f"{member.devmajor}:{member.devminor}"
        self.files[path] = file

    def listed(self):
        first, result = {}, {}
        for path in sorted(self.files, key=lambda it: it.split("/")):
            file = self.files[path]
            known = first.setdefault(id(file), path)
            result[path] = file if known == path else {"link": known}
        return result


def build(peers, folder, context, work):
    """The image's configuration, and its layers as open tars."""
    out = work / "image.tar"
    args = (folder / "args").read_text().split("\n") if (folder / "args").exists() else []
    peers.run("docker", "buildx", "build", "--network=host", "--provenance=false", "--no-cache",
              f"--output=type=oci,dest={out},compression=uncompressed", *filter(None, args), context)
    with tarfile.open(out) as tar:
        def blob(descriptor):
            return tar.extractfile(f"blobs/sha256/{descriptor['digest'].split(':')[1]}")
        manifest = json.load(blob(json.load(tar.extractfile("index.json"))["manifests"][0]))
        config = json.load(blob(manifest["config"]))
        tree = Tree()
        for layer in manifest["layers"] or []:
            tree.apply(blob(layer))
        return config, tree


def expected(config, tree, base):
    history = [[it["created_by"], it.get("empty_layer", False)] for it in config["history"]
               if it.get("comment") == "buildkit.dockerfile.v0" and not it["created_by"].startswith("ARG ")]
    before, after = base.listed(), tree.listed()
    scratch = len(config["history"]) == sum("comment" in it for it in config["history"])
    before = {} if scratch and "bin/busybox" not in after else before
    files = {path: file for path, file in after.items() if before.get(path) != file}
    return {
        "config": {name: value for name, value in sorted(config["config"].items()) if value},
        "files": files,
        "history": history,
        "removed": sorted(path for path in before if path not in after),
    }


def main():
    directory, only = Path(sys.argv[1]), sys.argv[2:]
    peers = Peers(directory)
    try:
        with tempfile.TemporaryDirectory(dir=directory) as work:
            work = Path(work)
            busybox_root(work / "root")
            sh("tar", "-C", work / "root", "-cf", work / "base.tar", ".")
            peers.run("docker", "import", work / "base.tar", "busybox:base")
            base = Tree()
            base.apply(open(work / "base.tar", "rb"))
            for folder in sorted(CASES.iterdir()):
                if only and folder.name not in only:
                    continue
                context = work / folder.name
                context.mkdir()
                (context / "Dockerfile").write_bytes((folder / "Dockerfile").read_bytes())
                if (folder / "context.sh").exists():
                    subprocess.run(["bash", "-eu", folder / "context.sh"], cwd=context, check=True)
                config, tree = build(peers, folder, context, work)
                text = json.dumps(expected(config, tree, base), indent=2, ensure_ascii=False)
                (folder / "expected.json").write_text(text + "\n")
                print(folder.name, file=sys.stderr)
    finally:
        peers.close()


if __name__ == "__main__":
    main()
