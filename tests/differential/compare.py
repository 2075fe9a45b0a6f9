#!/usr/bin/env python3
"""Runs the same programs of the differential fuzzer on several backends and compares their traces.

usage: compare.py [--seed N] [--seeds N] [--operations N] [--minutes N] [--faults] NAME=PROGRAM...

One result a backend (no violation of the model) and one for all of them (the same traces), as TAP. What is found is
shown with the command that replays it. --minutes goes on with further seeds until the time is up. A simulator that is
named twice has to do the same twice.
"""

import argparse
import shlex
import subprocess
import sys
import time

CONTEXT = 12  # lines shown before the one that differs


class Backend:
    def __init__(self, text):
        self.name, _, self.program = text.partition("=")

    def command(self, seed, options, *more):
        faults = ["--faults"] if options.faults else []
        return [self.program, "--seed", str(seed), "--operations", str(options.operations), *faults, *more]

    def start(self, seed, options):
        command = self.command(seed, options, "--seeds", str(options.seeds), "--hashes")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, seed, options, timeout):
        """Reads the hashes, by seed. What went wrong, or the empty text."""
        wrong = ""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            wrong = "it does not end"
        self.hashes = dict(line.split() for line in out.splitlines() if len(line.split()) == 2)
        if self.process.returncode != 0 or wrong:
            wrong = f"{wrong or f'exit status {self.process.returncode}'}\n{said(err)}"
            if "replay: " not in err:
                wrong += "\nreplay: " + shlex.join(self.command(seed + len(self.hashes), options, "--verbose"))
        return wrong

    def trace(self, seed, options):
        """The fixed parts of the lines: what stands before " ~ "."""
        run = subprocess.run(self.command(seed, options, "--verbose"), capture_output=True, text=True)
        return run.stdout.splitlines()


def said(err):
    """What a program said, without what rules say that it broke on purpose: but the last may have ended it."""
    lines = err.splitlines()
    breaches = [i for i, line in enumerate(lines) if line.startswith("palio: seam rule")]
    last = breaches[-1:] if "has aborted" in err else []
    return "\n".join(line for i, line in enumerate(lines) if i not in breaches or i in last)


def fixed(line):
    return line.partition(" ~ ")[0]


def difference(first, second, seed, options):
    """The first line in which the traces of two backends differ, and some before it."""
    traces = [backend.trace(seed, options) for backend in (first, second)]
    at = next((i for i, pair in enumerate(zip(*traces)) if fixed(pair[0]) != fixed(pair[1])), None)
    if at is None:
        return f"seed {seed} differs between {first.name} and {second.name}, but not when it is run by itself"
    text = [f"seed {seed}: {first.name} and {second.name} differ"] + traces[0][max(0, at - CONTEXT):at]
    for backend, trace in zip((first, second), traces):
        text.append(f"{backend.name}: {trace[at]}")
        text.append(f"replay: {shlex.join(backend.command(seed, options, '--verbose'))}")
    return "\n".join(text)


def run(backends, seed, options):
    """One round on all backends: what each found, and where they differ."""
    for backend in backends:
        backend.start(seed, options)
    wrongs = [backend.finish(seed, options, options.timeout) for backend in backends]
    first = backends[0]
    for other in backends[1:]:
        for number, value in first.hashes.items():
            if other.hashes.get(number, value) != value:
                return wrongs, difference(first, other, int(number), options)
    return wrongs, ""


def report(number, name, wrong):
    print(f"{'not ' if wrong else ''}ok {number} - {name}")
    for line in wrong.splitlines():
        print(f"# {line}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--operations", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--faults", action="store_true", help="of simulators alone: calls fail for the moment")
    parser.add_argument("--timeout", type=float, default=240, help="seconds for one round")
    parser.add_argument("backends", nargs="+", type=Backend, metavar="NAME=PROGRAM")
    options = parser.parse_args()
    end = time.monotonic() + options.minutes * 60
    seed = options.seed
    while True:
        wrongs, differs = run(options.backends, seed, options)
        if any(wrongs) or differs or time.monotonic() >= end:
            break
        seed += options.seeds
    print(f"TAP version 13\n1..{len(wrongs) + 1}")
    for number, (backend, wrong) in enumerate(zip(options.backends, wrongs), 1):
        report(number, f"{backend.name}_keeps_to_the_model", wrong)
    report(len(wrongs) + 1, "all_have_the_same_traces", differs)
    print(f"# seeds {options.seed} to {seed + options.seeds - 1}, {options.operations} operations each")
    return 1 if any(wrongs) or differs else 0


if __name__ == "__main__":
    sys.exit(main())
