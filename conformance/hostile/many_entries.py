"""Makes an OCI layout whose one image has one layer of very many empty files.

    many_entries.py DIR COUNT

The layer is written as a stream, gzipped: some five bytes an entry, of 512 in the tar. There are a thousand files in
each directory.
"""

import hashlib
import json
import sys
import zlib
from pathlib import Path

CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
NAME = "docker.io/library/many:latest"
BATCH = 1000


def header(path, kind):
    """A ustar header."""
    head = bytearray(512)
    head[0:len(path)] = path
    head[100:108] = b"0000755\0" if kind == b"5" else b"0000644\0"
    head[108:116] = head[116:124] = b"0000000\0"
    head[124:136] = head[136:148] = b"00000000000\0"
    head[148:156], head[156:157], head[257:265] = b"        ", kind, b"ustar\x0000"
    head[148:156] = b"%06o\0 " % sum(head)
    return head


def batches(count):
    """The tar, a directory of a thousand files at a time."""
    # All files of one length of name: only the digits differ, and the checksum with them.
    template = header(b"d/00000/000", b"0")
    base = int(template[148:154], 8)
    for start in range(0, count, BATCH):
        folder = b"%05d" % (start // BATCH)
        out = [bytes(header(b"d/" + folder, b"5"))]
        template[2:7] = folder
        folder_sum = base + sum(folder) - 5 * 48
        for number in range(min(BATCH, count - start)):
            name = b"%03d" % number
            template[8:11] = name
            template[148:154] = b"%06o" % (folder_sum + sum(name) - 3 * 48)
            out.append(bytes(template))
        yield b"".join(out)
    yield bytes(1024)


def main():
    root, count = Path(sys.argv[1]), int(sys.argv[2])
    blobs = root / "blobs/sha256"
    blobs.mkdir(parents=True)
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    packer, plain, packed, size = zlib.compressobj(1, wbits=31), hashlib.sha256(), hashlib.sha256(), 0
    with open(root / "layer", "wb") as out:
        def put(data):
            packed.update(data)
            out.write(data)
            return len(data)

        for batch in batches(count):
            plain.update(batch)
            size += put(packer.compress(batch))
        size += put(packer.flush())
    (root / "layer").rename(blobs / packed.hexdigest())

    def document(value, kind):
        data = json.dumps(value).encode()
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    rootfs = {"type": "layers", "diff_ids": ["sha256:" + plain.hexdigest()]}
    config = document({"architecture": "amd64", "os": "linux", "rootfs": rootfs}, CONFIG)
    layer = {"mediaType": LAYER, "digest": "sha256:" + packed.hexdigest(), "size": size}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    entry = document(manifest, MANIFEST) | {"annotations": {"org.opencontainers.image.ref.name": NAME}}
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


main()
