"""The layers of the tree, and what each may stand on: the one table that the layering checks read.

A folder may include its own headers, those of the layers named here and of what these stand on in turn, and the listed
headers of the system. Public headers lie directly in palio/ and declare types across layers, so every layer above the
seam may include them; what is *called* is judged by check_symbols.py, layer by layer.
"""

import re

# Headers that come with a freestanding compiler: no library, no system.
COMPILER = frozenset({"float.h", "iso646.h", "limits.h", "stdalign.h", "stdarg.h", "stdatomic.h", "stdbool.h",
                      "stddef.h", "stdint.h", "stdnoreturn.h"})
# Those of the C library that tests/layering/shims states in full.
ISO_C = COMPILER | {"inttypes.h", "stdio.h", "stdlib.h", "string.h"}
# What a seam header may need of the world.
SEAM = frozenset({"stdbool.h", "stddef.h", "stdint.h", "string.h"})
# Tools that know an allocator's memory better than it does (poisoned leases, task stacks). Optional everywhere.
INSTRUMENTS = ("sanitizer/", "valgrind/")
ANY = None  # an operating system may be known here


class Layer:
    """A folder, the layers below it and the system headers it may include (a set, or ANY)."""

    def __init__(self, folder, below, system):
        self.folder = folder
        self.below = below
        self.system = system


PUBLIC = "palio/*.h"

_UPPER = [
    ("core", ["pal", "palio/base", PUBLIC]),
    ("socket", ["palio/core"]),
    ("select", ["palio/core"]),
    ("signal", ["palio/core"]),
    ("mmap", ["palio/core"]),
    ("loop", ["palio/socket", "palio/select", "palio/signal", "palio/mmap"]),
    ("task", ["palio/loop"]),
    ("stream", ["palio/loop"]),
    ("process", ["palio/task", "palio/stream"]),
    ("asyncore", ["palio/task", "palio/stream"]),
    ("sim", ["palio/task", "palio/stream"]),
]

LAYERS = [
    Layer("pal", [], SEAM),
    Layer(PUBLIC, ["pal"], COMPILER),
    Layer("palio/base", [], ISO_C),
    *[Layer("palio/" + name, below, ISO_C) for name, below in _UPPER],
    # OpenSSL, and what its headers drag in: time.h, errno.h, pthread.h, sys/types.h.
    Layer("palio/tls", ["palio/task", "palio/stream"], ANY),
    Layer("backends/netstack", ["pal", "palio/base"], ISO_C),
    Layer("backends/null", ["pal"], ISO_C),
    Layer("backends/tap", ["backends/netstack"], ANY),
    Layer("backends/common", ["pal", "palio/base", "backends/common/arch"], ISO_C),
    # The C library's context switch, for CPUs that have none written by hand.
    Layer("backends/common/arch", ["pal"], ISO_C | {"signal.h", "ucontext.h"}),
    Layer("backends/posix", ["backends/common"], ANY),
    Layer("backends/win32", ["backends/common"], ANY),
    Layer("backends/bypass", ["backends/common", "backends/netstack", "backends/posix"], ANY),
    Layer("backends/dpdk", ["backends/bypass"], ANY),
    Layer("backends/sim", ["backends/bypass"], ANY),
    Layer("examples", ["pal", PUBLIC], ISO_C | {"assert.h"}),
    Layer("tests/swap", ["pal"], ISO_C),
    # signal.h for the test framework's SIGABRT.
    Layer("tests/conformance", ["pal", "palio/base", "tests/support"], ISO_C | {"signal.h"}),
]

# Programs that show the world around the seam: launchers of an example, and the same example without Palio.
OUTSIDE = re.compile(r"examples/(.*/)?(launch_|reference)")
# Nothing here may ask which operating system or CPU it is compiled for.
BLIND = ("pal", "palio", "examples", "tests/conformance", "tests/swap")
# Compiled without any system header to prove it. The null backend is here because it proves that pal/ is complete.
PURE = ("pal", "palio", "backends/netstack", "backends/null", "examples", "tests/swap")
PURE_NOT = "palio/tls/"


def layer_of(path):
    """The layer that owns a file (path from the root of the tree), or None where no rule is made."""
    if OUTSIDE.match(path):
        return None
    folder, _, name = path.rpartition("/")
    if folder == "palio" and name.endswith(".h"):
        return by_name(PUBLIC)
    owners = [layer for layer in LAYERS if path.startswith(layer.folder + "/")]
    return max(owners, key=lambda layer: len(layer.folder), default=None)


def by_name(folder):
    """The layer of that name; KeyError where the table has none."""
    for layer in LAYERS:
        if layer.folder == folder:
            return layer
    raise KeyError(f"layers.py has no layer {folder}")


def reachable(layer):
    """The names of the layer itself and of all that it may stand on, near or far."""
    names = {layer.folder}
    for below in layer.below:
        names |= reachable(by_name(below)) if any(known.folder == below for known in LAYERS) else {below}
    return names
