"""Symbol purity: what a layer's objects call comes from the layers below it, the seam, or a little ISO C.

usage: check_symbols ROOT NM CC LAYER=OBJECT...   with an object or an archive a layer. palio=ARCHIVE is an archive of
several layers, whose members begin with their folder: core_clock.c.o. All layers of interest come in one run, for one
may call only what another one of them defines. Objects must be built without sanitizers. The inline functions of the
folders that are headers alone, pal/ and palio/base/, are compiled here and judged with the rest.
"""

import os
import re
import sys
import tempfile

import layers
import nm
import tree

# What a compiler calls of its own accord: stack protector, wide arithmetic, atomics, thread-locals, stack probes.
_COMPILERS_OWN = re.compile(
    r"_GLOBAL_OFFSET_TABLE_|bcmp|__stack_chk_(fail|guard)|___?tls_get_(addr|offset)|__emutls_get_address|"
    r"_?__chkstk(_ms)?|"
    r"__(u?div|u?mod|u?divmod|mul|ashl|ashr|lshr|u?cmp|clz|ctz|popcount)[sdt]i[0-9]|"
    r"__atomic_\w+|__sync_\w+|__aarch64_(cas|swp|ld\w+?)[0-9]+_\w+|__gcov_\w+")
# The same functions under the names that glibc's headers give them when they check or version them.
_DISGUISE = re.compile(r"__(?:isoc[0-9]+_(\w+)|(\w+)_chk)")
_DECLARED = re.compile(r"\b(\w+)\((?!\*)")


def iso_c():
    """The library functions allowed above the seam: those that shims/ declares, and nothing else."""
    shims = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shims")
    names = {"stdin", "stdout", "stderr"}
    for header in tree.files(shims, ".h"):
        for line in tree.lines(shims, header):
            if line.endswith(";"):
                names |= set(_DECLARED.findall(line))
    return names


def inline_object(root, compiler, folder, output):
    """Compiles every header of a folder with its inline functions kept (by gcc; clang has no such switch) to output."""
    source = "".join(f"#include <{path}>\n" for path in tree.files(root, ".h", under=(folder,)))
    command = [*compiler.split(), "-std=c11", "-O0", "-w", "-fkeep-inline-functions", "-I", root]
    status, told = tree.run([*command, "-x", "c", "-c", "-", "-o", output], input=source)
    if status != 0:
        raise RuntimeError(f"the headers of {folder} do not compile: {told}")


def check(root, nm_command, objects):
    """objects: (layer's folder, path) pairs."""
    library = iso_c()
    seam = set(nm.seam_symbols(os.path.join(root, "pal/pal.symbols")))
    parts = [part for folder, path in objects for part in _parts(nm_command, folder, path)]
    given = {}
    for folder, _, defines, _ in parts:
        given.setdefault(folder, set()).update(defines)
    findings = []
    for folder, place, _, wants in parts:
        reachable = layers.reachable(layers.by_name(folder))
        allowed = set(seam) if "pal" in reachable else set()
        for below in reachable:
            allowed |= given.get(below, set())
        for name in sorted(wants - allowed):
            if _is_library(name, library) or _COMPILERS_OWN.fullmatch(name):
                continue
            findings.append(tree.Finding(place, 0, f"{folder} calls {name}, which {_whose(name, given)}",
                                         "go through the seam, or move the call to a layer that may make it"))
    return findings, len(parts)


def _parts(nm_command, folder, path):
    """(layer's folder, where, names defined, names wanted) of every object in path."""
    for member, (defines, wants) in nm.members(nm_command, path).items():
        layer = "palio/" + member.partition("_")[0] if folder == "palio" else folder
        yield layer, f"{path}({member})" if member else path, defines, wants


def _is_library(name, library):
    disguise = _DISGUISE.fullmatch(name)
    return name in library or bool(disguise and (disguise.group(1) or disguise.group(2)) in library)


def _whose(name, given):
    owners = [folder for folder, names in given.items() if name in names]
    return f"is of {owners[0]}, a layer it does not stand on" if owners else "no layer below it defines"


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    ROOT, NM, CC = sys.argv[1:4]
    PAIRS = [argument.split("=", 1) for argument in sys.argv[4:]]
    with tempfile.TemporaryDirectory() as FOLDER:
        for HEADERS in ("pal", "palio/base"):
            PAIRS.append((HEADERS, os.path.join(FOLDER, HEADERS.replace("/", "_") + ".o")))
            inline_object(ROOT, CC, *PAIRS[-1])
        sys.exit(tree.report("check_symbols", *check(ROOT, NM, PAIRS)))
