"""Reads symbol tables with the binutils' nm, or LLVM's: what objects define and what they want."""

import re
import shlex

import tree

_MEMBER = re.compile(r".*\[(?:.*/)?([^/\]]+)\]:")
_WANTED = ("U", "w", "v")


def members(nm, path, *options):
    """The objects of an archive, or the one object that path is: name -> (names it defines, names it wants)."""
    # The portable format is "name type value size" a line; a member of an archive begins with "archive[member]:".
    status, output = tree.run([*shlex.split(nm), "--extern-only", "--format=posix", *options, path])
    if status != 0:
        raise RuntimeError(f"{nm} cannot read {path}: {output.strip()}")
    found = {}
    defines, wants = found.setdefault("", (set(), set()))
    for line in output.split("\n"):
        member, row = _MEMBER.fullmatch(line), line.split()
        if member:
            defines, wants = found.setdefault(member.group(1), (set(), set()))
        elif len(row) >= 2 and len(row[1]) == 1:
            (wants if row[1] in _WANTED else defines).add(row[0])
    return {name: tables for name, tables in found.items() if name or len(found) == 1}


def defined(nm, path, *options):
    """The global names that an object or archive defines; with --dynamic, those that a shared library does."""
    return set().union(*(defines for defines, _ in members(nm, path, *options).values()))


def undefined(nm, path, *options):
    """The names that an object wants from others."""
    return set().union(*(wants for _, wants in members(nm, path, *options).values()))


def seam_symbols(path):
    """The names in pal.symbols, in its order."""
    with open(path, encoding="utf-8") as file:
        names = [line.strip() for line in file]
    return [name for name in names if name and not name.startswith("#")]
