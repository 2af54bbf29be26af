#!/usr/bin/env bash
# The same bits on every instruction set, thread count, compiler, optimization level and processor.
# usage: scripts/exact.sh short|long     prints "ok ...", "FAILED ...", "skipped ..." lines and, last, the hashes
set -u
cd "$(dirname "$0")/.." || exit 1
mode=${1:-long}
failed=0
declare -A wanted

# compare WHAT NAME COMMAND...: the output's hash against the first one of WHAT
compare() {
    local what=$1 name=$2 hash
    shift 2
    hash=$(set -o pipefail; "$@" 2>build/exact.err | sha256sum | cut -c1-64)
    case ${PIPESTATUS[0]}-$hash in
    *-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855)
        echo "FAILED exact $what, $name: $(tail -n 1 build/exact.err)"
        failed=1
        return ;;
    esac
    : "${wanted[$what]:=$hash}"
    if [ "${wanted[$what]}" = "$hash" ]; then echo "ok exact $what, $name"
    else echo "FAILED exact $what, $name: $hash"; failed=1; fi
}

# program NAME THREADS... [-- RUNNER]: one build on every instruction set it has
program() {
    local path=$1 name=$2 runner=${3:-} isas=$4 isa threads what
    for isa in $isas; do
        if [ -z "$runner" ]; then
            RODNIK_ISA=$isa "$path" operations 1 >/dev/null 2>&1
            [ $? -eq 77 ] && { echo "skipped exact $name $isa: not on this processor"; continue; }
        fi
        for what in operations train; do
            for threads in $5; do
                compare $what "$name $isa, $threads threads" env RODNIK_ISA="$isa" $runner "$path" $what "$threads"
            done
        done
    done
}

build() { # NAME VARIABLES...
    local name=$1
    shift
    make -s -j2 "$@" >"build/exact-$name.log" 2>&1 && return
    echo "FAILED exact: $name does not build: $(tail -n 1 "build/exact-$name.log")"
    failed=1
    return 1
}

mkdir -p build
all="scalar avx2 avx512 avx512bf16"
[ "$(uname -m)" = x86_64 ] || all=scalar
few="1 3"
[ "$mode" = long ] && few="1 2 3 8"

build gcc build/exact && program build/exact gcc "" "$all" "$few"
if command -v clang >/dev/null; then
    build clang CC=clang build/variants/clang/exact && program build/variants/clang/exact clang "" "$all" 2
else
    echo "skipped exact clang: it is not installed"
fi
if [ "$mode" = long ]; then
    for level in O0 O1 O2; do
        build "gcc-$level" BUILD="build/variants/gcc-$level" CFLAGS="-$level" "build/variants/gcc-$level/exact" &&
            program "build/variants/gcc-$level/exact" "gcc -$level" "" "$all" 2
    done
    build clang-O1 CC=clang BUILD=build/variants/clang-O1 CFLAGS=-O1 build/variants/clang-O1/exact &&
        program build/variants/clang-O1/exact "clang -O1" "" "$all" 2
fi
for machine in aarch64 riscv64; do
    if ! command -v "$machine-linux-gnu-gcc" >/dev/null || ! command -v "qemu-$machine" >/dev/null; then
        echo "skipped exact $machine: no cross compiler or no qemu-$machine"
        continue
    fi
    path=build/variants/$machine-linux-gnu-gcc/exact
    build "$machine" CC="$machine-linux-gnu-gcc" "$path" && program "$path" "$machine under qemu" "qemu-$machine" scalar 2
done
for what in "${!wanted[@]}"; do echo "$what sha256 ${wanted[$what]}"; done
exit $failed
