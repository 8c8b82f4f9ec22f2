"""How buildah's results differ from BuildKit's, and why; used by golden.py.

A difference is a line of text, such as `Env: ["A=1"] -> ["A=2"]`. conformance/dockerfile-reasons/buildah has
a line `PATTERN => CAUSE` for each cause; that of a case is the first whose pattern is found in its lines.
"""

import json
import re

KINDS = {"other": "builds another image", "refused": "refuses what BuildKit builds",
         "accepted": "builds what BuildKit refuses"}
# How many cases a row names.
NAMED = 3


def own_way(config):
    """A configuration without what buildah always writes and BuildKit does not, or the other way round."""
    kept = {name: value for name, value in config.items() if name != "ArgsEscaped"}
    labels = {name: value for name, value in kept.pop("Labels", {}).items() if name != "io.buildah.version"}
    if kept.get("WorkingDir") == "/":
        del kept["WorkingDir"]
    return kept | ({"Labels": labels} if labels else {})


def changes(prefix, one, other):
    names = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    return [f"{prefix}{name}: {json.dumps(one.get(name))} -> {json.dumps(other.get(name))}" for name in names]


def differences(buildkit, buildah):
    """The kind of difference, and its lines; histories do not count, and neither do the words of refusals."""
    if "refused" in buildkit and "refused" in buildah:
        return None, []
    if "refused" in buildah:
        return "refused", ["refused: " + " ".join(buildah["refused"].split())]
    if "refused" in buildkit:
        return "accepted", ["accepted: " + " ".join(buildkit["refused"].split())]
    lines = changes("", own_way(buildkit["config"]), own_way(buildah["config"]))
    lines += changes("/", buildkit["files"], buildah["files"])
    lines += [f"removed: /{path}" for path in sorted(set(buildkit["removed"]) ^ set(buildah["removed"]))]
    return ("other" if lines else None), lines


def causes(file):
    """Pairs of a pattern and what it tells."""
    lines = [line.split(" => ") for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return [(re.compile(pattern, re.M), cause) for pattern, cause in lines]


def by_cause(found, known):
    """For each kind and cause the cases."""
    rows = {}
    for case, (kind, lines) in sorted(found.items()):
        if kind:
            text = "\n".join([f"case: {case}", *lines])
            cause = next((cause for pattern, cause in known if pattern.search(text)), None)
            rows.setdefault((kind, cause), []).append(case)
    return rows


def table(found, known, version):
    """The section of the README, and the cases that nothing explains."""
    rows = by_cause(found, known)
    count = {kind: sum(len(cases) for (it, _), cases in rows.items() if it == kind) for kind in KINDS}
    agree = len(found) - sum(count.values())
    said = "; ".join(f"{count[kind]} times it {text}" for kind, text in KINDS.items())
    lines = [f"Of {len(found)} cases {agree} end the same with {version}; {said}.", "",
             "| buildah | because | cases |", "|---|---|---|"]
    for (kind, cause), cases in sorted(rows.items(), key=lambda it: (list(KINDS).index(it[0][0]), -len(it[1]))):
        named = ", ".join(f"`{case}`" for case in cases[:NAMED]) + (", …" if len(cases) > NAMED else "")
        lines.append(f"| {KINDS[kind]} | {cause or '**not explained**'} | {len(cases)}: {named} |")
    return "\n".join(lines), [case for (_, cause), cases in rows.items() if not cause for case in cases]
