#!/bin/sh
# Hugging Face's `tokenizers` and llama.cpp must read what rodnik writes and give the same ids, and
# rodnik the ids of tiktoken from its tables of ranks and those of llama.cpp's own test vectors.
# usage: tests/scripts/tokenizer_peers_test.sh [build/rodnik]
# RODNIK_STRINGS=1000000: that many strings are drawn for each vocabulary (default 4000), and every
# code point is tried in context.  Prints "skipped ..." where a Python package cannot be installed.
set -eu
rodnik=$(realpath "${1:-build/rodnik}")
here=$(dirname "$(realpath "$0")")
environment=${RODNIK_PYTHON:-build/tests/python}
strings=${RODNIK_STRINGS:-4000}
interop=../shared/data/interop
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

has() { "$environment/bin/python" -c "import $1" 2>/dev/null; }
install() { "$environment/bin/pip" install -q --retries 0 --timeout 20 --only-binary :all: "$1" >"$work/log" 2>&1; }
[ -x "$environment/bin/python" ] || python3 -m venv "$environment" >"$work/log" 2>&1 || true
for package in tokenizers xllamacpp tiktoken; do
    has $package || install $package || true
done
if ! has tokenizers; then
    echo "skipped: the Python package tokenizers cannot be installed"
    exit 0
fi
peers() { "$environment/bin/python" "$here/tokenizer_peers.py" "$@"; }
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }; }
peers texts "$work/texts.jsonl"
quietly "$rodnik" corpus build --out "$work/corpus" "$work/texts.jsonl"
quietly "$rodnik" tokenizer train --corpus "$work/corpus" --vocab 4096 --out "$work/trained.json"
peers pairs "$work/trained.json" "$work/pairs.json"
peers compare "$rodnik" "$work/trained.json" "$work" "$strings"
peers compare "$rodnik" "$work/pairs.json" "$work" "$strings"
[ "$strings" -lt 100000 ] || peers code-points "$rodnik" "$work/pairs.json" "$work"
peers files "$rodnik" "$interop" "$work"
if has tiktoken; then
    peers ranks "$rodnik" "$interop" "$work" "$((strings / 4))"
else
    echo "skipped tiktoken: the Python package cannot be installed"
fi
