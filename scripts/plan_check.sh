#!/usr/bin/env bash
# Plans beside measurements on this machine: step time and peak memory of short runs.
# usage: scripts/plan_check.sh [CASE...]   cases: gpt2 14m 5m processes (default all)
# `processes` needs the program built with MPI=1.  Prints a line a case; fails when a plan lies more
# than 20 % away.  Meaningful on a machine that is otherwise idle, at high priority (chrt -f 5).
set -uo pipefail
cd "$(dirname "$0")/.."
rodnik=build/rodnik
mpi=build/variants/mpi/rodnik
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

plain="model.qk_norm=false optimizer.matrix_optimizer=adamw data.document_mask=false train.shards=1"
short="model.context=256 train.sequence=256"
settings() {
    case $1 in
    gpt2) echo "$plain $short model.vocabulary=50304 train.batch=4 train.micro_batch=4" ;;
    14m) echo "$plain $short model.vocabulary=8192 model.layers=6 model.width=384 model.heads=6 model.kv_heads=6 model.ffn_width=1024 train.batch=8 train.micro_batch=8" ;;
    5m) echo "$short train.shards=1 model.vocabulary=6144 model.layers=6 model.width=256 model.heads=4 model.kv_heads=4 model.ffn_width=704 train.batch=64 train.micro_batch=16" ;;
    processes) echo "$plain $short train.shards=2 model.vocabulary=8192 model.layers=6 model.width=384 model.heads=6 model.kv_heads=6 model.ffn_width=1024 train.batch=16 train.micro_batch=8" ;;
    *) echo "there is no case '$1'" >&2; exit 2 ;;
    esac
}

one() { # CASE: plan, run, plan again; the plan is the mean of both, since clocks move
    local name=$1 sets=() plan=() run=("$rodnik") set
    for set in $(settings "$name"); do sets+=(--set "$set"); done
    if [ "$name" = processes ]; then
        [ -x $mpi ] || { echo "skipped processes: $mpi is not built (make MPI=1)"; return; }
        plan=(--processes 2)
        run=(mpirun --allow-run-as-root -np 2 $mpi)
    fi
    "$rodnik" plan recipes/124m.ini "${sets[@]}" "${plan[@]}" --json >"$work/before" 2>"$work/err" ||
        { echo "FAILED $name: $(tail -1 "$work/err")"; failures=$((failures + 1)); return; }
    /usr/bin/time -f %M -o "$work/rss" "${run[@]}" train recipes/124m.ini "${sets[@]}" --out "$work/$name" \
        --set data.corpus=docs --set data.vocabulary=1024 --set train.steps="${STEPS:-9}" \
        --set train.validate_every=0 --set train.validate_tokens=1 >/dev/null 2>"$work/err" ||
        { echo "FAILED $name: $(tail -1 "$work/err")"; failures=$((failures + 1)); return; }
    "$rodnik" plan recipes/124m.ini "${sets[@]}" "${plan[@]}" --json >"$work/after" 2>"$work/err" ||
        { echo "FAILED $name: $(tail -1 "$work/err")"; failures=$((failures + 1)); return; }
    python3 - "$name" "$work" <<'P' || failures=$((failures + 1))
import json, sys
name, work = sys.argv[1:]
plans = [json.load(open(f"{work}/{part}")) for part in ("before", "after")]
times = [json.loads(line)["seconds"] for line in open(f"{work}/{name}/metrics.jsonl")]
steps = sorted(b - a for a, b in zip(times, times[1:]))
step, planned = steps[len(steps) // 2], sum(plan["step_s"] for plan in plans) / 2
memory, needed = int(open(f"{work}/rss").read()) * 1024, plans[0]["process_bytes"]
good = abs(planned / step - 1) <= 0.2 and abs(needed / memory - 1) <= 0.2
print(f"{'ok' if good else 'FAILED'} {name}: a step planned {planned:.3f} s, measured {step:.3f} s ({planned / step - 1:+.1%}); "
      f"memory planned {needed / 1e9:.3f} GB, measured {memory / 1e9:.3f} GB ({needed / memory - 1:+.1%})")
sys.exit(not good)
P
}

for name in ${*:-gpt2 14m 5m processes}; do one "$name"; done
[ "$failures" -eq 0 ]
