"""What tests written in Python share: cases, their report as TAP, and skips with a facility (CONTRIBUTING.md).

    @tap.case
    def name_that_says_the_behaviour(): ...

    sys.exit(tap.main("suite"))
"""

import shutil
import traceback

_CASES = []


class Skip(Exception):
    """The case cannot run here: "[facility] reason"."""


def case(function):
    """Registers a case; it is reported by its name."""
    _CASES.append(function)
    return function


def must(holds, what):
    """A word on what was expected when it does not hold; unlike assert not to be switched off."""
    if not holds:
        raise AssertionError(what)


def need(*programs):
    """Skips the case unless all these programs are installed."""
    for program in programs:
        if not shutil.which(program):
            raise Skip(f"[{program}] is not installed")


def main(suite, only=""):
    """Runs all cases whose name contains `only`, whatever becomes of one, and returns the exit status."""
    cases = [function for function in _CASES if only in function.__name__]
    print(f"1..{len(cases)}", flush=True)
    results = [_run(number, suite, function) for number, function in enumerate(cases, 1)]
    return 0 if all(results) else 1


def _run(number, suite, function):
    """One line of TAP; true unless the case failed."""
    name = f"{suite}/{function.__name__}"
    try:
        function()
    except Skip as reason:
        print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        return True
    except Exception:  # whatever it is, the cases after it are to run
        print(f"not ok {number} - {name}")
        print("# " + traceback.format_exc().strip().replace("\n", "\n# "), flush=True)
        return False
    print(f"ok {number} - {name}", flush=True)
    return True
