"""Rows of `scripts/bench store` for images at rest: unpacked, changed, looked at, checked, collected.

A directory to write into is always a new one, and goes at the end of the row: ext4 avoids inodes that were freed a
moment ago, so that whatever comes right after an `rm -r` takes several times as long.
"""

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import tarfile
from pathlib import Path

from bench_common import sh

GC_IMAGES, GC_LAYERS = 1000, 48
LOOK_FILES = 100_000
FSCK_LAYERS, FSCK_MIB = 4, 1024
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def layout_of(bench):
    """The six-layer image, compressed, as skopeo leaves it: also a store in which nothing is unpacked."""
    path = bench.dir / "layout"
    if not path.exists():
        sh("skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{bench.image}", f"oci:{path}:six")
    return path


def linked(bench, source, name):
    """A copy of a layout, whose blobs are the same files."""
    target = bench.fresh(name)
    sh("cp", "-al", source, target)
    for file in ("index.json", "oci-layout"):
        (target / file).unlink()
        shutil.copy(source / file, target / file)
    return target


def unpack(bench):
    """An image's files in a plain directory."""
    source = layout_of(bench)
    warm = linked(bench, source, "warm")
    sh(*bench.tare, warm, "unpack", "six", bench.fresh("first"))
    memory = Path("/run/bench-unpack")
    for place, folder in (("ext4", bench.dir), ("tmpfs", memory)):
        folder.mkdir(exist_ok=True)
        if folder is memory:
            sh("mount", "-t", "tmpfs", "-o", "size=12g", "tmpfs", memory)

        def fresh(name, folder=folder):
            return folder / bench.fresh(name).name

        def cold(folder=folder, fresh=fresh):
            store = fresh("store")
            sh("cp", "-a" if folder is memory else "-al", source, store)
            return ([*bench.tare, store, "unpack", "six", fresh("files")],)

        def exported(fresh=fresh):
            target = fresh("files")
            target.mkdir()
            return (["sh", "-ec", f"crane export --insecure {bench.image} - | tar -x -C {target}"],)

        yield bench.row(f"unpack, {place}", {
            "tare": cold,
            "tare, its layers uncompressed before": lambda fresh=fresh: (
                [*bench.tare, warm, "unpack", "six", fresh("files")],),
            "umoci": lambda fresh=fresh: (["umoci", "unpack", "--image", f"{source}:six", fresh("umoci")],),
            "crane export, GNU tar": exported,
        }, keep=True, after=lambda folder=folder: clear(folder, memory))
    sh("umount", memory)


def clear(folder, memory):
    """Room in memory is dear."""
    if folder is memory:
        for path in memory.iterdir():
            shutil.rmtree(path)


def change(root, turn):
    """What somebody does to an image's files: a few replaced, added, removed."""
    files = [Path(folder) / name for folder, _, names in os.walk(root / "opt") for name in sorted(names)]
    files = [it for it in sorted(files) if it.is_file() and not it.is_symlink()]
    for path in files[turn * 10:turn * 10 + 10]:
        path.write_text(f"changed in turn {turn}\n")
    for path in files[-10 * turn - 10:len(files) - 10 * turn]:
        path.unlink()
    (root / f"added-{turn}").mkdir()
    for number in range(10):
        (root / f"added-{turn}" / str(number)).write_text(f"new in turn {turn}\n")


def layer(bench):
    """A new layer of what was changed."""
    source = layout_of(bench)
    store, files, bundle = linked(bench, source, "store"), bench.fresh("files"), bench.fresh("umoci")
    other = linked(bench, source, "other")
    sh(*bench.tare, store, "unpack", "six", files)
    sh("umoci", "unpack", "--image", f"{other}:six", bundle)
    sh(*bench.podman, "pull", "-q", "--tls-verify=false", bench.image)
    container = sh(*bench.podman, "create", bench.image, "true")
    roots = [files, bundle / "rootfs", Path(sh(*bench.podman, "mount", container))]
    turns = iter(range(1000))

    def more():
        turn = next(turns)
        for root in roots:
            change(root, turn)

    ways = {
        "tare": lambda: (more(), [*bench.tare, store, "commit", files, "new"])[1:],
        "umoci repack": lambda: (["umoci", "repack", "--image", f"{other}:new", bundle],),
        "podman commit": lambda: ([*bench.podman, "commit", "-q", container, "new"],),
    }
    yield bench.row("a new layer of a changed tree", ways, keep=True)
    sh(*bench.podman, "rm", "--force", container)
    sh(*bench.podman, "rmi", "--all", "--force")


def bundle(bench):
    """A bundle that is ready to run."""
    source = layout_of(bench)
    yield bench.row("bundle, the first time", {
        "tare": lambda: ([*bench.tare, linked(bench, source, "store"), "bundle", "six", bench.fresh("bundle")],),
        "umoci": lambda: (["umoci", "unpack", "--image", f"{source}:six", bench.fresh("umoci")],),
    }, keep=True)
    warm = linked(bench, source, "warm")
    sh(*bench.tare, warm, "bundle", "six", bench.fresh("bundle"))
    sh(*bench.podman, "pull", "-q", "--tls-verify=false", bench.image)
    podman = " ".join(map(str, bench.podman))
    yield bench.row("bundle again", {
        "tare": lambda: ([*bench.tare, warm, "bundle", "six", bench.fresh("bundle")],),
        "podman create, mount": lambda: (
            ["sh", "-ec", f"{podman} mount $({podman} create {bench.image} true)"],),
    }, keep=True)
    sh(*bench.podman, "rm", "--all", "--force")
    sh(*bench.podman, "rmi", "--all", "--force")


def many_files(path, seed):
    """A layer's tar: so many small files in directories of a hundred."""
    with tarfile.open(path, "w") as tar:
        for number in range(LOOK_FILES):
            data = b"%d %d\n" % (number, seed if number % 100 == 0 else 0)
            info = tarfile.TarInfo(f"usr/share/d{number // 10000}/d{number // 100}/file-{number}")
            info.size, info.mtime = len(data), 1_600_000_000
            tar.addfile(info, io.BytesIO(data))


def look(bench):
    """Inside an image of many files."""
    store = bench.dir / "many"
    for name, seed in (("a", 1), ("b", 2)):
        tar = bench.fresh("tar")
        many_files(tar, seed)
        sh(*bench.tare, store, "import", "-q", tar, name)
        sh(*bench.tare, store, "push", "-q", name, bench.source.name(f"many-{name}:1"))
    remote = bench.source.name("many-a:1")
    own = {"tree": ["tree", "a"], "diff": ["diff", "a", "b"], "which-layer": ["which-layer", "a", "/usr/share/d3/d333/file-33333"]}
    for name, words in own.items():
        ways = {"tare": lambda words=words: ([*bench.tare, store, *words],)}
        if name == "tree":
            ways["crane export, GNU tar"] = lambda: (["sh", "-ec", f"crane export --insecure {remote} - | tar -tv"],)
        yield bench.row(f"{name} of {LOOK_FILES:,} files", ways)


def show(bench):
    """Lists, and one image's configuration."""
    source = layout_of(bench)
    yield bench.row("inspect", {
        "tare": lambda: ([*bench.tare, source, "inspect", "six"],),
        "skopeo": lambda: (["skopeo", "inspect", f"oci:{source}:six"],),
    })
    yield bench.row("ls", {
        "tare": lambda: ([*bench.tare, source, "ls"],),
        "umoci": lambda: (["umoci", "ls", "--layout", source],),
    })


def many_images(root):
    """A layout of small images that share nothing; every other one is named."""
    blobs = root / "blobs/sha256"
    blobs.mkdir(parents=True)
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def put(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    entries = []
    for image in range(GC_IMAGES):
        layers, diff_ids = [], []
        for number in range(GC_LAYERS):
            text = b"image %d layer %d\n" % (image, number)
            layers.append(put(gzip.compress(text * 20, 1, mtime=0), LAYER))
            diff_ids.append("sha256:" + hashlib.sha256(text * 20).hexdigest())
        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": put(json.dumps(config).encode(), CONFIG),
                    "layers": layers}
        entry = put(json.dumps(manifest).encode(), MANIFEST)
        if image % 2:
            entry["annotations"] = {"org.opencontainers.image.ref.name": f"image-{image}"}
            entries.append(entry)
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def gc(bench):
    """A thousand images, of which half have no name any more."""
    source = bench.dir / "many-images"
    many_images(source)
    total = GC_IMAGES * (GC_LAYERS + 2)
    yield bench.row(f"gc: {total // 2:,} of {total:,} blobs go", {
        "tare": lambda: ([*bench.tare, linked(bench, source, "store"), "gc"],),
        "umoci": lambda: (["umoci", "gc", "--layout", linked(bench, source, "layout")],),
    })
    clean = linked(bench, source, "clean")
    sh(*bench.tare, clean, "gc")
    yield bench.row(f"gc: nothing of {total // 2:,} blobs goes", {
        "tare": lambda: ([*bench.tare, clean, "gc"],),
        "umoci": lambda: (["umoci", "gc", "--layout", clean],),
    }, keep=True)


def fsck(bench):
    """Every byte against its digest."""
    store, tar = bench.dir / "large", bench.fresh("tar")
    chance = random.Random(1)
    for number in range(FSCK_LAYERS):
        with tarfile.open(tar, "w") as out:
            info = tarfile.TarInfo("file")
            info.size = FSCK_MIB << 20
            block = chance.randbytes(1 << 20)
            out.addfile(info, Repeated(block, info.size))
        sh(*bench.tare, store, "import", "-q", tar, f"large-{number}")
        tar.unlink()
    hashed = f"find {store}/blobs/sha256 -type f -print0 | xargs -0 -n 1 -P {os.cpu_count()} sha256sum"
    yield bench.row(f"fsck of {FSCK_LAYERS * FSCK_MIB >> 10} GiB", {
        "tare": lambda: ([*bench.tare, store, "fsck"],),
        "sha256sum on all cores": lambda: (["sh", "-ec", hashed],),
    })
    shutil.rmtree(store)


class Repeated:
    """A file of one block over and over, each with its number."""

    def __init__(self, block, size):
        self.block, self.size, self.at = block, size, 0

    def read(self, count):
        data = bytearray()
        while len(data) < count and self.at < self.size:
            number = self.at // len(self.block)
            block = number.to_bytes(8, "big") + self.block[8:]
            start = self.at % len(self.block)
            part = block[start:start + count - len(data)]
            data += part
            self.at += len(part)
        return bytes(data)


ROWS = {"unpack": unpack, "layer": layer, "bundle": bundle, "look": look, "show": show, "gc": gc, "fsck": fsck}
