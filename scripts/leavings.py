#!/usr/bin/env python3
"""Whether tests leave the machine as they found it: what is on it before, against what is after.

usage: leavings.py save FILE DIRECTORY
       leavings.py compare FILE [SECONDS]

save writes to FILE what there is now; compare looks again, for as many seconds (10) as it takes to be the same, tells
each difference, and ends with status 1 if there is one. It looks at network namespaces, interfaces and their addresses,
tables of nftables, pools and mounts of huge pages, files that DPDK or tests of Palio make, and running programs of the
build DIRECTORY. Other tests on the same machine at the same time show as well.
"""

import glob
import json
import os
import shutil
import subprocess
import sys
import time

FILES = ["/tmp/palio*", "/dev/shm/palio*", "/var/tmp/palio*", "/run/palio*", "/tmp/dpdk/*", "/run/dpdk/*",
         "/dev/hugepages/*", os.environ.get("XDG_RUNTIME_DIR", "/run") + "/dpdk/*"]
POOLS = "/sys/kernel/mm/hugepages/*/nr_*hugepages"
SECONDS = 10


def lines_of(*command):
    """What a program says, a line each; nothing where it is not installed, or not permitted."""
    if not shutil.which(command[0]):
        return []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def read(path):
    """The text of a small file; empty where there is none any more."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def programs_below(directory):
    """Running programs whose file lies in the directory."""
    found = []
    for link in glob.glob("/proc/[0-9]*/exe"):
        try:
            path = os.readlink(link)
        except OSError:
            continue
        if path.startswith(directory + os.sep):
            found.append(f"{link.split(os.sep)[2]} {path}")
    return found


def what_there_is(directory):
    """All that is compared: {what: its sorted items}."""
    addresses = [line.split()[1:4] for line in lines_of("ip", "-o", "addr")]
    mounts = [line.split() for line in read("/proc/mounts").splitlines()]
    folders = [words[1] for words in mounts if words[2] == "hugetlbfs"]
    files = {path for pattern in [*FILES, *[folder + "/*" for folder in folders]] for path in glob.glob(pattern)}
    there = {
        "network namespace": glob.glob("/run/netns/*"),
        "interface": [os.path.basename(path) for path in glob.glob("/sys/class/net/*")],
        "address": [" ".join(words) for words in addresses],
        "table of nftables": lines_of("nft", "list", "tables"),
        "pool of huge pages": [f"{path}: {read(path)}" for path in glob.glob(POOLS)],
        "mount of huge pages": folders,
        "file": files,
        "process": programs_below(directory),
    }
    return {what: sorted(items) for what, items in there.items()}


def differences(before, after):
    """A line for each item that has come or gone, but for processes that have ended."""
    return [f"{word}: {what}: {item}" for what in sorted(before) for word, here, there in
            (("left behind", after[what], before[what]), ("gone", before[what], after[what]))
            for item in here if item not in there and (word, what) != ("gone", "process")]


def compare(saved, seconds):
    """Prints what is not as it was; the exit status. What is just ending gets some time."""
    end = time.monotonic() + seconds
    while True:
        found = differences(saved["before"], what_there_is(saved["directory"]))
        if not found or time.monotonic() >= end:
            break
        time.sleep(0.2)
    for line in found:
        print(f"leavings: {line}")
    print(f"leavings: {len(found)} differences" if found else "leavings: all is as it was before the tests")
    return 1 if found else 0


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "save":
        directory = os.path.realpath(arguments[2])
        with open(arguments[1], "w", encoding="utf-8") as file:
            json.dump({"directory": directory, "before": what_there_is(directory)}, file, indent=1)
        return 0
    if len(arguments) in (2, 3) and arguments[0] == "compare":
        return compare(json.loads(read(arguments[1])), float(arguments[2]) if len(arguments) == 3 else SECONDS)
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
