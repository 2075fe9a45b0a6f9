"""Include purity, second half: what is above the seam compiles where there is no system to include.

Every source and header of the folders in layers.PURE (TLS apart, which needs OpenSSL) is compiled with -ffreestanding
-nostdinc, the compiler's own headers and shims/, which state the little of the C library that Palio uses. A file that
includes <unistd.h> fails, by whatever way it gets there; so does a probe, each time.
"""

import os
import sys
import tempfile

import layers
import tree

_REMEDY = "only the compiler's headers and tests/layering/shims exist here; what is missing belongs behind the seam"


def check(root, compiler):
    """compiler: the command of a gcc or clang, as a list."""
    base = _command(root, compiler)
    findings, count = [], 0
    for path in tree.files(root, ".c", ".h", under=layers.PURE):
        if not path.startswith(layers.PURE_NOT) and not layers.OUTSIDE.match(path):
            count += 1
            finding = _compile(root, base, path)
            if finding:
                findings.append(finding)
    return findings + _probe(root, base), count


def _command(root, compiler):
    _, own = tree.run([*compiler, "-print-file-name=include"])
    own = own.strip()
    if not os.path.isfile(os.path.join(own, "stddef.h")):  # clang keeps them elsewhere
        _, resources = tree.run([*compiler, "-print-resource-dir"])
        own = os.path.join(resources.strip(), "include")
    shims = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shims")
    # Warnings are the build's business, but for a function that no header here declares.
    return [*compiler, "-std=c11", "-ffreestanding", "-nostdinc", "-fsyntax-only",
            "-Werror=implicit-function-declaration", "-isystem", shims, "-isystem", own, "-I", root]


def _compile(root, base, path):
    """One finding, with the compiler's first complaint, or None. A header is compiled as the C it is."""
    status, output = tree.run([*base, "-x", "c", os.path.join(root, path)])
    if status == 0:
        return None
    first = next((text for text in output.split("\n") if "error" in text), output.strip())
    place, line = path, 1
    parts = first.split(":", 2)
    if len(parts) == 3 and parts[1].isdigit():
        place, line = os.path.relpath(parts[0], root), int(parts[1])
    return tree.Finding(place, line, f"{path} does not compile without a system: {first}", _REMEDY)


def _probe(root, base):
    """The check checks itself: with these arguments <unistd.h> must not be found, and ISO C must."""
    findings = []
    for header, found in (("unistd.h", False), ("string.h", True)):
        with tempfile.TemporaryDirectory() as folder:
            name = os.path.join(folder, "probe.c")
            with open(name, "w", encoding="utf-8") as file:
                file.write(f"#include <{header}>\nint probe;\n")
            status, output = tree.run([*base, name])
            if (status == 0) != found:
                findings.append(tree.Finding("tests/layering/check_freestanding.py", 1, f"probe: <{header}> " +
                                             ("fails: " + output.strip() if found else "compiles"),
                                             "the compiler's include folders are found wrongly"))
    return findings


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: check_freestanding ROOT COMPILER...")
    sys.exit(tree.report("check_freestanding", *check(sys.argv[1], sys.argv[2:])))
