#!/bin/sh
# rodnik train as people use it: same state on every path, resuming, Ctrl-C, kill -9, a full disk,
# wrong input.  Prints "ok NAME", "FAILED NAME: why" or "skipped NAME: why" lines.
# usage: tests/scripts/train_test.sh     $RODNIK is the program (default build/rodnik)
set -u
root=$(dirname "$(dirname "$(dirname "$(realpath "$0")")")")
rodnik=$(realpath "${RODNIK:-$root/build/rodnik}")
work=$(mktemp -d)
failures=0
mounted=
cleanup() { [ -n "$mounted" ] && umount "$mounted"; rm -rf "$work"; }
trap cleanup EXIT
cd "$root" || exit 1

passed() { echo "ok $1"; }
failed() { echo "FAILED $1: $2"; failures=$((failures + 1)); }
state_of() { tail -n 1 "$1"; }
train() { "$rodnik" train "$@"; }
tiny() { train recipes/tiny.ini "$@"; }

# expect NAME STATUS WORDS COMMAND...: the exit status, and words in one sentence on standard error
expect() {
    name=$1 wanted=$2 words=$3
    shift 3
    "$@" >"$work/out" 2>"$work/err"
    got=$?
    if [ "$got" -ne "$wanted" ]; then
        failed "$name" "exit status $got, expected $wanted: $(tail -n 1 "$work/err")"
    elif ! grep -q -- "$words" "$work/err"; then
        failed "$name" "no '$words' in: $(tail -n 1 "$work/err")"
    else
        passed "$name"
    fi
}

same_state() { # NAME FILE FILE
    case $(state_of "$2") in
    "state sha256 "????????????????????????????????????????????????????????????????)
        if [ "$(state_of "$2")" = "$(state_of "$3")" ]; then passed "$1"
        else failed "$1" "$(state_of "$2") and $(state_of "$3")"; fi ;;
    *) failed "$1" "the last line is '$(state_of "$2")'" ;;
    esac
}

RODNIK_ISA=scalar tiny --out "$work/a" --steps 5 --threads 1 >"$work/a.out" 2>"$work/a.err"
for isa in avx2 avx512 avx512bf16; do
    RODNIK_ISA=$isa tiny --out "$work/$isa" --steps 5 --threads 3 >"$work/$isa.out" 2>/dev/null
    same_state "scalar and $isa end in the same state" "$work/a.out" "$work/$isa.out"
done

whole="--set train.steps=40 --set train.checkpoint_every=10"
# shellcheck disable=SC2086
tiny --out "$work/whole" $whole >"$work/whole.out" 2>/dev/null
# shellcheck disable=SC2086
tiny --out "$work/parts" $whole --steps 7 >/dev/null 2>&1
train --out "$work/parts" --steps 23 >/dev/null 2>&1
train --out "$work/parts" >"$work/parts.out" 2>/dev/null
same_state "a run in three parts ends as the whole one" "$work/whole.out" "$work/parts.out"
if cmp -s "$work/whole/ledger.jsonl" "$work/parts/ledger.jsonl"; then
    passed "its ledger is the same byte for byte"
else failed "its ledger is the same byte for byte" "ledger.jsonl differs"; fi

long="--set train.steps=3000 --set train.checkpoint_every=50 --set train.validate_every=0"
# Not through a function: $! must be the program, not a shell around it.
# shellcheck disable=SC2086
"$rodnik" train recipes/tiny.ini --out "$work/stopped" $long --json >"$work/stopped.out" 2>"$work/stopped.err" &
child=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ -s "$work/stopped/metrics.jsonl" ] && break
    sleep 0.2
done
kill -TERM "$child"
wait "$child"
status=$?
if [ "$status" -eq 0 ] && grep -q '"interrupted": true' "$work/stopped.out" &&
    grep -q "goes on" "$work/stopped.err"; then
    passed "a request to stop is obeyed and says how to go on"
else failed "a request to stop is obeyed and says how to go on" "exit status $status"; fi

i=0
while [ $i -lt 5 ]; do
    # shellcheck disable=SC2086
    "$rodnik" train recipes/tiny.ini --out "$work/killed" $whole >"$work/killed.out" 2>/dev/null &
    child=$!
    sleep "0.0$((2 + i * 2))"
    kill -KILL "$child" 2>/dev/null
    wait "$child" 2>/dev/null
    i=$((i + 1))
done
# shellcheck disable=SC2086
tiny --out "$work/killed" $whole >"$work/killed.out" 2>/dev/null
same_state "a run killed five times ends as the whole one" "$work/whole.out" "$work/killed.out"

mkdir "$work/small"
if mount -t tmpfs -o size=9m tmpfs "$work/small" 2>/dev/null; then
    mounted=$work/small
    expect "a full disk is one sentence" 1 "No space left" \
        tiny --out "$work/small/run" --set train.keep=1000 --set train.checkpoint_every=1
    if ls "$work/small/run/checkpoints" | grep -q '^step-'; then
        passed "a full disk leaves the checkpoints that were there"
    else failed "a full disk leaves the checkpoints that were there" "there is none"; fi
else
    echo "skipped a full disk: mounting a tmpfs is not permitted"
fi

mkdir "$work/empty"
printf '[train]\nstepz = 5\n' >"$work/typo.ini"
printf '[data]\ncorpus = %s\n' "$work/empty" >"$work/empty.ini"
printf '[data]\ncorpus = nowhere\n' >"$work/nowhere.ini"
expect "an unknown key is named with its line" 2 "typo.ini:2" train "$work/typo.ini" --out "$work/x1"
expect "a value out of range is named" 2 "train.batch" tiny --out "$work/x2" --set train.batch=0
expect "an empty corpus is a sentence" 1 "$work" train "$work/empty.ini" --out "$work/x3"
expect "a missing corpus is a sentence" 1 "nowhere" train "$work/nowhere.ini" --out "$work/x4"
expect "a missing recipe is a sentence" 1 "absent.ini" train absent.ini --out "$work/x5"
expect "a missing folder is a usage error" 2 "--out" train recipes/tiny.ini
expect "a run that is not there is a usage error" 2 "name a recipe" train --out "$work/x6"
expect "an unknown option is a usage error" 2 "--stepz" tiny --out "$work/x7" --stepz 5
expect "another recipe is a conflict that names the key" 1 "train.seed" \
    tiny --out "$work/a" --set train.seed=5
if train --help | grep -q "weight_decay"; then passed "help names the keys of a recipe"
else failed "help names the keys of a recipe" "no weight_decay"; fi

[ "$failures" -eq 0 ]
