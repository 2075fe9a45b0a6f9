#!/usr/bin/env python3
"""That scripts/leavings.py tells what tests leave behind, by leaving something. TAP on standard output.

usage: test_leavings.py LEAVINGS

Other tests run beside it, so each case looks for its own traces alone.
"""

import os
import shutil
import subprocess
import sys
import tempfile

import tap
from tap import must


class Watched:
    """A folder that stands for a build, and what there was when it began."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="leavings-")
        self.saved = self.folder + "/saved"
        self.tell("save", self.saved, self.folder)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def tell(self, *arguments):
        command = [sys.executable, "-B", sys.argv[1], *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        must(done.stderr == "", done.stderr)
        return done.returncode, done.stdout

    def told(self):
        """The exit status and what a comparison says at once."""
        return self.tell("compare", self.saved, "0")


@tap.case
def a_file_is_told_until_it_is_gone():
    with Watched() as watched, tempfile.NamedTemporaryFile(prefix="palio-left-", dir="/tmp") as left:
        status, text = watched.told()
        must(status == 1 and f"left behind: file: {left.name}" in text, text)
        left.close()
        must(left.name not in watched.told()[1], "it is gone")


@tap.case
def what_was_there_before_and_is_gone_is_told():
    with tempfile.NamedTemporaryFile(prefix="palio-left-", dir="/tmp") as left, Watched() as watched:
        must(left.name not in watched.told()[1], "it was there before")
        left.close()
        status, text = watched.told()
        must(status == 1 and f"gone: file: {left.name}" in text, text)


@tap.case
def a_program_of_the_build_that_still_runs_is_told():
    with Watched() as watched:
        program = shutil.copy(shutil.which("sleep"), watched.folder + "/still-running")
        with subprocess.Popen([program, "60"]) as process:
            try:
                status, text = watched.told()
                must(status == 1 and f"left behind: process: {process.pid} {program}" in text, text)
            finally:
                process.kill()
        must(program not in watched.told()[1], "it has ended")


@tap.case
def a_network_namespace_is_told():
    tap.need("ip")
    name = f"palio-left-{os.getpid()}"
    with Watched() as watched:
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise tap.Skip(f"[namespaces] {made.stderr.strip()}")
        try:
            status, text = watched.told()
        finally:
            subprocess.run(["ip", "netns", "delete", name], check=True)
        must(status == 1 and f"left behind: network namespace: /run/netns/{name}" in text, text)
        must(name not in watched.told()[1], "it is gone")


@tap.case
def what_is_changed_is_told_as_gone_and_left():
    """A pool of huge pages that is not put back, as a file of what was there says it."""
    with Watched() as watched:
        with open(watched.saved, encoding="utf-8") as file:
            text = file.read()
        if "nr_hugepages: " not in text:
            raise tap.Skip("[set-hugepages] the system has no huge pages")
        with open(watched.saved, "w", encoding="utf-8") as file:
            file.write(text.replace("nr_hugepages: ", "nr_hugepages: 7"))
        status, told = watched.told()
        must(status == 1 and "gone: pool of huge pages" in told and "left behind: pool of huge pages" in told, told)


if __name__ == "__main__":
    sys.exit(tap.main("leavings"))
