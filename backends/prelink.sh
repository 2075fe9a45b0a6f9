#!/bin/sh
# Makes one object of a backend's objects.
#   prelink.sh prelinked|merged SYMBOLS OBJCOPY OUTPUT COMPILER... -- OBJECT...
# prelinked: every global that is not in SYMBOLS becomes local, so that two backends in one link collide and nothing of
# a backend's inside shows. merged: the compiler's representation is kept, for links with -flto.
set -eu
form=$1 symbols=$2 objcopy=$3 output=$4
shift 4
compiler=
while [ "$1" != -- ]; do
    compiler="$compiler $1"
    shift
done
shift
case $form in
prelinked)
    # Without groups: of a function that several objects bring along, a later link would keep the one made local here.
    $compiler -nostdlib -r -fno-lto -Wl,--force-group-allocation -o "$output.tmp" "$@"
    "$objcopy" --keep-global-symbols="$symbols" "$output.tmp" "$output"
    rm -f "$output.tmp"
    ;;
merged)
    $compiler -nostdlib -r -O2 -flto -flinker-output=rel -o "$output" "$@"
    ;;
esac
