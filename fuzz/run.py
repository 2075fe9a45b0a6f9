#!/usr/bin/env python3
"""Runs a libFuzzer target over its corpus, then a fixed number of times on what it makes of that.

usage: run.py [--runs N] [--seed N] TARGET CORPUS

The corpus is left as it is. An input that fails is kept in the current folder.
"""

import argparse
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("target")
    parser.add_argument("corpus")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as found:  # libFuzzer writes to the first of its folders
        limits = [f"-runs={options.runs}", f"-seed={options.seed}", "-max_len=1024", "-timeout=10"]
        run = subprocess.run([options.target, *limits, found, options.corpus])
    return 1 if run.returncode else 0  # libFuzzer's own status for a finding means "skipped" to meson


if __name__ == "__main__":
    sys.exit(main())
