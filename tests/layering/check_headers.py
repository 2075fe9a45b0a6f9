"""Every public header (pal/*.h, palio/*.h) compiles alone, and twice, as C11 and as C++17, free of warnings.

usage: check_headers ROOT STANDARD:COMPILER...   such as c11:gcc c++17:clang++
"""

import os
import shlex
import sys
import tempfile

import tree

# Not -Wshadow: g++ holds that a function hides the constructor of a struct that bears its name (pal_setup).
_WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
_REMEDY = "include what it uses; in inline code no designated initialiser, compound literal or implicit void * cast"


def check(root, compilers):
    """compilers: (standard, command) pairs."""
    public = [path for path in tree.files(root, ".h", under=("pal", "palio")) if path.count("/") == 1]
    findings = []
    for standard, command in compilers:
        for path in public:
            findings += _compile(root, path, standard, command)
    return findings, len(public) * len(compilers)


def _compile(root, path, standard, command):
    language = "c++" if "++" in standard else "c"
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "alone.c")
        with open(name, "w", encoding="utf-8") as file:
            file.write(f"#include <{path}>\n#include <{path}>\nint alone;\n")
        status, output = tree.run([*shlex.split(command), "-x", language, "-std=" + standard, "-fsyntax-only",
                                   *_WARNINGS, "-I", root, name])
    if status == 0:
        return []
    first = next((text for text in output.split("\n") if "error:" in text), output.strip())
    parts = first.split(":")
    line = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 1
    return [tree.Finding(path, line, f"not alone as {standard} ({command}): {first}", _REMEDY)]


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    PAIRS = [argument.split(":", 1) for argument in sys.argv[2:]]
    sys.exit(tree.report("check_headers", *check(sys.argv[1], PAIRS)))
