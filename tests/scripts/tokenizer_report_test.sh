#!/bin/sh
# rodnik tokenizer report and rodnik bench tokenizer.
# usage: tests/scripts/tokenizer_report_test.sh [build/rodnik]
set -eu
rodnik=$(realpath "${1:-build/rodnik}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ok() { echo "ok $1"; }
must() { name=$1; shift; if "$@"; then ok "$name"; else echo "FAILED $name"; exit 1; fi; }

mkdir "$work/texts"
for i in $(seq 60); do
    i=$((i + 1000))
    echo "Документ $i: ёлка и ежи, статья $i закона о лесе, зелёный шум и тёплый дождь." >"$work/texts/ru$i.txt"
    echo "Document $i: hedgehogs and trees, section $i of the forest act, green noise." >"$work/texts/en$i.txt"
done
"$rodnik" corpus build --out "$work/corpus" --minimum 10 "$work/texts" >/dev/null
"$rodnik" tokenizer train --corpus "$work/corpus" --vocab 420 --out "$work/with.json" >/dev/null
"$rodnik" tokenizer train --corpus "$work/corpus" --vocab 420 --upper-case-every 0 --out "$work/without.json" >/dev/null
cat "$work"/texts/ru*.txt >"$work/ru.txt"
"$rodnik" tokenizer report --tokenizer "$work/with.json" --compare "$work/without.json" --json "$work/ru.txt" \
    >"$work/report.jsonl"
python3 - "$work" "$rodnik" <<'END' || { echo "FAILED report"; exit 1; }
import json, subprocess, sys
work = sys.argv[1]
rows = [json.loads(line) for line in open(f"{work}/report.jsonl", encoding="utf-8")]
text = open(f"{work}/ru.txt", encoding="utf-8").read()
with_upper, without = rows[0], rows[1]
assert with_upper["characters"] == len(text) and with_upper["bytes"] == len(text.encode()), with_upper
assert with_upper["language"] == "ru" and with_upper["domain"] == "ru.txt", with_upper
assert with_upper["upper_case_ratio"] < without["upper_case_ratio"], rows
assert with_upper["digits_per_token"] == 1, rows
words = "".join(c if c.isalpha() else " " for c in text).split()
share = sum("ё" in word for word in words) / len(words)
assert abs(with_upper["yo_word_share"] - share) < 1e-4, (share, with_upper)
def tokens(name, text):
    command = [sys.argv[2], "tokenizer", "encode", "--tokenizer", name]
    return len(subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, check=True).stdout.split())
for row, name in ((with_upper, "with"), (without, "without")):
    path = f"{work}/{name}.json"
    count = tokens(path, text)
    assert row["tokens"] == count, (row, count)
    assert abs(row["upper_case_ratio"] - tokens(path, text.upper()) / count) < 1e-3, row
    yo = (count - tokens(path, text.replace("ё", "е"))) / sum("ё" in word for word in words)
    assert abs(row["yo_tokens_per_word"] - yo) < 1e-3, (row, yo)
dead = rows[-1]
assert 0 < dead["dead_tokens"] < dead["vocabulary"] == 420, dead  # those of English
END
ok "report counts what encode gives"
"$rodnik" tokenizer report --tokenizer "$work/with.json" --corpus "$work/corpus" --json >"$work/corpus.jsonl"
must "the text that was learnt from leaves fewer tokens dead than a part of it" python3 -c '
import json, sys
part, whole = (json.loads(open(path).readlines()[-1])["dead_tokens"] for path in sys.argv[1:])
assert whole < part, (whole, part)
' "$work/report.jsonl" "$work/corpus.jsonl"
"$rodnik" tokenizer report --tokenizer "$work/with.json" --compare "$work/without.json" "$work/ru.txt" >"$work/table"
must "the table names what is in it" grep -q 'characters per token' "$work/table"
if "$rodnik" tokenizer report --tokenizer "$work/with.json" 2>"$work/error"; then echo "FAILED no text"; exit 1; fi
must "a report without text is refused" grep -q 'a text or --corpus DIR' "$work/error"

"$rodnik" bench tokenizer --json --text "$work/ru.txt" >"$work/bench.jsonl"
must "the benchmark prints rows with limits" python3 -c '
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
assert len(rows) == 10 and all(r["bench"] == "tokenizer" and r["value"] > 0 and r["limit"] > 0 for r in rows), rows
' "$work/bench.jsonl"
