#!/usr/bin/env bash
# All tests, in their short form: scripts/check.sh [SUITE...]
# Suites: layers style headers gcc clang address thread fuzz scripts exact.  Closes with "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "$0")/.."
suites=${*:-layers gcc style headers scripts clang address thread fuzz exact}
passed=0 failed=0 skipped=0
logs=build/check
mkdir -p $logs

count() { # adds what a log of cmocka or of "ok NAME" lines holds
    local log=$1
    passed=$((passed + $(grep -cE '^\[       OK \]|^ok ' "$log")))
    failed=$((failed + $(grep -cE '^\[  FAILED  \] [a-z_A-Z0-9]+$|^FAILED ' "$log" | head -1)))
    skipped=$((skipped + $(grep -cE '^\[  SKIPPED \] [a-z_A-Z0-9]+$|^skipped ' "$log" | head -1)))
}

one() { # a check that is a single test: one NAME COMMAND...
    local name=$1; shift
    if "$@" >"$logs/$name.log" 2>&1; then passed=$((passed + 1)); echo "ok $name"
    else failed=$((failed + 1)); echo "FAILED $name"; head -40 "$logs/$name.log"; fi
}

many() { # a command that prints "ok ..." and "FAILED ..." lines: many NAME COMMAND...
    local name=$1 log="$logs/$1.log"; shift
    "$@" >"$log" 2>&1 || grep -q '^FAILED ' "$log" || echo "FAILED $name: ended early, see above" >>"$log"
    count "$log"
    grep -vE '^ok ' "$log" | tail -30
    echo "$name: done"
}

run_program() { # PROGRAM LOG: cmocka reports failed tests twice, at the place and in the list; the list is cut off
    local status
    timeout 300 "$1" >"$2.raw" 2>&1 </dev/null
    status=$?
    sed '/test(s), listed below/,$d' "$2.raw" >"$2"
    if [ $status -ne 0 ] && ! grep -q '^\[  FAILED  \]' "$2"; then echo "FAILED $1: ended with status $status" >>"$2"; fi
}

unit() { # unit NAME MAKE-ARGUMENTS...: builds and runs every unit test of a variant
    local name=$1 folder=$2; shift 2
    local tests programs=() start=$SECONDS before=$failed alone=0
    tests=$(ls tests/*/*_test.c | sed 's,^tests/,,; s,\.c$,,')
    for test in $tests; do
        case $name:$test in # nothing to find where no pool of threads is made; the other variants run it
        thread:base/* | thread:proof/* | thread:text/* | thread:tokenizer/* | thread:corpus/*)
            if ! grep -q thread "tests/$test.c"; then alone=$((alone + 1)); continue; fi ;;
        esac
        programs+=("$folder/tests/$test")
    done
    mkdir -p "$logs/$name"
    if ! make -k -j2 "$@" "${programs[@]}" >"$logs/$name/build.log" 2>&1; then
        echo "FAILED $name: does not build"; grep -E 'error|\*\*\*' "$logs/$name/build.log" | head -20; failed=$((failed + 1))
    fi
    for program in "${programs[@]}"; do
        [ -x "$program" ] || continue
        local log="$logs/$name/$(echo "${program#"$folder"/tests/}" | tr / -).log"
        run_program "$program" "$log"
        count "$log"
        grep -qE '^\[  FAILED  \]|^FAILED |Sanitizer' "$log" && { echo "FAILED $name $program"; grep -vE '^\[ RUN|^\[       OK' "$log" | head -30; }
    done
    echo "$name: $((SECONDS - start)) s$([ $alone -gt 0 ] && echo ", $alone programs without threads left to the others")$([ "$failed" -gt "$before" ] && echo ", failures above")"
}

headers() {
    local bad=0
    for header in src/*/*.h; do
        gcc -std=gnu11 -Wall -Wextra -Wpedantic -D_GNU_SOURCE -Isrc -fsyntax-only -x c "$header" || bad=1
    done
    return $bad
}

shell_tests() {
    make -j2 >"$logs/program.log" 2>&1 || { echo "FAILED the program does not build"; tail -20 "$logs/program.log"; failed=$((failed + 1)); return; }
    for script in tests/scripts/*_test.sh; do
        local log="$logs/$(basename "$script").log"
        RODNIK=build/rodnik timeout 600 bash "$script" build/rodnik >"$log" 2>&1 </dev/null || grep -q '^FAILED ' "$log" || echo "FAILED $script: ended early, see above" >>"$log"
        count "$log"
        grep -E '^FAILED |^skipped ' "$log"
        echo "$(basename "$script"): done"
    done
}

for suite in $suites; do
    case $suite in
    layers) one layers scripts/layers.sh ;;
    style) one style scripts/style.sh ;;
    headers) one headers headers ;;
    gcc) unit gcc build ;;
    clang) unit clang build/variants/clang CC=clang ;;
    address) ASAN_OPTIONS=detect_leaks=1 unit address build/variants/address SAN=address ;;
    thread) unit thread build/variants/thread SAN=thread ;;
    fuzz) many fuzz scripts/fuzz.sh replay ;;
    scripts) shell_tests ;;
    exact) many exact scripts/exact.sh short ;;
    *) echo "there is no suite '$suite'"; failed=$((failed + 1)) ;;
    esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
