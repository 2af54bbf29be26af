#!/bin/sh
# Hugging Face's `tokenizers` must read the tokenizer.json that rodnik writes and give the same ids.
# usage: tests/scripts/tokenizer_hf_test.sh [build/rodnik]
# Prints "skipped: ..." where the Python package cannot be installed.
set -eu
rodnik=$(realpath "${1:-build/rodnik}")
here=$(dirname "$(realpath "$0")")
environment=${RODNIK_PYTHON:-build/tests/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! "$environment/bin/python" -c 'import tokenizers' 2>/dev/null; then
    install() {
        python3 -m venv "$environment" &&
            "$environment/bin/pip" install -q --retries 0 --timeout 20 tokenizers
    }
    if ! install >"$work/log" 2>&1; then
        echo "skipped: the Python package tokenizers cannot be installed"
        exit 0
    fi
fi
"$environment/bin/python" "$here/tokenizer_hf_test.py" texts "$work/texts.jsonl"
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }; }
quietly "$rodnik" corpus build --out "$work/corpus" "$work/texts.jsonl"
quietly "$rodnik" tokenizer train --corpus "$work/corpus" --vocab 4096 --out "$work/tokenizer.json"
"$environment/bin/python" "$here/tokenizer_hf_test.py" strings "$work/strings"
"$rodnik" tokenizer encode --tokenizer "$work/tokenizer.json" --specials --strings --json \
    "$work/strings" >"$work/ids"
"$environment/bin/python" "$here/tokenizer_hf_test.py" compare "$work/tokenizer.json" \
    "$work/strings" "$work/ids"
