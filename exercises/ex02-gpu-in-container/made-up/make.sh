#!/bin/sh
# Compiles the made-up libraries anew, for both processors: sh make.sh   (Debian: gcc and gcc-aarch64-linux-gnu)
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
echo 'GLIBC_2.99 { global: of_tomorrow; };' > "$work/versions"
echo 'char of_tomorrow[1];' > "$work/libc.c"

for machine in x86_64 aarch64; do
    mkdir -p "$machine"
    make() {
        target=$machine/$1.so
        shift
        "$machine-linux-gnu-gcc" -Os -nostdlib -shared -fPIC -fvisibility=hidden -fno-asynchronous-unwind-tables \
            -fno-stack-protector -fno-builtin -s -Wl,-soname,libcuda.so.1,--build-id=none,--hash-style=gnu \
            -Wl,-z,noseparate-code,-z,norelro,-z,max-page-size=65536 "$@" -o "$target" libcuda.c ${more-}
        chmod 644 "$target"
    }
    make 535
    make stub -DANSWER=34
    make compat -DANSWER=803 -DVERSION=13000
    "$machine-linux-gnu-gcc" -nostdlib -shared -fPIC -Wl,-soname,libc.so.6,--version-script,"$work/versions" \
        -o "$work/libc.so.6" "$work/libc.c"
    more=$work/libc.so.6
    make newer -DNEWER
    more=
done
