#!/usr/bin/env bash
# Our matrix products beside oneDNN's (Debian's libdnnl), in turn, on the same cases: scripts/peers.sh [ROUNDS]
# Installs libdnnl-dev.  Meaningful on a machine that is otherwise idle, at high priority (chrt -f 5).
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc)}
dpkg -s libdnnl-dev >/dev/null 2>&1 || { echo "installing libdnnl-dev"; $([ "$(id -u)" = 0 ] || echo sudo) apt-get install -y -qq libdnnl-dev >/dev/null; }
mkdir -p build/peers
gcc -O2 tests/peers/onednn.c -o build/peers/onednn -ldnnl -lm
ours() { build/rodnik bench kernels --only "$1 " --json | tail -1 | sed -E 's/.*"value": ([0-9.]+).*"limit": ([0-9.]+).*"fraction": ([0-9.]+).*/\1 GFLOP\/s, \3 of \2/'; }
for _ in $(seq "$rounds"); do
    for type in f32 bf16; do
        echo "$type: rodnik $(ours $type)"
        # without AMX, whose sums have another order than any other unit's
        echo "$type: oneDNN $(ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 build/peers/onednn $type | tail -1 | sed -E 's/.*: //')"
    done
done
