"""Holds docs/netstack-requirements.tsv, the table of what the user-space TCP/IP stack must do, against what exists.

The columns are id, layer, source, level, priority, requirement, state, shown_by. State is done, partial, later or na.
shown_by of done and partial rows are scripts ("tcp/in/hole.pkt", from tests/packets/ on) and tests
("tests/netstack/test_seg.c:seg/splits", "tests/packets/check_rows.py" for a whole program), apart by blanks; what
follows " -- " is a remark. A script must cite the row in its header, a test must be in that file. Partial rows say in
the remark what is missing; later and na rows have nothing but the reason. A row that a script cites is done or partial.

usage: check_rows.py ROOT
"""

import csv
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "layering"))
import tree  # noqa: E402  (what the checks of the tree share)

TABLE = "docs/netstack-requirements.tsv"
SCRIPTS = "tests/packets/"
MEANT_TO_FAIL = "tests/packets/selftest/"
COLUMNS = ["id", "layer", "source", "level", "priority", "requirement", "state", "shown_by"]
STATES = ("done", "partial", "later", "na")
PRIORITIES = ("core", "full", "later")

_TEST = re.compile(r"^(tests/[\w/.-]+\.c):(\w+)/(\w+)$")


def check(root):
    """All findings, and how many rows and scripts were looked at."""
    rows, findings = _table(root)
    scripts, wrong = _scripts(root)
    findings += wrong
    known = {row["id"]: row for _, row in rows}
    for path, ids in scripts.items():
        findings += [tree.Finding(SCRIPTS + path, line, f"row {name} is not in {TABLE}", "cite a row that is there")
                     for name, line in ids.items() if name not in known]
    sources = {}
    for line, row in rows:
        cited = sorted(path for path, ids in scripts.items() if row["id"] in ids)
        findings += _row(root, line, row, scripts, cited, sources)
    return findings, len(rows) and len(rows) + len(scripts)


def _table(root):
    """The rows with their line numbers; findings about their form."""
    text = tree.lines(root, TABLE) if os.path.exists(os.path.join(root, TABLE)) else []
    if not text or text[0].split("\t") != COLUMNS:
        return [], [tree.Finding(TABLE, 1, "has not the columns " + " ".join(COLUMNS), "keep the first line as it was")]
    rows, findings, seen = [], [], {}
    for number, line in enumerate(text[1:], 2):
        values = next(csv.reader([line], delimiter="\t", quoting=csv.QUOTE_NONE), [])
        if not values:
            continue
        if len(values) != len(COLUMNS) or not all(values):
            findings.append(tree.Finding(TABLE, number, f"{len(values)} columns, or an empty one",
                                         f"{len(COLUMNS)} columns, apart by tabs, none empty"))
            continue
        row = dict(zip(COLUMNS, values))
        if row["id"] in seen:
            findings.append(tree.Finding(TABLE, number, f"{row['id']} is in line {seen[row['id']]} as well",
                                         "an id stands once"))
        if row["state"] not in STATES or row["priority"] not in PRIORITIES:
            findings.append(tree.Finding(TABLE, number, f"state {row['state']}, priority {row['priority']}",
                                         f"one of {', '.join(STATES)}; one of {', '.join(PRIORITIES)}"))
        seen[row["id"]] = number
        rows.append((number, row))
    return rows, findings


def _scripts(root):
    """{path from tests/packets/: {id: line}} of the scripts; findings about headers."""
    scripts, findings = {}, []
    for path in tree.files(root, ".pkt", under=(SCRIPTS.rstrip("/"),)):
        if path.startswith(MEANT_TO_FAIL):
            continue
        ids = {}
        for number, line in enumerate(tree.lines(root, path), 1):
            if line.startswith("rows:"):
                for name in line[len("rows:"):].split("#")[0].split():
                    ids.setdefault(name, number)
        if not ids and "/include/" not in path:
            findings.append(tree.Finding(path, 1, "has no line \"rows: ...\"", "name the rows that it shows"))
        scripts[path[len(SCRIPTS):]] = ids
    return scripts, findings


def _row(root, line, row, scripts, cited, sources):
    """Is what the row says of itself true?"""
    references, _, remark = row["shown_by"].partition(" -- ")
    if row["state"] in ("later", "na"):
        if cited:
            yield tree.Finding(TABLE, line, f"{row['id']} is {row['state']}, and {cited[0]} shows it",
                               "say done, or partial and what is missing")
        return
    if row["state"] == "partial" and not remark:
        yield tree.Finding(TABLE, line, f"{row['id']} is partial, and what is missing is not said",
                           "write it behind \" -- \"")
    for reference in references.split():
        problem = _reference(root, row["id"], reference, scripts, sources)
        if problem:
            yield tree.Finding(TABLE, line, f"{row['id']}: {problem}", "name what shows it, or change the state")
    for path in cited:
        if path not in references.split():
            yield tree.Finding(TABLE, line, f"{row['id']}: {path} cites it and is not named",
                               "add it to shown_by, or strike the row from the script")


def _reference(root, name, reference, scripts, sources):
    """What is wrong with one word of shown_by; None."""
    if reference.endswith(".pkt"):
        if reference not in scripts:
            return f"there is no script {reference}"
        return None if name in scripts[reference] else f"{reference} does not cite it"
    match = _TEST.match(reference)
    path = match.group(1) if match else reference
    if not path.startswith("tests/") and not path.startswith("fuzz/"):
        return f"\"{reference}\" is neither a script nor a test"
    if path not in sources:
        whole = os.path.join(root, path)
        sources[path] = "\n".join(tree.lines(root, path)) if os.path.isfile(whole) else None
    if sources[path] is None:
        return f"there is no file {path}"
    if match and not re.search(r"\bTest\(\s*" + match.group(2) + r"\s*,\s*" + match.group(3) + r"\b", sources[path]):
        return f"{path} has no test {match.group(2)}/{match.group(3)}"
    return None


if __name__ == "__main__":
    sys.exit(tree.main("check_rows", check))
