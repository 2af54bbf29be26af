#!/bin/sh
# rodnik guard as people use it: files, folders, pipes.  Prints "ok NAME" or "FAILED NAME: why" lines.
# usage: tests/scripts/guard_test.sh     $RODNIK is the program (default build/rodnik)
set -u
root=$(dirname "$(dirname "$(dirname "$(realpath "$0")")")")
rodnik=$(realpath "${RODNIK:-$root/build/rodnik}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

ok() { echo "ok guard: $1"; }
failed() { echo "FAILED guard: $1: $2"; }
status() { # NAME WANTED COMMAND...
    name=$1 wanted=$2
    shift 2
    timeout 20 "$@" >stdout 2>stderr
    got=$?
    if [ "$got" -eq "$wanted" ]; then ok "$name"; else failed "$name" "status $got, wanted $wanted: $(tail -n 1 stderr)"; fi
}
equal() { # NAME WANTED FOUND
    if [ "$2" = "$3" ]; then ok "$1"; else failed "$1" "wanted '$2', found '$3'"; fi
}

mkdir -p in/below
printf 'Звоните: 8 926 850-56-03, Анна Сергеевна Иванова.\n' >in/phone.txt
printf 'карта 2200123456789019\n' >in/below/card.txt
printf 'ничего\n' >in/plain.txt
printf '\377\376\0\1' >in/binary.bin
: >in/empty.txt
ln -s .. in/below/up

status "a pipe is masked" 0 "$rodnik" guard mask <in/phone.txt
equal "the masked text is right" 'Звоните: [PHONE], [PERSON].' "$(cat stdout)"
status "one finding a line as JSON" 0 "$rodnik" guard scan --json --types phone in/phone.txt
equal "type, start, end, confidence, reason" \
    '{"path": "in/phone.txt", "type": "phone", "start": 16, "end": 31, "confidence": 0.97, "reason": "Russian form and context"}' "$(cat stdout)"
status "a folder with a binary file is read to its end" 1 "$rodnik" guard scan in
equal "the binary file is named" 1 "$(grep -c 'in/binary.bin: no UTF-8 text' stderr)"
equal "all else is found" 3 "$(wc -l <stdout)"
if grep -rqE '926|2200|Анна' stdout stderr; then failed "no value is printed" "found one"; else ok "no value is printed"; fi
rm in/binary.bin
status "a folder is masked into another" 0 "$rodnik" guard mask --json --out masked in
equal "masked files lie where they lay" "$(cd in && find . -type f | sort)" "$(cd masked && find . -type f | sort)"
equal "a file without findings stays as it is" "$(cat in/plain.txt)" "$(cat masked/plain.txt)"
equal "the card is masked" 'карта [CARD]' "$(cat masked/below/card.txt)"
equal "counts by document" 1 "$(grep -c '"in/phone.txt", "dropped": false, "replaced": 2, "found": {"person": 1, "phone": 1}' stdout)"
status "nothing is overwritten" 1 "$rodnik" guard mask --out masked in
status "a document is dropped by policy" 0 "$rodnik" guard mask --policy person=keep,card=drop --out dropped in
equal "it is left out" absent "$([ -e dropped/below/card.txt ] && echo there || echo absent)"
equal "the name is kept" 'Звоните: [PHONE], Анна Сергеевна Иванова.' "$(cat dropped/phone.txt)"
status "--types alone replaces what it names" 0 "$rodnik" guard mask --types url in/plain.txt
printf 'https://example.org/x and 8 926 850-56-03' | "$rodnik" guard mask --types url >stdout 2>/dev/null
equal "and nothing else" '[URL] and 8 926 850-56-03' "$(cat stdout)"
status "an unknown type is wrong usage" 2 "$rodnik" guard scan --types fone in
status "an unknown action is wrong usage" 2 "$rodnik" guard mask --policy phone=hide in
status "--json to standard output with the text is wrong usage" 2 "$rodnik" guard mask --json in
status "a file that is not there fails" 1 "$rodnik" guard scan absent.txt
status "an unknown verb is wrong usage" 2 "$rodnik" guard hide
status "help" 0 "$rodnik" guard scan --help
printf '\377' | "$rodnik" guard mask >stdout 2>stderr
equal "a pipe that is no text fails" 1 $?
status "an empty pipe" 0 "$rodnik" guard mask </dev/null
"$rodnik" guard scan --json in >first 2>/dev/null
"$rodnik" guard scan --json in >second 2>/dev/null
if cmp -s first second; then ok "the same twice"; else failed "the same twice" "two runs differ"; fi
