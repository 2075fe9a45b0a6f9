#!/bin/sh
# Makes the folder of a backend, which bears the backend's name:
#   folder.sh FOLDER EXPORTS AR LIBRARIES COMPILER... -- PRELINKED [MERGED]
# libpal.o       the prelinked object
# libpal-lto.o   the merged one, where there is one
# libpal.so.1    a shared library of the prelinked object, whose only globals are those of pal.symbols. Its name is the
#                same for all backends. It cannot be unloaded: signal handlers and threads may stay behind. LIBRARIES
#                is what the backend needs itself, as a word for the compiler.
# libpal.a       the prelinked object for links that look for archives, and a mark. Two objects collide, but of two
#                archives the first would win: so palio-NAME.pc asks for the mark of its backend, and two marks collide.
set -eu
folder=$1 exports=$2 ar=$3 libraries=$4
shift 4
compiler=
while [ "$1" != -- ]; do
    compiler="$compiler $1"
    shift
done
shift
name=${folder##*/}
new=$folder.new
rm -rf "$folder" "$new"
mkdir "$new"
cp "$1" "$new/libpal.o"
if [ $# -eq 2 ]; then
    cp "$2" "$new/libpal-lto.o"
fi
$compiler -shared -pthread -Wl,-soname,libpal.so.1 -Wl,--version-script,"$exports" -Wl,-z,defs -Wl,-z,nodelete \
    -Wl,-Bsymbolic-functions -o "$new/libpal.so.1" "$1" "$libraries"
echo "const char pal__static, pal__static_$name;" | $compiler -c -fno-common -x c -o "$new/mark.o" -
"$ar" rcs "$new/libpal.a" "$new/libpal.o" "$new/mark.o"
rm "$new/mark.o"
mv "$new" "$folder"
