#!/usr/bin/env bash
# The same bits on every instruction set, number of threads and processes, compiler, level of optimization
# and processor, however a batch is cut, a run stopped or a prompt fed.
# usage: scripts/exact.sh short|long     prints "ok ...", "FAILED ...", "skipped ..." lines, then a table of
# builds by kinds (how many combinations were equal) and the one hash of each kind
set -u
cd "$(dirname "$0")/.." || exit 1
mode=${1:-long}
out=build/exact-runs
rm -rf $out
mkdir -p $out
failed=0 jobs=0 builds=() kinds=(operations train inference small run-muon run-adamw)
declare -A wanted reference equal tried labels

# ---- combinations run two at a time; what they wrote is compared when a build's are through ----

# job BUILD KIND WAY COMMAND...: the hash of what the command writes, one combination of a kind
job() {
    local file
    jobs=$((jobs + 1))
    file=$(printf '%s/%04d' $out $jobs)
    labels[$file]="$1|$2|$3"
    shift 3
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
    (
        "$@" 2>"$file.err" | sha256sum | cut -c1-64 >"$file.hash"
        echo "${PIPESTATUS[0]}" >"$file.status"
    ) &
}

# The first hash of a kind is the reference; where a later one differs, its sections tell at what.
settle() {
    local file build kind way hash status
    wait
    for file in $(printf '%s\n' "${!labels[@]}" | sort); do
        IFS='|' read -r build kind way <<<"${labels[$file]}"
        hash=$(cat "$file.hash") status=$(cat "$file.status")
        [[ " ${builds[*]} " == *" $build "* ]] || builds+=("$build")
        unset "labels[$file]"
        if [ "$status" = 77 ]; then
            echo "skipped exact $kind, $build, $way: not on this processor"
            continue
        fi
        tried[$build,$kind]=$((${tried[$build,$kind]:-0} + 1))
        if [ "$status" != 0 ]; then
            echo "FAILED exact $kind, $build, $way: $(tail -n 1 "$file.err")"
            failed=1
            continue
        fi
        : "${wanted[$kind]:=$hash}" "${reference[$kind]:=$file.err}"
        if [ "$hash" = "${wanted[$kind]}" ]; then
            equal[$build,$kind]=$((${equal[$build,$kind]:-0} + 1))
            echo "ok exact $kind, $build, $way"
        else
            echo "FAILED exact $kind, $build, $way: $hash; first in $(diff "${reference[$kind]}" "$file.err" | sed -n '2s/< //p')"
            failed=1
        fi
    done
}

build() { # NAME VARIABLES...
    local name=$1
    shift
    make -s -j2 "$@" >"$out/$name.log" 2>&1 && return
    echo "FAILED exact: $name does not build: $(tail -n 1 "$out/$name.log")"
    failed=1
    return 1
}

# ---- tests/exact: operations, training, inference, for any processor ----

# program BUILD PATH RUNNER ISAS: one kind each on every instruction set
program() {
    local name=$1 path=$2 runner=$3 isa kind
    for isa in $4; do
        for kind in operations train inference small; do
            job "$name" $kind "$isa" env RODNIK_ISA="$isa" $runner "$path" $kind 2
        done
    done
}

# ways BUILD PATH: threads, both ways of bf16 products, micro-batches, feedings
ways() {
    local name=$1 path=$2 threads way kind isa
    for threads in 1 3 8; do
        for kind in operations train inference; do job "$name" $kind "$threads threads" "$path" $kind $threads; done
    done
    for way in dot widened; do
        for kind in operations train inference small; do
            job "$name" $kind "avx512bf16, $way" env RODNIK_ISA=avx512bf16 "$path" $kind 2 $way
        done
    done
    for isa in $([ "$mode" = long ] && echo "$all" || echo scalar); do
        for way in micro=1 recompute "micro=1 recompute"; do
            job "$name" train "$isa, $way" env RODNIK_ISA="$isa" "$path" train 2 $way
        done
        for way in single pieces together neighbours; do
            job "$name" inference "$isa, $way" env RODNIK_ISA="$isa" "$path" inference 2 $way
        done
    done
}

# ---- whole runs of the program: the state's hash that it prints ----

settings="--set train.shards=4 --set train.steps=12 --set train.checkpoint_every=4"
adamw="--set optimizer.matrix_optimizer=adamw --set train.precision=f32 --set model.tied=true --set model.qk_norm=false
--set data.document_mask=false --set train.recompute=true --set train.micro_batch=1
--set train.batch=16 --set train.batch_start=4 --set train.ramp=0.7 --set optimizer.decay_shape=cosine"

state_of() { # COMMAND...: its last line, which names the state; errors otherwise
    local last
    local errors
    errors=$(mktemp)
    last=$("$@" 2>"$errors" | tail -n 1)
    case $last in
    "state sha256 "*) echo "${last#state sha256 }"; rm -f "$errors" ;;
    *) echo "ended with '$last': $(tail -n 1 "$errors")" >&2; rm -f "$errors"; return 1 ;;
    esac
}

usable() { # ISA: the program would take the next lower one without a word
    RODNIK_ISA=$1 build/exact small 1 >/dev/null 2>&1
    [ $? != 77 ]
}

train() { # ISA FOLDER PROGRAM KIND ARGUMENTS...
    local isa=$1 folder=$2 program=$3 kind=$4 more=""
    shift 4
    [ "$kind" = run-adamw ] && more=$adamw
    [ -z "$isa" ] || usable "$isa" || return 77
    # shellcheck disable=SC2086
    RODNIK_ISA=$isa state_of $program train recipes/tiny.ini --out "$folder" $settings $more "$@"
}

processes() { # COUNT PROGRAM
    echo "mpirun --allow-run-as-root --oversubscribe --bind-to none --mca btl_vader_single_copy_mechanism none -np $1 $2"
}

# runs BUILD PROGRAM ISAS THREADS
runs() {
    local name=$1 path=$2 kind isa threads
    for kind in run-muon run-adamw; do
        for isa in $3; do job "$name" $kind "$isa" train "$isa" "$out/$name-$kind-$isa" "$path" $kind --threads 2; done
        for threads in $4; do
            job "$name" $kind "$threads threads" train "" "$out/$name-$kind-$threads" "$path" $kind --threads "$threads"
        done
    done
}

# parts FOLDER KIND [PROGRAM STEP]...: a run stopped at these steps and resumed, each time by another program
parts() {
    local folder=$1 kind=$2
    shift 2
    while [ $# -gt 2 ]; do
        train "" "$folder" "$1" "$kind" --threads 2 --steps "$2" >/dev/null || return 1
        shift 2
    done
    train "" "$folder" "$1" "$kind" --threads 1
}

resumed() { # BUILD PROGRAM
    local kind
    for kind in run-muon run-adamw; do
        job "$1" $kind "stopped at 3 and 8" parts "$out/resumed-$kind" $kind "$2" 3 "$2" 8 "$2" 12
    done
}

many() { # BUILD PROGRAM ONE-PROCESS-PROGRAM
    local kind count
    for kind in run-muon run-adamw; do
        for count in 1 2 4; do
            job "$1" $kind "$count processes" train "" "$out/$1-$kind-$count" "$(processes $count "$2")" $kind --threads 1
        done
        job "$1" $kind "2, 4, 1 processes, stopped at 3 and 8" parts "$out/$1-$kind-parts" $kind \
            "$(processes 2 "$2")" 3 "$(processes 4 "$2")" 8 "$3" 12
    done
}

# ---- the matrix ----

all="scalar avx2 avx512 avx512bf16"
[ "$(uname -m)" = x86_64 ] || all=scalar

if build gcc-O3 build/exact build/rodnik; then
    program gcc-O3 build/exact "" "$all"
    ways gcc-O3 build/exact
    runs gcc-O3 build/rodnik "$([ "$mode" = long ] && echo "$all" || echo "scalar")" "1 2 3 8"
    resumed gcc-O3 build/rodnik
    settle
fi
if ! command -v mpicc >/dev/null || ! command -v mpirun >/dev/null; then
    echo "skipped exact processes: no mpicc or no mpirun"
elif build gcc-O3-MPI MPI=1 build/variants/mpi/rodnik; then
    many gcc-O3-MPI build/variants/mpi/rodnik build/rodnik
    settle
fi
if ! command -v clang >/dev/null; then
    echo "skipped exact clang: it is not installed"
elif build clang-O3 CC=clang build/variants/clang/exact build/variants/clang/rodnik; then
    program clang-O3 build/variants/clang/exact "" "$all"
    runs clang-O3 build/variants/clang/rodnik "" 2
    settle
fi
if [ "$mode" = long ]; then
    for compiler in gcc clang; do
        command -v $compiler >/dev/null || continue
        for level in O0 O1 O2; do
            folder=build/variants/$compiler-$level targets="$folder/exact"
            [ $level = O1 ] && targets="$targets $folder/rodnik"
            # shellcheck disable=SC2086
            build $compiler-$level CC=$compiler BUILD=$folder CFLAGS=-$level $targets || continue
            program $compiler-$level $folder/exact "" "$all"
            [ $level = O1 ] && runs $compiler-$level $folder/rodnik "" 2
            settle
        done
    done
fi
# a second implementation, written from docs/numerics.md
if command -v python3 >/dev/null; then job second.py small python3 python3 tests/exact/second.py
else echo "skipped exact second.py: no python3"; fi
for machine in aarch64 riscv64; do
    if ! command -v "$machine-linux-gnu-gcc" >/dev/null || ! command -v "qemu-$machine" >/dev/null; then
        echo "skipped exact $machine: no cross compiler or no qemu-$machine"
        continue
    fi
    path=build/variants/$machine-linux-gnu-gcc/exact
    build $machine-gcc CC="$machine-linux-gnu-gcc" "$path" || continue
    program $machine-gcc "$path" "qemu-$machine" scalar
    [ "$mode" = long ] && for way in single pieces together neighbours; do
        job $machine-gcc inference "$way" "qemu-$machine" "$path" inference 3 $way
    done
done
settle

# ---- the table ----

printf '\n%-14s' "equal of tried"
printf '%14s' "${kinds[@]}"
echo
for name in "${builds[@]}"; do
    printf '%-14s' "$name"
    for kind in "${kinds[@]}"; do
        cell=-
        [ -n "${tried[$name,$kind]:-}" ] && cell="${equal[$name,$kind]:-0} of ${tried[$name,$kind]}"
        printf '%14s' "$cell"
    done
    echo
done
for kind in "${kinds[@]}"; do echo "$kind sha256 ${wanted[$kind]:-none}"; done
exit $failed
