"""The swap: one object file becomes a program on every backend by linking alone, and never on two at once.

usage: test_swap CC APP.o NAME=PRELINKED.o... [--merged NAME=MERGED.o...] [--shared NAME=FOLDER...]
                 [--linker LINKER]... [-- LINK_ARGUMENT...]

Each prelinked backend is linked with GNU ld and every linker named, and the program run. Merged (LTO) objects are GNU
ld's alone. With the shared libraries it is linked once, and what runs is a matter of the folder that is searched. The
null backend links, and says so when the program calls it. The application's object never changes.
"""

import argparse
import hashlib
import itertools
import os
import subprocess
import sys
import tempfile

RUN_SECONDS_MAX = 60  # only ends a program that hangs


class Swap:
    """Links and runs in one scratch folder; counts what held and tells what did not."""

    def __init__(self, arguments, folder):
        self._cc = arguments.cc.split()
        self._app = arguments.app
        self._extra = arguments.extra
        self._program = os.path.join(folder, "program")
        self.held = 0
        self.broken = 0

    def link(self, objects, *flags):
        """Makes the program of the application and these objects: (exit status, what the linker said)."""
        command = [*self._cc, *flags, self._app, *objects, *self._extra, "-o", self._program]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout

    def run(self, folder=""):
        """Runs the program linked last, with libraries of that folder: (exit status, standard output and error)."""
        done = subprocess.run([self._program], capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False,
                              env={**os.environ, "LD_LIBRARY_PATH": folder})
        return done.returncode, done.stdout, done.stderr

    def expect(self, held, what, told=""):
        """Notes one expectation."""
        print(("ok     " if held else "BROKEN ") + what)
        if held:
            self.held += 1
        else:
            self.broken += 1
            print("    " + told.strip().replace("\n", "\n    "))

    def works_on(self, name, path, *flags):
        """The program links with this backend, runs, and knows where it is."""
        what = " ".join(["runs on", name, *flags])
        status, told = self.link([path], *flags)
        if status != 0:
            self.expect(False, what, told)
            return
        self.knows(name, what, *self.run())

    def swaps(self, folders, *flags):
        """One program, linked with the first of these (name, folder) pairs, runs on each of them."""
        status, told = self.link([os.path.join(folders[0][1], "libpal.so.1")], *flags)
        if status != 0:
            self.expect(False, " ".join(["links with a shared library", *flags]), told)
            return
        before = digest(self._program)
        for name, folder in folders:
            self.knows(name, " ".join(["runs on shared", name, *flags]), *self.run(folder))
        self.expect(digest(self._program) == before, "the program is the same file as before")

    def knows(self, name, what, status, output, errors):
        """The program has run in good order and named its backend; on null, it has said what is missing."""
        if name == "null":
            aborted = status != 0 and "null backend: pal_poll_open called" in errors
            self.expect(aborted, what + ": aborts, naming the call", f"exit {status}: {output}{errors}")
        else:
            self.expect(status == 0 and output == f"ok {name}\n", what, f"exit {status}: {output}{errors}")

    def collide(self, one, other, *flags):
        """Linking two backends is an error, not a silent choice."""
        status, told = self.link([one[1], other[1]], *flags)
        refused = "multiple definition" in told or "duplicate symbol" in told
        self.expect(status != 0 and refused, " ".join([one[0], "and", other[0], "collide", *flags]), told)


def digest(path):
    """The SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("cc")
    parser.add_argument("app")
    parser.add_argument("prelinked", nargs="+")
    parser.add_argument("--merged", nargs="*", default=[])
    parser.add_argument("--shared", nargs="*", default=[])
    parser.add_argument("--linker", action="append", default=[])
    given = sys.argv[1:]
    split = given.index("--") if "--" in given else len(given)
    arguments = parser.parse_args(given[:split])
    arguments.extra = given[split + 1:]

    before = digest(arguments.app)
    with tempfile.TemporaryDirectory() as folder:
        swap = Swap(arguments, folder)
        for flags in [[], *[["-fuse-ld=" + linker] for linker in arguments.linker]]:
            backends = [pair.split("=", 1) for pair in arguments.prelinked]
            for name, path in backends:
                swap.works_on(name, path, *flags)
            for one, other in itertools.combinations(backends, 2):
                swap.collide(one, other, *flags)
            if arguments.shared:
                swap.swaps([pair.split("=", 1) for pair in arguments.shared], *flags)
        merged = [pair.split("=", 1) for pair in arguments.merged]
        for name, path in merged:
            swap.works_on(name, path, "-flto", "-O2")
        for one, other in itertools.combinations(merged, 2):
            if one in merged[:2]: # a link compiles the first: each large one collides with the two small ones
                swap.collide(one, other, "-flto", "-O2")
        swap.expect(digest(arguments.app) == before, "the application's object is the same file as before")
    print(f"{swap.held} held, {swap.broken} broken")
    return 1 if swap.broken else 0


if __name__ == "__main__":
    sys.exit(main())
