#!/usr/bin/env python3
"""Adds up the test cases of one or more meson test runs.

usage: totals.py TESTLOG.JSON...

Meson counts executables; this counts the tests inside them, from the TAP that each printed. A test with meson's exit
code protocol counts as one. Prints every skip with its reason, every failure with its output, then as the last line
"N passed, N failed, N skipped". A skip whose reason begins with a facility in brackets, "[ptrace] ...", is a failure
when PALIO_REQUIRE names that facility. Exit status 0 only if nothing failed and something passed.
"""

import json
import os
import re
import sys
from pathlib import Path

RESULT = re.compile(r"(?P<bad>not )?ok\b\s*(?P<number>\d+)?\s*(?:-\s*)?(?P<name>[^#\s]*)(?P<rest>.*)")
SKIP = re.compile(r"#\s*SKIP\S*\s*(?P<reason>.*)", re.IGNORECASE)
PLAN = re.compile(r"1\.\.(?P<count>\d+)\s*(?:#\s*SKIP\S*\s*(?P<reason>.*))?", re.IGNORECASE)
FACILITY = re.compile(r"\[(?P<words>[^\]]*)\]")

MESON_GOOD = {"OK", "EXPECTEDFAIL"}
EXIT_SKIPPED = 77


class Totals:
    def __init__(self, required):
        self.required = required
        self.passed = 0
        self.skips = []
        self.failures = []

    def skip(self, name, reason):
        facility = FACILITY.match(reason)
        missing = self.required.intersection(facility.group("words").split()) if facility else set()
        if missing:
            self.failures.append((name, f"skipped, but {' '.join(sorted(missing))} is required here: {reason}"))
        else:
            self.skips.append((name, reason or "no reason given"))

    def fail(self, name, output):
        self.failures.append((name, output))


def is_tap(lines):
    first = next((line for line in lines if line.strip()), "")
    return first.startswith("TAP version") or PLAN.fullmatch(first.strip()) is not None


def diagnostics(lines, start):
    """The comments and YAML block that follow a result line."""
    block = []
    for line in lines[start:]:
        if RESULT.match(line) or PLAN.match(line):
            break
        block.append(line)
    return "\n".join(block).rstrip("#\n ")


def add_tap(totals, executable, run, lines):
    counted = failed = 0
    planned = None
    for index, line in enumerate(lines):
        result = RESULT.match(line)
        plan = PLAN.fullmatch(line.strip())
        if plan and planned is None:
            planned = int(plan.group("count"))
            if planned == 0 and plan.group("reason"):
                totals.skip(executable, plan.group("reason"))
                return
        if not result:
            continue
        counted += 1
        name = f"{executable}: {result.group('name')}"
        skip = SKIP.search(result.group("rest"))
        if result.group("bad"):
            failed += 1
            totals.fail(name, line + "\n" + diagnostics(lines, index + 1))
        elif skip:
            totals.skip(name, skip.group("reason").strip())
        else:
            totals.passed += 1
    if failed:
        # Criterion's tests share their executable's standard error, so it goes with the last of them.
        name, output = totals.failures[-1]
        totals.failures[-1] = (name, output + "\nstandard error of all its tests:\n" + run.get("stderr", ""))
        return
    # No test of it says so, yet it is wrong: it ended early, crashed outside a test, or was killed from outside.
    if run["returncode"] != 0 or run["result"] in ("ERROR", "FAIL", "TIMEOUT", "INTERRUPT") or counted != planned:
        totals.fail(executable, f"{describe(run)}; {counted} of {planned} tests reported\n{output_of(run)}")
    elif counted == 0:
        totals.fail(executable, "it holds no test")


def add_exit_code(totals, executable, run, lines):
    if run["returncode"] == EXIT_SKIPPED and run["result"] == "SKIP":
        reasons = [match.group("reason") for match in map(SKIP.search, lines) if match]
        totals.skip(executable, reasons[-1].strip() if reasons else "")
    elif run["result"] in MESON_GOOD:
        totals.passed += 1
    elif run["result"] == "SKIP":
        totals.fail(executable, "it reported no test\n" + output_of(run))
    else:
        totals.fail(executable, f"{describe(run)}\n{output_of(run)}")


def describe(run):
    return f"{run['result']}, exit status {run['returncode']}, {run['duration']:.1f} s"


def output_of(run):
    return (run.get("stdout", "") + run.get("stderr", "")).rstrip()


def indent(text):
    return "\n".join("    " + line for line in text.splitlines() if line.strip())


def add_log(totals, path):
    build = path.parent.parent.name
    if not path.is_file():
        totals.fail(build, f"no test ran: {path} is missing")
        return
    for text in path.read_text(encoding="utf-8").splitlines():
        run = json.loads(text)
        executable = f"{build}: {run['name']}"
        lines = run.get("stdout", "").splitlines()
        if is_tap(lines):
            add_tap(totals, executable, run, lines)
        else:
            add_exit_code(totals, executable, run, lines + run.get("stderr", "").splitlines())


def main(paths):
    if not paths:
        sys.exit(__doc__)
    totals = Totals(set(os.environ.get("PALIO_REQUIRE", "").split()))
    for path in paths:
        add_log(totals, Path(path).resolve())
    for name, reason in totals.skips:
        print(f"skipped {name}: {reason}")
    for name, output in totals.failures:
        print(f"FAILED {name}\n{indent(output)}")
    if totals.passed == 0 and not totals.failures:
        print("no test passed")
    print(f"{totals.passed} passed, {len(totals.failures)} failed, {len(totals.skips)} skipped")
    return 0 if totals.passed > 0 and not totals.failures else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
