#!/usr/bin/env bash
# Fuzz targets (clang, libFuzzer, address and undefined sanitizers): scripts/fuzz.sh replay | run SECONDS [NAME]
# fuzz/NAME_fuzz.c names its modules in its first line; inputs lie in fuzz/corpus/NAME.
set -euo pipefail
mode=${1:-replay} seconds=${2:-60} only=${3:-}
build=build/variants/clang-address
variant=(CC=clang SAN=address)
if [ "$mode" = run ]; then # modules tell libFuzzer which branches an input reaches
    build=build/variants/clang-fuzz
    variant+=("BUILD=$build" "CFLAGS=-O1 -g -fsanitize=fuzzer-no-link")
fi
make -s -j2 "${variant[@]}" "$build/lib/base.a" >/dev/null
libs="-larchive -lcjson -linih -lutf8proc -lidn2 -lxxhash -lzstd -lz -lmicrohttpd -lssl -lcrypto -lm -pthread"
failed=0
for source in fuzz/*_fuzz.c; do
    name=$(basename "$source" _fuzz.c)
    [ -z "$only" ] || [ "$only" = "$name" ] || continue
    modules=$(sed -n '1s,.*modules: *\(.*\) *\*/.*,\1,p' "$source")
    archives=""
    for module in $modules; do archives="$build/lib/$module.a $archives"; done
    make -s -j2 "${variant[@]}" $archives >/dev/null
    mkdir -p build/fuzz "fuzz/corpus/$name"
    clang -std=gnu11 -g -O1 -D_GNU_SOURCE -Isrc -fsanitize=fuzzer,address,undefined "$source" \
        -Wl,--start-group $archives -Wl,--end-group $libs -o "build/fuzz/$name"
    if [ "$mode" = replay ]; then
        if "build/fuzz/$name" -runs=0 "fuzz/corpus/$name" >"build/fuzz/$name.log" 2>&1; then echo "ok fuzz replay $name"
        else echo "FAILED fuzz replay $name: see below"; tail -20 "build/fuzz/$name.log"; failed=1; fi
    else
        mkdir -p "build/fuzz/$name.found" # what is worth keeping goes to fuzz/corpus by hand
        "build/fuzz/$name" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix=build/fuzz/ \
            "build/fuzz/$name.found" "fuzz/corpus/$name" || failed=1
    fi
done
exit $failed
