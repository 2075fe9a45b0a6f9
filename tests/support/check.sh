# check.sh: what tests have in common that are scripts: TAP on standard output. To be sourced.
# shellcheck shell=sh

number=0
failed=0

# ask KEY LINE: the value of one key in a line of key=value pairs.
ask() {
    printf '%s\n' "$2" | tr ' ' '\n' | sed -n "s/^$1=//p"
}

# check WHAT COMMAND...: one line of TAP.
check() {
    what=$1
    shift
    number=$((number + 1))
    if "$@"; then
        echo "ok $number - $what"
    else
        echo "not ok $number - $what"
        failed=1
    fi
}

# end: the plan, and the script's end.
end() {
    echo "1..$number"
    exit $failed
}
