"""Makes a corpus of hostile images: one OCI layout for each, in a folder of its name.

    images.py DIR OUTSIDE

DIR is made. OUTSIDE is the absolute path that links lead to, which nothing may touch. What is to become
of each image stands in `expected/`, a file for each.
"""

import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path

DIR, OUTSIDE = Path(sys.argv[1]), sys.argv[2]
TAR, GZIP, ZSTD = (f"application/vnd.oci.image.layer.v1.tar{end}" for end in ("", "+gzip", "+zstd"))
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


# -- tars --------------------------------------------------------------------------------------------

def entry(name, kind="file", data=b"", **more):
    """An entry as tarfile writes it; PAX records in `pax`."""
    info = tarfile.TarInfo("x")
    info.mtime, info.mode = 1_600_000_000, 0o755 if kind == "dir" else 0o644
    info.type = {
        "file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE,
        "char": tarfile.CHRTYPE, "block": tarfile.BLKTYPE, "fifo": tarfile.FIFOTYPE,
    }.get(kind, kind if isinstance(kind, bytes) else tarfile.REGTYPE)
    if kind in ("link", "hard"):
        info.linkname, data = os.fsdecode(data), b""
    info.name = os.fsdecode(name)
    info.size = len(data)
    info.pax_headers = more.pop("pax", {})
    for field, value in more.items():
        setattr(info, field, value)
    return info, data


def raw(name, data=b"", kind=b"0", size=None, checksum=None, magic=b"ustar\x0000", link=b""):
    """One header block by hand, with its data."""
    size = size if size is not None else b"%011o\0" % len(data)
    head = bytearray(512)
    head[0:len(name[:100])] = name[:100]
    head[100:108], head[108:116], head[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    head[124:136], head[136:148] = size, b"00000000000\0"
    head[148:156], head[156:157] = b"        ", kind
    head[157:157 + len(link)] = link
    head[257:265] = magic
    head[148:156] = checksum or b"%06o\0 " % sum(head)
    return bytes(head) + data + bytes(-len(data) % 512)


def pax(records, kind=b"x"):
    """A PAX header block with records as they are given."""
    text = b""
    for key, value in records:
        body = b" " + key + b"=" + value + b"\n"
        length = len(body)
        while len(str(length)) + len(body) != length:
            length = len(str(length)) + len(body)
        text += str(length).encode() + body
    return raw(b"PaxHeaders/x", text, kind=kind)


END = bytes(1024)


def tar(*entries):
    """A tar of entries, of bytes that are one already, or of both."""
    out = b""
    for it in entries:
        if isinstance(it, bytes):
            out += it
        else:
            info, data = it
            out += info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + data + bytes(-len(data) % 512)
    return out + END


# -- images ------------------------------------------------------------------------------------------

def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
    """A layout in the making."""

    def __init__(self, name):
        self.root = DIR / name
        (self.root / "blobs/sha256").mkdir(parents=True)
        (self.root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def path(self, digest):
        return self.root / "blobs/sha256" / digest.split(":")[1]

    def put(self, data, media_type, **more):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.path(sha(data)).write_bytes(data)
        return {"mediaType": media_type, "digest": sha(data), "size": len(data)} | more

    def index(self, *descriptors):
        named = {"org.opencontainers.image.ref.name": "docker.io/library/x:latest"}
        entries = [it | {"annotations": named} for it in descriptors]
        (self.root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def image(name, *layers, media_type=TAR, blobs=None, diff_ids=None, config=None, manifest=None, change=None):
    """An image of tars. `blobs` are what the layers are at rest, where that is something else."""
    layout = Layout(name)
    blobs = blobs or layers
    stored = [layout.put(blob, media_type) for blob in blobs]
    document = {"architecture": "amd64", "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": diff_ids if diff_ids is not None else [sha(it) for it in layers]}}
    config = layout.put(config if config is not None else document, CONFIG)
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": stored}
    described = layout.put(manifest(document) if manifest else document, MANIFEST)
    layout.index(described)
    if change:
        change(layout, stored, described)


def zeros(count):
    return gzip.compress(bytes(count), mtime=0)


def zstd(data):
    import subprocess
    return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout


FILE = entry("file", data=b"content")
BASE = tar(entry("etc", "dir"), entry("etc/passwd", data=b"inside"), entry("dir", "dir"), entry("dir/a", data=b"a"),
           entry("dir/b", data=b"b"), FILE)
OUT = OUTSIDE.encode()

# Names.
image("name-parent", tar(entry("../evil", data=b"x")))
image("name-parent-inside", tar(entry("a/../../evil", data=b"x")))
image("name-parent-harmless", tar(entry("a", "dir"), entry("a/../b", data=b"x")))
image("name-parent-last", tar(entry("a/..", "dir")))
image("name-absolute", tar(entry(OUT + b"/evil", data=b"x")))
image("name-slashes", tar(entry("//a///b", data=b"x")))
image("name-empty", tar(raw(b"", b"x")))
image("name-dot", tar(entry(".", "dir"), entry("./a", data=b"x")))
image("name-nul", tar(pax([(b"path", b"a\0b")]), raw(b"a", b"x")))
image("name-newline", tar(entry("a\nb", data=b"x")))
image("name-not-utf8", tar(entry(b"caf\xe9", data=b"x")))
image("name-escape", tar(entry("\x1b[31mred", data=b"x")))
image("name-255", tar(entry("n" * 255, data=b"x")))
image("name-256", tar(entry("n" * 256, data=b"x")))
image("path-4096", tar(entry("n/" * 2100 + "n", data=b"x")))
image("path-deep", tar(entry("d/" * 900 + "f", data=b"x")))

# Links.
image("link-absolute-write", tar(entry("l", "link", OUT), entry("l/evil", data=b"x")))
image("link-up-write", tar(entry("l", "link", b"../../../../../.." + OUT), entry("l/evil", data=b"x")))
image("link-layers-write", tar(entry("l", "link", OUT)), tar(entry("l/evil", data=b"x")))
image("link-replaces-dir", BASE, tar(entry("dir", "link", OUT)), tar(entry("dir/evil", data=b"x")))
image("link-loop-write", tar(entry("a", "link", b"b"), entry("b", "link", b"a"), entry("a/x", data=b"x")))
image("link-chain-write", tar(*(entry(f"l{n}", "link", b"l%d" % (n + 1)) for n in range(60)), entry("l0/x", data=b"x")))
image("link-file-then-write", tar(entry("l", "link", OUT + b"/marker"), entry("l", data=b"x")))
image("link-target-long", tar(entry("l", "link", b"t" * 5000)))
image("link-target-empty", tar(raw(b"l", kind=b"2")))
image("hard-outside", tar(entry("h", "hard", b"../../../../.." + OUT + b"/marker")))
image("hard-absolute", tar(entry("h", "hard", OUT + b"/marker")))
image("hard-through-link", tar(entry("l", "link", OUT), entry("h", "hard", b"l/marker")))
image("hard-to-link", tar(entry("l", "link", OUT + b"/marker"), entry("h", "hard", b"l"), entry("h", data=b"x")))
image("hard-to-directory", tar(entry("d", "dir"), entry("h", "hard", b"d")))
image("hard-to-self", tar(entry("h", "hard", b"h")))
image("hard-forward", tar(entry("h", "hard", b"later"), entry("later", data=b"x")))
image("hard-to-lower", BASE, tar(entry("h", "hard", b"file"), entry("h", data=b"other")))
image("hard-with-data", tar(FILE, entry("h", "hard", b"file"), raw(b"h2", b"data", kind=b"1", link=b"file")))

# What files are.
image("char-device", tar(entry("null", "char", devmajor=1, devminor=3)))
image("block-device", tar(entry("sda", "block", devmajor=8, devminor=0)))
image("device-whiteout", BASE, tar(entry("file", "char", devmajor=0, devminor=0)))
image("fifo", tar(entry("pipe", "fifo")))
image("setuid", tar(entry("su", data=b"#!", mode=0o6755)))
image("mode-odd", tar(entry("m", data=b"", mode=0o7777777)))
image("type-unknown", tar(entry("z", b"Z", b"x")))
image("owner-huge", tar(pax([(b"uid", b"4294967296")]), raw(b"a", b"x")))
image("owner-negative", tar(pax([(b"uid", b"-1")]), raw(b"a", b"x")))
image("time-huge", tar(pax([(b"mtime", b"99999999999999999999")]), raw(b"a", b"x")))
image("root-a-file", tar(entry(".", data=b"x")))
image("root-a-link", tar(entry(".", "link", OUT)))

# Extended attributes.
attribute = lambda name, value: tar(entry("a", data=b"x", pax={"SCHILY.xattr." + name: value}))
image("xattr-capability", tar(pax([(b"SCHILY.xattr.security.capability", b"\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0")]), raw(b"a", b"x")))
image("xattr-overlay-opaque", BASE, tar(entry("dir", "dir", pax={"SCHILY.xattr.trusted.overlay.opaque": "y"})))
image("xattr-overlay-user", BASE, tar(entry("file", data=b"", pax={"SCHILY.xattr.user.overlay.whiteout": "y"})))
image("xattr-overlay-redirect", BASE, tar(entry("dir", "dir", pax={"SCHILY.xattr.trusted.overlay.redirect": "/etc"})))
image("xattr-long-name", attribute("user." + "n" * 300, "v"))
image("xattr-long-value", attribute("user.v", "v" * 70_000))

# Whiteouts.
image("wh-dot", BASE, tar(entry(".wh..", data=b"")))
image("wh-dot-dot", BASE, tar(entry(".wh...", data=b"")))
image("wh-nothing", BASE, tar(entry(".wh.", data=b"")))
image("wh-root-opaque", BASE, tar(entry(".wh..wh..opq"), entry("only", data=b"x")))
image("wh-missing", BASE, tar(entry(".wh.never"), entry("dir/.wh.never")))
image("wh-after-file", BASE, tar(entry("file", data=b"new"), entry(".wh.file")))
image("wh-before-file", BASE, tar(entry(".wh.file"), entry("file", data=b"new")))
image("wh-and-children", BASE, tar(entry("dir/c", data=b"c"), entry(".wh.dir")))
image("wh-opaque-late", BASE, tar(entry("dir/c", data=b"c"), entry("dir/.wh..wh..opq")))
image("wh-through-link", BASE, tar(entry("l", "link", OUT), entry("l/.wh.marker")))
image("wh-is-directory", BASE, tar(entry(".wh.dir", "dir"), entry(".wh.dir/x", data=b"x")))
image("wh-of-whiteout", BASE, tar(entry(".wh..wh.file")))
image("aufs-leftovers", BASE, tar(entry(".wh..wh.aufs"), entry(".wh..wh.plnk", "dir"), entry(".wh..wh.orph", "dir"),
                                  entry(".wh..wh.plnk/12.34", data=b"x"), entry("new", data=b"x")))

# Contradictions.
image("file-twice", tar(entry("a", data=b"one"), entry("a", data=b"two")))
image("dir-then-file", tar(entry("a", "dir"), entry("a/b", data=b"b"), entry("a", data=b"file")))
image("file-then-dir", tar(entry("a", data=b"file"), entry("a", "dir"), entry("a/b", data=b"b")))
image("parent-a-file", tar(entry("a", data=b"file"), entry("a/b", data=b"b")))
image("parent-a-lower-file", BASE, tar(entry("file/b", data=b"b")))

# Tars that lie.
image("tar-cut-off", BASE[:-1600])
image("tar-size-lie", raw(b"a", b"x", size=b"00000100000\0"))
image("tar-size-overflow", tar(pax([(b"size", b"9223372036854775807")]), raw(b"a", b"x")))
image("tar-size-negative", tar(raw(b"a", b"x", size=b"\xff" * 12)))
image("tar-checksum", raw(b"a", b"x", checksum=b"0000000\0") + END)
image("tar-not", b"this is no tar at all" * 100)
image("tar-empty", b"")
image("tar-garbage-after", BASE + b"garbage" * 1000)
image("pax-huge", tar(pax([(b"comment", b"c" * (2 << 20))]), raw(b"a", b"x")))
image("pax-broken", tar(raw(b"PaxHeaders/x", b"999 path=a\n", kind=b"x"), raw(b"a", b"x")))
image("gnu-long-huge", tar(raw(b"././@LongLink", b"n" * (2 << 20), kind=b"L", magic=b"ustar  \0"), raw(b"a", b"x")))
image("sparse-overlap", tar(pax([(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"100")]),
                            raw(b"a", b"2\n0\n50\n10\n50\n".ljust(512, b"\0") + b"x" * 100)))
image("sparse-beyond", tar(pax([(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"10")]),
                           raw(b"a", b"1\n1000\n50\n".ljust(512, b"\0") + b"x" * 50)))

# Compressed.
image("gzip-cut-off", BASE, media_type=GZIP, blobs=[gzip.compress(BASE, mtime=0)[:-20]])
image("gzip-two-members", BASE, media_type=GZIP,
      blobs=[gzip.compress(BASE[:1024], mtime=0) + gzip.compress(BASE[1024:], mtime=0)])
image("gzip-garbage-after", BASE, media_type=GZIP, blobs=[gzip.compress(BASE, mtime=0) + b"garbage"])
image("gzip-not", BASE, media_type=GZIP, blobs=[b"no gzip"])
image("gzip-bomb", BASE, media_type=GZIP, blobs=[zeros(64 << 20)])
image("zstd-cut-off", BASE, media_type=ZSTD, blobs=[zstd(BASE)[:-10]])
image("zstd-bomb", BASE, media_type=ZSTD, blobs=[zstd(bytes(64 << 20))])
image("zstd-called-gzip", BASE, media_type=GZIP, blobs=[zstd(BASE)])

# Documents.
image("diff-id-wrong", BASE, diff_ids=["sha256:" + "0" * 64])
image("diff-ids-missing", BASE, tar(FILE), diff_ids=[sha(BASE)])
image("diff-ids-more", BASE, diff_ids=[sha(BASE)] * 2)
image("diff-id-no-digest", BASE, diff_ids=["sha256:../../../../etc/passwd"])
image("media-type-unknown", BASE, media_type="application/x-evil")
image("config-no-json", BASE, config=b"{")
image("config-types", BASE, config=b'{"architecture": 7, "os": [], "rootfs": "x"}')
image("config-deep", BASE, config=b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
image("manifest-both", BASE, manifest=lambda it: it | {"manifests": [it["config"]]})
image("manifest-huge", BASE, manifest=lambda it: it | {"annotations": {"a": "x" * (64 << 20)}})
image("manifest-layers-null", BASE, manifest=lambda it: it | {"layers": None})
image("blob-missing", BASE, change=lambda layout, layers, _: layout.path(layers[0]["digest"]).unlink())
image("blob-other-bytes", BASE, change=lambda layout, layers, _: layout.path(layers[0]["digest"]).write_bytes(BASE[:-1] + b"x"))
image("blob-shorter", BASE, change=lambda layout, layers, _: layout.path(layers[0]["digest"]).write_bytes(BASE[:-512]))


def replaced(make):
    def change(layout, layers, _):
        path = layout.path(layers[0]["digest"])
        path.unlink()
        make(path)
    return change


image("blob-fifo", BASE, change=replaced(os.mkfifo))
image("blob-link", BASE, change=replaced(lambda path: path.symlink_to(OUTSIDE + "/marker")))
image("blob-directory", BASE, change=replaced(os.mkdir))
image("digest-path", BASE, manifest=lambda it: it | {"layers": [it["layers"][0] | {"digest": "sha256:../../../" + "a" * 55}]})
image("digest-other-kind", BASE, manifest=lambda it: it | {"layers": [it["layers"][0] | {"digest": "md5:" + "a" * 32}]})
image("size-negative", BASE, manifest=lambda it: it | {"layers": [it["layers"][0] | {"size": -1}]})
image("size-wrong", BASE, manifest=lambda it: it | {"layers": [it["layers"][0] | {"size": 7}]})


def nested(layout, _, described):
    for _ in range(40):
        described = layout.put({"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]}, INDEX)
    layout.index(described)


def itself(layout, _, described):
    # No digest can be in its own bytes: the nearest is an index that names a blob which is not that.
    described = layout.put({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": INDEX, "digest": described["digest"], "size": described["size"]}]}, INDEX)
    layout.index(described)


image("index-deep", BASE, change=nested)
image("index-of-a-manifest", BASE, change=itself)
image("index-empty", BASE, change=lambda layout, *_: layout.index(layout.put({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}, INDEX)))
