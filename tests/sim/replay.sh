#!/bin/sh
# A mistake that only some worlds show is found by a sweep, and the line that is printed replays it.
#
# usage: replay.sh BROKEN RIGHT
# Both are one test by palio/sim.h (the counter's in examples/sim, the trader's in examples/demo); BROKEN has a mistake
# built in. TAP on standard output.
set -u
# shellcheck source=tests/support/check.sh
. "$(dirname "$0")/../support/check.sh"

broken=$1
right=$2

# line TEXT: the one that replays.
line() {
    printf '%s\n' "$1" | grep '^failed: PALIO_SIM_SEED='
}

# passes: the right one, with that seed.
# shellcheck disable=SC2317 # called through check
passes() {
    PALIO_SIM_SEED=${seed:-1} "$right" >/dev/null 2>&1
}

unset PALIO_SIM_SEED PALIO_SIM_SEEDS
first=$("$broken" 2>&1)
status=$?
printf '%s\n' "$first" | sed 's/^/# /'
seed=$(line "$first" | sed -n 's/^failed: PALIO_SIM_SEED=\([0-9]*\) (trace 0x[0-9a-f]*)$/\1/p')
check "a seed shows the mistake" [ $status -eq 1 ]
check "its line is printed, once" [ "$(line "$first" | wc -l)" -eq 1 ]
check "and names the seed" [ -n "$seed" ]

again=$(PALIO_SIM_SEED=${seed:-1} "$broken" 2>&1)
status=$?
check "the seed shows it again" [ $status -eq 1 ]
check "and has the same trace" [ "$(line "$again")" = "$(line "$first")" ]
check "without the mistake it passes" passes

end
