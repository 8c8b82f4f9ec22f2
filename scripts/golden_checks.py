#!/usr/bin/env python3
"""Writes what BuildKit's checks say of the Dockerfiles in crates/build/tests/checks.

Each case is a folder: a Dockerfile, perhaps args with an argument of `docker build` on each line, perhaps
dockerignore. This writes `buildkit` beside them: a line `LINES RULE: DETAIL` for each warning, in the order
of lines, and `error LINE: MESSAGE` where the file is refused. The test reads it; BuildKit is only needed here.

    scripts/golden_checks.py DIR [CASE…]      DIR holds the folder `peers` that scripts/bench makes
"""

import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench import Peers

CASES = Path(__file__).resolve().parent.parent / "crates/build/tests/checks"
BASES = {  # As in crates/build/tests/checks.rs.
    "lint-env": "ENV LINT_LANG=C LINT_HOME=/h\nWORKDIR /h\n",
    "lint-shell": 'SHELL ["/bin/bash","-c"]\n',
    "lint-onbuild": "ONBUILD ENV x $NOPE\nONBUILD CMD run\n",
    "lint-s390x": "",
}


def lines_of(location):
    lines = [it["start"].get("line", 0) for it in location.get("ranges") or []]
    return (lines[0], lines[-1]) if lines else (0, 0)


def shown(first, last):
    return f"{first}" if first == last else f"{first}-{last}"


def summary(result):
    warnings = []
    for it in result["warnings"] or []:
        first, last = lines_of(it["location"])
        warnings.append((first, it["ruleName"], it["detail"], shown(first, last)))
    text = "".join(f"{place} {rule}: {detail}\n" for _, rule, detail, place in sorted(warnings))
    if error := result.get("buildError"):
        first, _ = lines_of(error["location"])
        # Which of several near names BuildKit suggests differs from run to run.
        message = re.sub(r" \(did you mean .*\?\)$", "", error["message"])
        text += f"error {first or ''}: {message}\n"
    return text


def check(peers, folder, work):
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    shutil.copy(folder / "Dockerfile", work)
    if (folder / "dockerignore").exists():
        shutil.copy(folder / "dockerignore", work / ".dockerignore")
    args = (folder / "args").read_text().split("\n") if (folder / "args").exists() else []
    call = ["docker", "buildx", "build", "--progress=quiet", "--call=check,format=json,ignorestatus=true"]
    # A file that is refused has the program fail after it printed why.
    output = peers.run("bash", "-c", '"$@" || true', "check", *call, *filter(None, args), work)
    start = output.find("{\n")
    return summary(json.loads(output[start:])) if start >= 0 else f"error : {output.strip()}\n"


def main():
    directory, only = Path(sys.argv[1]), sys.argv[2:]
    peers = Peers(directory)
    try:
        with tempfile.TemporaryDirectory(dir=directory) as work:
            work = Path(work)
            for name, text in BASES.items():
                (work / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n" + text)
                platform = "linux/s390x" if name == "lint-s390x" else "linux/amd64"
                peers.run("docker", "buildx", "build", f"--platform={platform}", "-t", name, work)
            for folder in sorted(CASES.iterdir()):
                if not only or folder.name in only:
                    (folder / "buildkit").write_text(check(peers, folder, work / "case"))
                    print(folder.name, file=sys.stderr)
    finally:
        peers.close()


if __name__ == "__main__":
    main()
