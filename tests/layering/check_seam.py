"""Seam exactness: headers, pal.symbols and every backend agree on the functions of the seam, no more and no less.

usage: check_seam ROOT NM FORM:OBJECT...   where FORM is
  prelinked   its global symbols are pal.symbols, so that two backends in one link collide;
  merged      an LTO object, where every further global begins pal__, so that it collides with nothing of a program;
  shared      a shared library, which exports pal.symbols.
None may want a pal_ symbol: a backend is whole. NM must read the compiler's LTO objects (gcc-nm).
"""

import os
import re
import sys

import nm
import tree

# A declaration begins in the first column, is not inline, and says its name before the first parenthesis.
_DECLARATION = re.compile(r"^(?!static|typedef|extern|#|\s)[\w\s*]*?\b(pal_\w+)\(")


def declared(root):
    """Where pal/*.h declares functions that a backend must define: name -> (path, line)."""
    found = {}
    for path in tree.files(root, ".h", under=("pal",)):
        for number, line in enumerate(tree.lines(root, path), 1):
            match = _DECLARATION.match(line)
            if match:
                found[match.group(1)] = (path, number)
    return found


def check(root, nm_command, objects):
    """objects: (form, path) pairs."""
    listed = nm.seam_symbols(os.path.join(root, "pal/pal.symbols"))
    findings = _check_headers(declared(root), listed)
    for form, path in objects:
        findings += _check_object(form, path, set(listed), nm_command)
    return findings, 1 + len(objects)


def _check_headers(functions, listed):
    findings = []
    for name, (path, line) in functions.items():
        if name not in listed:
            findings.append(tree.Finding(path, line, f"{name} is not in pal/pal.symbols",
                                         "list it there under its header, and give it to every backend"))
    for name in listed:
        if name not in functions:
            findings.append(tree.Finding("pal/pal.symbols", 1, f"{name} is declared by no header of pal/",
                                         "declare it, or strike it from the list"))
        if listed.count(name) > 1:
            findings.append(tree.Finding("pal/pal.symbols", 1, f"{name} is listed twice", "strike one"))
    return findings


def _check_object(form, path, listed, nm_command):
    options = ["--dynamic"] if form == "shared" else []
    defined = nm.defined(nm_command, path, *options)
    findings = [tree.Finding(path, 0, f"does not define {name}", "define it in the backend's bind.c")
                for name in sorted(listed - defined)]
    for name in sorted(defined - listed):
        if form == "merged":
            if not name.startswith("pal__"):
                findings.append(tree.Finding(path, 0, f"defines the global {name}",
                                             "make it static, or call it pal__..."))
        else:
            findings.append(tree.Finding(path, 0, f"defines the global {name}",
                                         "make it of what objcopy --keep-global-symbols=pal/pal.symbols leaves"))
    for name in sorted(nm.undefined(nm_command, path, *options)):
        if name.startswith("pal_"):
            findings.append(tree.Finding(path, 0, f"wants {name}", "a file is missing from the backend's sources"))
    return findings


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    PAIRS = [argument.split(":", 1) for argument in sys.argv[3:]]
    if any(form not in ("prelinked", "merged", "shared") for form, _ in PAIRS):
        sys.exit(__doc__)
    sys.exit(tree.report("check_seam", *check(sys.argv[1], sys.argv[2], PAIRS)))
