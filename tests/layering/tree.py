"""What the checks share: the files of the tree, findings with place and remedy, and running a tool."""

import os
import subprocess
import sys
from typing import NamedTuple

_SKIPPED = {"subprojects", "__pycache__"}


class Finding(NamedTuple):
    """One broken rule: where, what is wrong, and what to do about it."""

    path: str
    line: int
    what: str
    remedy: str


def files(root, *suffixes, under=()):
    """The files that end so, as sorted paths from root; under limits them to these folders. No build trees."""
    found = []
    for folder, names, here in os.walk(root):
        names[:] = sorted(name for name in names if not _is_foreign(os.path.join(folder, name)))
        for name in here:
            path = os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")
            if name.endswith(suffixes) and (not under or path.startswith(tuple(top + "/" for top in under))):
                found.append(path)
    return sorted(found)


def _is_foreign(folder):
    name = os.path.basename(folder)
    return name.startswith(".") or name in _SKIPPED or os.path.isdir(os.path.join(folder, "meson-private"))


def lines(root, path):
    """The lines of a file without their ends. Bytes that are no UTF-8 stay visible as replacement characters."""
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read().split("\n")


def run(command, **options):
    """Runs a tool to its end: (exit status, both of its outputs as one text)."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          check=False, **options)
    return done.returncode, done.stdout


def report(name, findings, looked_at):
    """Tells every finding on standard output and returns the exit status. Having looked at nothing is red, too."""
    for finding in findings:
        print(f"{finding.path}:{finding.line}: {finding.what}\n    remedy: {finding.remedy}")
    if looked_at == 0:
        print(f"{name}: found nothing to look at: is the first argument the root of the tree?")
        return 1
    print(f"{name}: {looked_at} looked at, {len(findings)} broken")
    return 1 if findings else 0


def main(name, check):
    """The body of a check that takes the root of the tree alone: check(root) -> (findings, how many looked at)."""
    if len(sys.argv) != 2:
        print(f"usage: {name} ROOT")
        return 2
    return report(name, *check(sys.argv[1]))
