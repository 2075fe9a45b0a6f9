"""Include purity, first half: every #include is one that its layer may use (layers.py has the table)."""

import os
import re
import sys

import layers
import tree

_INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
# Where a header named from the root, or from a folder that meson adds, may lie.
_SEARCHED = ("", "tests/", "backends/", "backends/common/")


def check(root):
    """Looks at every C source and header of a folder that the table knows."""
    findings, count = [], 0
    for path in tree.files(root, ".c", ".h", ".S"):
        layer = layers.layer_of(path)
        if layer is None:
            continue
        count += 1
        for number, text in enumerate(tree.lines(root, path), 1):
            match = _INCLUDE.match(text)
            if match:
                what = _fault(root, path, layer, match.group(2), match.group(1) == '"')
                if what:
                    may = ", ".join(sorted(layers.reachable(layer)))
                    findings.append(tree.Finding(path, number, what, f"{layer.folder} stands on {may} only; move the "
                                                 "code down a layer, or ask the seam for what it needs"))
    return findings, count


def _fault(root, path, layer, name, quoted):
    """What is wrong with this include, or None."""
    target = _resolve(root, path, name, quoted)
    if target is None:
        if layer.system is layers.ANY or name in layer.system or name.startswith(layers.INSTRUMENTS):
            return None
        return f"{layer.folder} includes the system's <{name}>"
    owner = layers.layer_of(target)
    owner_name = owner.folder if owner else target.rpartition("/")[0]
    return None if owner_name in layers.reachable(layer) else f"{layer.folder} includes {target} of {owner_name}"


def _resolve(root, path, name, quoted):
    """The file of this tree that is meant, or None for a header of the system."""
    beside = [os.path.dirname(path) + "/"] if quoted else []
    for folder in [*beside, *_SEARCHED]:
        target = os.path.normpath(folder + name)
        if os.path.isfile(os.path.join(root, target)):
            return target
    return None


if __name__ == "__main__":
    sys.exit(tree.main("check_includes", check))
