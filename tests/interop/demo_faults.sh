#!/bin/sh
# The demonstration in a simulated world in which things go wrong: it survives, the same seed does the same, and a
# trader with a mistake in it is found and shown again.
#
# usage: demo_faults.sh PROGRAM FORGETFUL
# FORGETFUL is PROGRAM with a trader that gives orders new ids when it sends them again. TAP on standard output. Nothing
# is judged by the clock: all times are virtual.
set -u
# shellcheck source=tests/support/check.sh
. "$(dirname "$0")/../support/check.sh"

program=$1
forgetful=$2

# shellcheck disable=SC2317 # called through check
contains() {
    case $1 in *"$2"*) return 0 ;; esac
    echo "# in vain for '$2' in: $1"
    return 1
}

faults="loss 5% duplicate 2% reorder 5% latency 20us..3ms reset 0.1%"
one=$("$program" --ticks=2000 --interval-us=1000 --seed=7 --faults="$faults")
two=$("$program" --ticks=2000 --interval-us=1000 --seed=7 --faults="$faults")
other=$("$program" --ticks=2000 --interval-us=1000 --seed=8 --faults="$faults")
echo "# $one"
check "it ends well under faults" [ "$(ask result "$one")" = ok ]
check "ticks were lost" [ "$(ask lost "$one")" -gt 0 ]
check "connections were lost" [ "$(ask breaks "$one")" -gt 0 ]
check "the same seed gives the same, in another process" [ "$one" = "$two" ]
check "another seed gives another run" [ "$(ask trace "$one")" != "$(ask trace "$other")" ]

while_cut="loss 1%; at 1s cut exchange trader; at 4s heal exchange trader"
cut=$("$program" --ticks=4000 --interval-us=1000 --limit-s=60 --faults="$while_cut")
echo "# $cut"
check "a cut of three seconds is survived" [ "$(ask result "$cut")" = ok ]
check "the connection was given up in it" [ "$(ask breaks "$cut")" -gt 0 ]

story=$("$program" --survive)
check "the story ends well" contains "$story" "survived: every order"

swarm=$("$program" --swarm --seeds=200 2>&1)
echo "# $swarm"
check "a swarm of seeds finds nothing" [ "$(ask result "$swarm")" = ok ]
check "orders were sent again in it" [ "$(ask resent "$swarm")" -gt 0 ]
check "orders that had been executed came again in it" [ "$(ask repeated "$swarm")" -gt 0 ]
check "orders came too late in it" [ "$(ask expired "$swarm")" -gt 0 ]

found=$("$forgetful" --swarm --seeds=500 2>&1)
check "a trader that forgets its ids is found" contains "$found" "more than one order for a tick"
again=$(printf '%s\n' "$found" | sed -n 's/^demo: to see it again: //p')
echo "# $again"
replayed=$($again 2>&1)
check "the command that is printed ends with 1" [ $? -eq 1 ]
check "and finds it again" contains "$replayed" "more than one order for a tick"

"$program" --faults="loss much" >/dev/null 2>&1
check "faults that make no sense are refused" [ $? -eq 1 ]
"$program" --swarm --survive >/dev/null 2>&1
check "two things at once are refused" [ $? -eq 2 ]

end
