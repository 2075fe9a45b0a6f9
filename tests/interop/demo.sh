#!/bin/sh
# The demonstration from end to end: exchange and trader of one backend against each other, and against the reference.
#
# usage: demo.sh PROGRAM REFERENCE [WAY...]
# Every way of running PROGRAM (options; --block, --spin, --source-specific) must answer every tick once, lose none and
# decide what REFERENCE decides. TAP on standard output; nothing is judged by the clock. Loopback, or a simulated
# network; the programs end by themselves.
set -u
# shellcheck source=tests/support/check.sh
. "$(dirname "$0")/../support/check.sh"

program=$1
reference=$2
shift 2
[ $# -gt 0 ] || set -- --block --spin --source-specific
ticks=2000

run() {
    "$@" --ticks=$ticks --warmup=200 --interval-us=50 --limit-s=20 --seed=7 2>&1
}

# answers_all LINE
# shellcheck disable=SC2317 # called through check
answers_all() {
    echo "# $1"
    [ "$(ask result "$1")" = ok ] && [ "$(ask ticks "$1")" = "$ticks" ] && [ "$(ask orders "$1")" = "$ticks" ] &&
        [ "$(ask fills "$1")" = "$ticks" ] && [ "$(ask lost "$1")" = 0 ] && [ "$(ask samples "$1")" = $((ticks - 200)) ]
}

# decides_as DIGEST LINE
# shellcheck disable=SC2317
decides_as() {
    [ -n "$1" ] && [ "$(ask digest "$2")" = "$1" ]
}

expected=$(run "$reference")
digest=$(ask digest "$expected")
check "the reference answers every tick" answers_all "$expected"
for path in "$@"; do
    line=$(run "$program" "$path")
    check "answers every tick, ${path#--}" answers_all "$line"
    check "decides what the reference decides, ${path#--}" decides_as "$digest" "$line"
done

one=$("$program" --ticks=500 --seed=7)
other=$("$program" --ticks=500 --seed=8)
check "another seed gives other decisions" [ "$(ask digest "$one")" != "$(ask digest "$other")" ]

"$program" --ticks=1000000 --limit-s=1 >/dev/null 2>&1
check "a run that cannot end in time fails" [ $? -eq 1 ]
"$program" --ticks=many >/dev/null 2>&1
check "an argument that makes no sense is refused" [ $? -eq 2 ]

end
