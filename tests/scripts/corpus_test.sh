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

# Settings from a file
printf '[corpus]\n' >"$work/empty.ini"
"$rodnik" corpus build --out "$work/plain" "$work/in" >/dev/null 2>&1
status "a file of settings is read" 0 "$rodnik" corpus build --config "$work/empty.ini" --out "$work/same" "$work/in"
if cmp -s "$work/plain/manifest.json" "$work/same/manifest.json"; then ok "its defaults are those of the options"; else failed "its defaults are those of the options" "other manifests"; fi
printf '[corpus]\nlicense = CC0\nminimum = 100\n' >"$work/own.ini"
status "options go before the file" 0 "$rodnik" corpus build --config="$work/own.ini" --minimum 64 --out "$work/same" "$work/in"
if grep -q '"license":"CC0"' "$work/same/documents.jsonl" && grep -q '"minimum_bytes":.64' "$work/same/manifest.json"; then ok "both count"; else failed "both count" "$(head -n 1 "$work/same/documents.jsonl")"; fi
printf '[corpus]\nminimal = 100\n' >"$work/own.ini"
status "an unknown key is refused" 2 "$rodnik" corpus build --config "$work/own.ini" --out "$work/same" "$work/in"

# What a terminal would obey
mkdir "$work/escapes"
cp "$work/in/1.txt" "$work/escapes/$(printf 'a\033[31m.txt')"
cp "$work/in/random.bin" "$work/escapes/$(printf 'b\033[31m.bin')"
"$rodnik" corpus build --held-out 0 --out "$work/visible" "$work/escapes" >/dev/null 2>&1
"$rodnik" corpus show "$work/visible" >"$work/stdout" 2>&1
"$rodnik" corpus prove "$work/visible" --document "$work/escapes" >/dev/null 2>>"$work/stdout"
if grep -q 'b?.31m.bin is of an unknown kind' "$work/stdout" && ! grep -q "$(printf '\033')" "$work/stdout"; then ok "names can't speak to the terminal"
else failed "names can't speak to the terminal" "$(tail -n 3 "$work/stdout" | cat -v)"; fi

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

# Lineage: proofs, forgetting, showing
"$rodnik" corpus build --held-out 0 --out "$work/out" "$work/in" >/dev/null 2>&1
printf 'Этого текста в собрании нет и не было, и никто его не читал.\n' >"$work/other.txt"
status "membership is proven" 0 "$rodnik" corpus prove "$work/out" --document "$work/in/2.txt" --out "$work/member.json"
status "the same text in CP1251 is the same member" 0 "$rodnik" corpus check-proof "$work/member.json" --document "$work/in/cp1251.txt"
status "a proof of membership holds" 0 "$rodnik" corpus check-proof "$work/member.json" --document "$work/in/2.txt"
if grep -q '^proven: .* was read into the corpus .* stands there as document' "$work/stdout"; then ok "it says what is proven"; else failed "it says what is proven" "$(cat "$work/stdout")"; fi
status "non-membership is proven" 0 "$rodnik" corpus prove "$work/out" --document - --out "$work/absent.json" <"$work/other.txt"
status "a proof of non-membership holds" 0 "$rodnik" corpus check-proof "$work/absent.json" --document "$work/other.txt"
if grep -q '^proven: .* is not among the texts that are in' "$work/stdout"; then ok "it says that nothing is there"; else failed "it says that nothing is there" "$(cat "$work/stdout")"; fi
status "a proof about another text is refused" 1 "$rodnik" corpus check-proof "$work/absent.json" --document "$work/in/1.txt"
status "a proof about another root is refused" 1 "$rodnik" corpus check-proof "$work/absent.json" --root "$(printf '0%.0s' $(seq 64))"
sed 's/"index":[0-9]*/"index":2/' "$work/member.json" | sed 's/"keys":3/"keys":4/' >"$work/forged.json"
status "a forged proof is refused" 1 "$rodnik" corpus check-proof "$work/forged.json"
status "a document that is no file and no id is refused" 2 "$rodnik" corpus prove "$work/out" --document nowhere.txt
status "the data card is written" 0 "$rodnik" corpus card "$work/out" --provider "Town archive" --out "$work/card.md"
if grep -q 'Provider\*\*: Town archive' "$work/card.md"; then ok "the card has its fields"; else failed "the card has its fields" "$(head -5 "$work/card.md")"; fi
status "a page of the corpus is written" 0 "$rodnik" corpus show "$work/out" --html "$work/page.html"
if grep -q '<svg' "$work/page.html" && ! grep -q 'http-equiv\|<script\|src=' "$work/page.html"; then ok "it stands alone"; else failed "it stands alone" "no svg, or something from outside"; fi
status "one document is shown with its cluster" 0 "$rodnik" corpus show "$work/out" --document 2.txt
if grep -q 'cp1251.txt: left out, .*duplicate' "$work/stdout"; then ok "the cluster is named"; else failed "the cluster is named" "$(cat "$work/stdout")"; fi
status "forgetting can be tried" 0 "$rodnik" corpus forget "$work/out" --document "$work/in/1.txt" --dry-run
status "a document is forgotten" 0 "$rodnik" corpus forget "$work/out" --document "$work/in/1.txt" --reason "a test"
status "it is forgotten once" 2 "$rodnik" corpus forget "$work/out" --document "$work/in/1.txt"
status "a proof that it is gone is made" 0 "$rodnik" corpus prove "$work/out" --document "$work/in/1.txt" --out "$work/gone.json"
if grep -q '^1.txt: was read and left out: forgotten' "$work/stderr"; then ok "why it is not there is said"; else failed "why it is not there is said" "$(cat "$work/stderr")"; fi
status "what was forgotten is not a member" 0 "$rodnik" corpus check-proof "$work/gone.json"
if grep -q 'is not among' "$work/stdout"; then ok "it is proven to be gone"; else failed "it is proven to be gone" "$(cat "$work/stdout")"; fi
if grep -a -q 'номер 1' "$work/out/texts.bin"; then failed "its text is gone" "texts.bin holds it"; else ok "its text is gone"; fi
status "tombstones are an opt-out list" 0 "$rodnik" corpus forget "$work/out" --tombstones
if grep -q '^sha256:[0-9a-f]\{64\}$' "$work/stdout"; then ok "of hashes"; else failed "of hashes" "$(cat "$work/stdout")"; fi
status "what is left is verified" 0 "$rodnik" corpus show "$work/out" --verify
printf 'x' | dd of="$work/out/texts.bin" bs=1 seek=40 conv=notrunc 2>/dev/null
status "a changed text is found" 1 "$rodnik" corpus show "$work/out" --verify
head -c 300 "$work/out/manifest.json" >"$work/cut" && cp "$work/cut" "$work/out/manifest.json"
status "a cut manifest is refused" 1 "$rodnik" corpus show "$work/out"
