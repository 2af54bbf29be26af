#!/bin/sh
# The mechanical rules of docs/style.md.  Exceptions, each with its reason: scripts/style-exceptions.txt
set -u
bad=0
report() { echo "$1"; bad=1; }
excepted() { grep -q "^$1:" scripts/style-exceptions.txt; }
sources=$(ls src/*/*.c src/*/*.h | grep -v unicode_tables.c)

for file in $sources; do
    lines=$(wc -l < "$file")
    [ "$lines" -le 1000 ] || report "$file: $lines lines, allowed are 1000"
done

# Lines of more than 100 characters, outside places where clang-format is off.
for file in $sources $(ls tests/*/*.[ch] fuzz/*.c 2>/dev/null); do
    long=$(sed '/clang-format off/,/clang-format on/s/.*//' "$file" | LC_ALL=C.UTF-8 grep -nE '^.{101,}' | cut -d: -f1)
    for line in $long; do report "$file:$line: more than 100 columns"; done
done

# Functions: from a line that starts with a name and is followed by "{" alone, to "}" alone.
for file in $(echo "$sources" | grep '\.c$'); do
    awk -v file="$file" '
        /^[a-zA-Z_].*\(/ { head = $0; start = FNR }
        /^    .*\)$/ && head != "" { head = head $0 }
        /^\{$/ { inside = 1; begin = FNR
            list = head; sub(/^[^(]*\(/, "", list); count = gsub(/,/, ",", list) + 1
            name = head; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name)
            if (count > 6) print file ":" start ": " name " has " count " parameters|" name }
        /^\}$/ { if (inside && FNR - begin + 1 > 70) print file ":" begin ": a function of " FNR - begin + 1 " lines|" name
            inside = 0; head = "" }' "$file" |
    while IFS='|' read -r message name; do
        grep -q "^$name:" scripts/style-exceptions.txt || echo "$message"
    done
done > /tmp/rodnik-style.$$
if [ -s /tmp/rodnik-style.$$ ]; then cat /tmp/rodnik-style.$$; bad=1; fi
rm -f /tmp/rodnik-style.$$

grep -nE '\b(malloc|calloc|realloc|free)\(' $(echo "$sources" | grep -v '^src/base/') | grep -vE '^src/cli/cmd_chat.c' &&
    report "memory is taken and given in src/base only"
grep -nE '\b(printf|puts|putchar|exit|abort)\(' $(echo "$sources" | grep -vE '^src/cli/|^src/base/error.c') &&
    report "results are printed and the process ended in src/cli only"
grep -rnE '\b(TODO|FIXME|XXX)\b' src tests fuzz && report "unfinished marks"
if git rev-parse --git-dir >/dev/null 2>&1; then
    git grep -nE '/(work|root)/' -- . ':!scripts/style.sh' && report "paths of one machine"
fi

# A .c file includes its own header first, where there is one.
for file in $(echo "$sources" | grep '\.c$'); do
    header=${file%.c}.h
    [ -f "$header" ] || continue
    first=$(grep -m1 '^#include' "$file")
    [ "$first" = "#include \"${header#src/}\"" ] || report "$file: its own header does not come first"
done

# Mutable objects with static storage, seen in the objects that were built.
for object in $(ls build/*/*.o 2>/dev/null); do
    objdump -t "$object" | awk -v object="$object" '
        NF >= 5 && $(NF-2) ~ /^\.(data|bss)/ && $(NF-2) !~ /rel\.ro/ && / O / { print object ": " $NF " is a mutable global" }'
done | grep -vE '^build/base/(log|thread)\.o' > /tmp/rodnik-style.$$
while read -r _ name _; do
    grep -q "^${name%.*}:" scripts/style-exceptions.txt || report "$name is a mutable global"
done < /tmp/rodnik-style.$$
rm -f /tmp/rodnik-style.$$

if command -v clang-format >/dev/null; then
    clang-format --dry-run -Werror $(ls src/*/*.[ch] tests/*/*.[ch] fuzz/*.c | grep -v unicode_tables.c) >/tmp/rodnik-style.$$ 2>&1 ||
        { grep -E 'error:' /tmp/rodnik-style.$$ | head -10; report "clang-format would change these (make format)"; }
    rm -f /tmp/rodnik-style.$$
fi
exit $bad
