"""Makes the context of `scripts/bench store`: an image of six layers, and one of seven.

The files are those of a Debian's /usr, as its tar has them, under other names in each layer: as many files
of as many sizes, as compressible, as what installing packages leaves. So a layer differs from the next, and
all runs have the same.
"""

import shutil
import sys
import tarfile
from pathlib import Path

LAYERS = 5
SMALL = 20 << 20


def main():
    context, base, size = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) << 20
    with tarfile.open(base) as tar:
        files = [it for it in tar if it.isfile() and it.name.removeprefix("./").startswith("usr/")]
        already = sum(it.size for it in files)
        wanted = max(size - already, LAYERS << 20)
        for number in range(LAYERS):
            fill(tar, files, context / f"layer{number}", wanted // LAYERS, number)
        fill(tar, files, context / "top", min(SMALL, size // 10), LAYERS)
    copies = "".join(f"COPY layer{number} /opt/layer{number}\n" for number in range(LAYERS))
    (context / "Dockerfile").write_text(
        f"FROM debian:bookworm AS six\n{copies}CMD [\"true\"]\nFROM six AS seven\nCOPY top /opt/top\n")


def fill(tar, files, folder, size, number):
    """So many bytes of files, from another place in the list for each layer; each file says whose it is."""
    start = len(files) * number // (LAYERS + 1)
    for member in files[start:] + files[:start]:
        if size <= 0:
            return
        path = folder / member.name.removeprefix("./")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tar.extractfile(member) as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target)
            target.write(f"layer {number}\n".encode())
        size -= member.size


main()
