#!/bin/sh
# Checks that modules include their own folder or lower floors of src/LAYERS only; siblings never.
set -eu
awk '
FNR == NR { for (i = 1; i <= NF; i++) floor[$i] = FNR; next }
/^#include "/ {
    split(FILENAME, part, "/"); own = part[2]
    include = $2; gsub(/"/, "", include); split(include, to, "/"); other = to[1]
    if (!(own in floor)) { print FILENAME ": the module " own " is not in src/LAYERS"; bad = 1; next }
    if (other == own || !(other in floor)) next
    if (floor[other] >= floor[own]) {
        print FILENAME ":" FNR ": " own " (floor " floor[own] ") includes " include " (floor " floor[other] ")"
        bad = 1
    }
}
END { exit bad }
' src/LAYERS src/*/*.c src/*/*.h
