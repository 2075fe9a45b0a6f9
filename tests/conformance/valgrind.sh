#!/bin/sh
# Runs a test executable of the small framework under valgrind; an error fails the test in which it was made.
#
# usage: valgrind.sh EXECUTABLE [ARGUMENT...]
# TAP on standard output.
set -eu

if ! command -v valgrind >/dev/null; then
    echo "1..0 # SKIP [valgrind] it is not installed"
    exit 0
fi
exec valgrind --quiet --error-exitcode=86 "$@"
