#!/bin/sh
# rodnik corpus as people use it: folders that hold anything.  Prints "ok NAME", "FAILED NAME: why" or "skipped NAME: why" lines.
# usage: tests/scripts/corpus_test.sh     $RODNIK is the program (default build/rodnik)
set -u
root=$(dirname "$(dirname "$(dirname "$(realpath "$0")")")")
rodnik=$(realpath "${RODNIK:-$root/build/rodnik}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ok() { echo "ok corpus: $1"; }
failed() { echo "FAILED corpus: $1: $2"; }
refused() { # WORDS NAME: manifest.json names the file with the reason
    if grep -q "$1" "$work/out/manifest.json"; then ok "$2"; else failed "$2" "no '$1' in manifest.json"; fi
}
status() { # NAME WANTED COMMAND...
    name=$1 wanted=$2
    shift 2
    timeout 20 "$@" >"$work/stdout" 2>"$work/stderr"
    got=$?
    if [ "$got" -eq "$wanted" ]; then ok "$name"; else failed "$name" "status $got, wanted $wanted: $(tail -n 1 "$work/stderr")"; fi
}

mkdir -p "$work/in/below"
# near-duplicates are more alike than these
printf 'Документ номер 1 о реке и роднике, который начинает её течение в лесу у деревни.\n' >"$work/in/1.txt"
printf 'Второй лист о мельнице и пруде, где зимой катаются дети из ближнего посёлка.\n' >"$work/in/2.txt"
printf 'Третья запись о пасеке и мёде, который собирают осенью на дальнем лугу за оврагом.\n' >"$work/in/3.txt"
iconv -t CP1251 "$work/in/2.txt" >"$work/in/cp1251.txt"
iconv -t KOI8-R "$work/in/3.txt" >"$work/in/below/koi8.txt"
printf '{"no":"text"}\nnot json\n' >"$work/in/fields.jsonl"
printf 'x' | gzip | head -c 10 >"$work/in/cut.txt.gz"
: >"$work/in/empty.txt"
yes | head -c 200000000 | gzip >"$work/in/bomb.txt.gz"
head -c 4096 /dev/urandom >"$work/in/random.bin"
mkfifo "$work/in/pipe.txt" "$work/in/pipe.txt.gz"
ln -s .. "$work/in/below/up"
ln -s . "$work/in/loop"
ln -s ../in "$work/in/again"
status "a folder that holds anything is read" 0 "$rodnik" corpus build --held-out 0 --out "$work/out" "$work/in"
refused 'is not a regular file' "a pipe is refused"
refused 'is a link to a folder' "links to folders are not followed"
refused 'random.bin' "an unknown kind is named"
refused 'unpacks to more than 256 times its size' "a bomb costs one file"
refused 'cut.txt.gz' "a cut file is named"
refused 'fields.jsonl, line 1' "a line without the field is named"
documents=$("$rodnik" corpus show "$work/out" --json | python3 -c 'import json,sys; m = json.load(sys.stdin); print(m["documents"], m["left_out"]["duplicate"] if "duplicate" in m["left_out"] else m["left_out"])')
case $documents in
3*2*) ok "texts in CP1251 and KOI8-R are those in UTF-8" ;;
*) failed "texts in CP1251 and KOI8-R" "documents and duplicates are $documents" ;;
esac
status "a pipe alone is an error, not a wait" 1 "$rodnik" corpus build --out "$work/none" "$work/in/pipe.txt"
status "a wrong value is refused" 2 "$rodnik" corpus build --held-out 2 --out "$work/none" "$work/in"
if grep -q '^rodnik corpus build: --held-out' "$work/stderr"; then ok "the message names the command"
else failed "the message names the command" "$(head -n 1 "$work/stderr")"; fi
status "a path with a quote is written" 0 "$rodnik" corpus build --held-out 0 --json --out "$work/a\"b" "$work/in"
if python3 -m json.tool <"$work/stdout" >/dev/null 2>&1; then ok "its JSON is JSON"; else failed "its JSON" "$(cat "$work/stdout")"; fi

# Signals and decisions
status "signals of a corpus are measured" 0 "$rodnik" corpus signals "$work/out" --threads 1
cp "$work/out/signals.bin" "$work/one"
status "signals are measured by two threads" 0 "$rodnik" corpus signals "$work/out" --threads 2
if cmp -s "$work/one" "$work/out/signals.bin"; then ok "signals do not depend on threads"; else failed "signals do not depend on threads" "the files differ"; fi
status "a profile decides" 0 "$rodnik" corpus decide "$work/out" --profile web-ru --json
if grep -q '"repetition.top_3_max": 3' "$work/stdout"; then ok "reasons are counted"; else failed "reasons are counted" "$(cat "$work/stdout")"; fi
status "plain keeps what web-ru does not" 0 "$rodnik" corpus decide "$work/out" --profile plain --json
if grep -q '"kept": 3' "$work/stdout"; then ok "plain keeps them"; else failed "plain keeps them" "$(cat "$work/stdout")"; fi
"$rodnik" corpus decide --profile web-ru --show >"$work/own.ini"
status "a profile that was printed is read" 0 "$rodnik" corpus decide "$work/out" --profile "$work/own.ini"
status "a profile that is not there is refused" 2 "$rodnik" corpus decide "$work/out" --profile web-xx
head -c 100 "$work/one" >"$work/out/signals.bin"
status "a cut file of signals is refused" 1 "$rodnik" corpus decide "$work/out" --profile web-ru
status "the language of a file is told" 0 "$rodnik" corpus language tell "$work/in/1.txt"
if grep -q '^ru ' "$work/stdout"; then ok "it is Russian"; else failed "it is Russian" "$(cat "$work/stdout")"; fi
status "a language needs a label" 2 "$rodnik" corpus language train --out "$work/model" "$work/in/1.txt"
