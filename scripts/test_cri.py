"""The table of scripts/test-cri: what of containerd's tests of CRI passes with its own shim and with ours.

    test_cri.py WORK README REASONS VERSION

WORK has the logs, go.log and tare.log. Each test that fails with ours, or passes with one shim alone, has a line
in REASONS, `Name: why`, or this fails.
"""

import re
import sys
from pathlib import Path

BEGIN, END = "<!-- cri -->", "<!-- /cri -->"


def results(log):
    """Each top-level test's name to its end: PASS, FAIL or SKIP; one that never ended is FAIL."""
    text = Path(log).read_text(errors="replace")
    found = {name: "FAIL" for name in re.findall(r"^=== RUN +(Test[^/\s]+)$", text, re.M)}
    found.update({name: end for end, name in re.findall(r"^--- (PASS|FAIL|SKIP): (\S+)", text, re.M)})
    return found


def reasons(file):
    lines = [line for line in Path(file).read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split(": ", 1) for line in lines)


def table(version, go, tare, why):
    count = lambda which, end: sum(1 for it in which.values() if it == end)
    yield f"| shim, under containerd {version} | passed | failed | skipped |"
    yield "|---|---:|---:|---:|"
    for name, which in (("containerd-shim-runc-v2, runc", go), ("containerd-shim-tare-v2", tare)):
        yield f"| {name} | {count(which, 'PASS')} | {count(which, 'FAIL')} | {count(which, 'SKIP')} |"
    yield ""
    yield "| test | containerd's own shim | ours | why |"
    yield "|---|---|---|---|"
    for name in sorted(go | tare):
        ends = go.get(name, "FAIL"), tare.get(name, "FAIL")
        if "FAIL" in ends or ends[0] != ends[1]:
            yield f"| {name} | {ends[0].lower()} | {ends[1].lower()} | {why.get(name, '')} |"
    both = [f"`{name}`" for name in sorted(go) if go[name] == tare.get(name) == "PASS"]
    yield ""
    yield f"Passed with both: {', '.join(both)}."


def main():
    work, readme, file, version = sys.argv[1:]
    go, tare = results(Path(work) / "go.log"), results(Path(work) / "tare.log")
    why = reasons(file)
    text = Path(readme).read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    lines = "\n".join(table(version, go, tare, why))
    Path(readme).write_text(f"{before}{BEGIN}\n{lines}\n{END}{after}")
    worse = [name for name in sorted(go | tare) if go.get(name) == "PASS" != tare.get(name)]
    unexplained = [name for name, end in sorted(tare.items()) if end == "FAIL" and name not in why]
    for what, names in (("only containerd's own shim passes", worse), ("unexplained", unexplained)):
        if names:
            print(f"{what}: {', '.join(names)}", file=sys.stderr)
    sys.exit(1 if worse or unexplained else 0)


main()
