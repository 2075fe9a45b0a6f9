#!/usr/bin/env python3
"""Adds up the tests of the phases of scripts/test.

usage: totals.py PHASE:STATUS:SECONDS:DIRECTORY...

Meson counts executables; this counts the tests inside them, from the TAP that each printed, which meson keeps in the
phase's build directory. A test with meson's exit code protocol counts as one, and so does a phase that keeps no log.
Prints every skip with its reason, every failure with its output, a line for each phase, then as the last line
"N passed, N failed, N skipped". Exit status 0 only if nothing failed and something passed.

A skip whose reason begins with a facility in brackets, "[ptrace] ...", is a failure when PALIO_REQUIRE names that
facility; PALIO_REQUIRE_TSAN, if it is set, takes its place in the phase tsan, and so on. A failure of a test that
scripts/cross/limits lists for the phase is a skip, for the reason given there.
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
STATUS_TESTS_FAILED = 3  # of scripts/phase: the log says which


class Limits:
    """What the system of a phase cannot do, test by test. The form of the list is said at its top."""

    def __init__(self, phase, path):
        self._reasons = {}
        self._by_chance = set()
        self._met = set()
        self._passed = set()
        reason, here = "", False
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if not line.startswith(" "):
                phases, _, reason = line.partition(": ")
                here = phase in phases.split()
            elif here:
                test, *sometimes = line.split()
                self._reasons[test] = reason
                self._by_chance.update([test] if sometimes else [])

    def reason(self, test):
        """Why this test, which has failed, cannot pass here; None where the list does not know it."""
        self._met.add(test)
        return self._reasons.get(test)

    def note_passed(self, test):
        """The test has passed, or was not needed."""
        self._passed.add(test)

    def outlived(self):
        """The tests that the list holds without need: they have run, and nowhere failed."""
        return sorted(self._passed.intersection(self._reasons) - self._met - self._by_chance)


class Phase:
    """What a phase has come to."""

    def __init__(self, name, limits):
        self.name = name
        self.limits = limits
        required = os.environ.get(f"PALIO_REQUIRE_{name.upper()}", os.environ.get("PALIO_REQUIRE", ""))
        self._required = set(required.split())
        self.passed = 0
        self.skips = []
        self.failures = []

    def skip(self, name, reason):
        """A test that did not run, or could not pass here."""
        facility = FACILITY.match(reason)
        missing = self._required.intersection(facility.group("words").split()) if facility else set()
        if missing:
            self.failures.append((name, f"skipped, but {' '.join(sorted(missing))} is required here: {reason}"))
        else:
            self.skips.append((name, reason or "no reason given"))

    def fail(self, name, output):
        """A test that failed, with all that is to be shown of it."""
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


def add_tap(phase, executable, run, lines):
    counted = bad = 0
    planned = None
    last_failure = None
    for index, line in enumerate(lines):
        result = RESULT.match(line)
        plan = PLAN.fullmatch(line.strip())
        if plan and planned is None:
            planned = int(plan.group("count"))
            if planned == 0 and plan.group("reason"):
                phase.skip(executable, plan.group("reason"))
                return
        if not result:
            continue
        counted += 1
        test = result.group("name")
        name = f"{executable}: {test}"
        skip = SKIP.search(result.group("rest"))
        if result.group("bad"):
            bad += 1
            reason = phase.limits.reason(test)
            if reason:
                phase.skip(name, reason)
            else:
                last_failure = len(phase.failures)
                phase.fail(name, line + "\n" + diagnostics(lines, index + 1))
        elif skip:
            phase.skip(name, skip.group("reason").strip())
        else:
            phase.passed += 1
            phase.limits.note_passed(test)
    if last_failure is not None:
        # Criterion's tests share their executable's standard error, so it goes with the last of them.
        name, output = phase.failures[last_failure]
        phase.failures[last_failure] = (name, output + "\nstandard error of all its tests:\n" + run.get("stderr", ""))
    # No test of it says so, yet it is wrong: it ended early, crashed outside a test, or was killed from outside.
    ended_well = run["returncode"] == 0 and run["result"] not in ("ERROR", "FAIL", "TIMEOUT", "INTERRUPT")
    if counted != planned or (bad == 0 and not ended_well):
        phase.fail(executable, f"{describe(run)}; {counted} of {planned} tests reported\n{output_of(run)}")
    elif counted == 0:
        phase.fail(executable, "it holds no test")


def add_exit_code(phase, executable, run, lines):
    if run["returncode"] == EXIT_SKIPPED and run["result"] == "SKIP":
        reasons = [match.group("reason") for match in map(SKIP.search, lines) if match]
        phase.skip(executable, reasons[-1].strip() if reasons else "")
    elif run["result"] in MESON_GOOD:
        phase.passed += 1
    elif run["result"] == "SKIP":
        phase.fail(executable, "it reported no test\n" + output_of(run))
    else:
        phase.fail(executable, f"{describe(run)}\n{output_of(run)}")


def describe(run):
    return f"{run['result']}, exit status {run['returncode']}, {run['duration']:.1f} s"


def output_of(run):
    return (run.get("stdout", "") + run.get("stderr", "")).rstrip()


def indent(text):
    return "\n".join("    " + line for line in text.splitlines() if line.strip())


def add_log(phase, path):
    for text in path.read_text(encoding="utf-8").splitlines():
        run = json.loads(text)
        executable = f"{phase.name}: {run['name']}"
        lines = run.get("stdout", "").splitlines()
        if is_tap(lines):
            add_tap(phase, executable, run, lines)
        else:
            add_exit_code(phase, executable, run, lines + run.get("stderr", "").splitlines())


def read_phase(name, status, directory):
    """All that a phase has to tell, as a Phase."""
    phase = Phase(name, Limits(name, Path(__file__).with_name("cross") / "limits"))
    log = Path(directory) / "meson-logs" / "testlog.json"
    if log.is_file():
        add_log(phase, log)
    elif status == 0:
        phase.passed += 1
    told = phase.failures or (status == STATUS_TESTS_FAILED and phase.skips)
    if status != 0 and not told or status not in (0, STATUS_TESTS_FAILED):
        phase.fail(name, f"the phase ended with exit status {status}: see above")
    return phase


def print_table(phases, seconds):
    print(f"{'phase':10} {'seconds':>8} {'passed':>8} {'failed':>8} {'skipped':>8}")
    for phase, duration in zip(phases, seconds):
        print(f"{phase.name:10} {duration:>8} {phase.passed:>8} {len(phase.failures):>8} {len(phase.skips):>8}")


def main(arguments):
    if not arguments:
        sys.exit(__doc__)
    phases, seconds = [], []
    for argument in arguments:
        name, status, duration, directory = argument.split(":", 3)
        phases.append(read_phase(name, int(status), directory))
        seconds.append(duration)
    for phase in phases:
        for name, reason in phase.skips:
            print(f"skipped {name}: {reason}")
        for name in phase.limits.outlived():
            print(f"note: {name} passes in phase {phase.name}: strike it from scripts/cross/limits")
    for phase in phases:
        for name, output in phase.failures:
            print(f"FAILED {name}\n{indent(output)}")
    print_table(phases, seconds)
    passed = sum(phase.passed for phase in phases)
    failed = sum(len(phase.failures) for phase in phases)
    if passed == 0 and failed == 0:
        print("no test passed")
    print(f"{passed} passed, {failed} failed, {sum(len(phase.skips) for phase in phases)} skipped")
    return 0 if passed > 0 and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
