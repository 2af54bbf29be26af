#!/bin/bash
# Two hosts: network namespaces with a cable between them, processes over TCP.  The state is that of
# one process; a cable that is cut in mid-step ends everything on both hosts with one sentence, and
# the run goes on from its last checkpoint.  Everything made here has this process's number in its
# name and is removed.  Prints "ok NAME", "FAILED NAME: why" or "skipped NAME: why" lines.
# usage: tests/scripts/hosts_test.sh     $RODNIK is the program built without MPI
set -u
root=$(dirname "$(dirname "$(dirname "$(realpath "$0")")")")
rodnik=$(realpath "${RODNIK:-$root/build/rodnik}")
cd "$root" || exit 1
name=rodnik$$
cable=rk$$c
failures=0
passed() { echo "ok hosts: $1"; }
failed() { echo "FAILED hosts: $1: $2"; failures=$((failures + 1)); }

if ! command -v mpirun >/dev/null || ! command -v mpicc >/dev/null; then
    echo "skipped hosts: no mpirun or no mpicc"
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v ip >/dev/null || ! ip netns add "$name-1" 2>/dev/null; then
    echo "skipped hosts: network namespaces need root and ip (package iproute2)"
    exit 0
fi
work=$(mktemp -d)
ours() { # processes of this test, by their environment
    for id in $(ps -eo pid= -o comm= | awk '$2 ~ /^(mpirun|orterun|orted|prted|rodnik)$/ { print $1 }'); do
        cat "/proc/$id/environ" 2>/dev/null | tr '\0' '\n' | grep -qx "RODNIK_HOSTS_TEST=$name" && echo "$id"
    done
}
clean() {
    for id in $(ours); do kill -9 "$id" 2>/dev/null; done
    ip netns del "$name-1" 2>/dev/null
    ip netns del "$name-2" 2>/dev/null
    rm -rf "$work"
}
trap clean EXIT
if ! { ip netns add "$name-2" && ip link add "${cable}1" netns "$name-1" type veth peer name "${cable}2" netns "$name-2"; } 2>/dev/null; then
    echo "skipped hosts: no veth devices"
    exit 0
fi
for i in 1 2; do
    ip -n "$name-$i" link set lo up
    ip -n "$name-$i" addr add "10.213.7.$i/24" dev "$cable$i"
    ip -n "$name-$i" link set "$cable$i" up
done
if ! make -s -j2 MPI=1 >"$work/build.log" 2>&1; then
    echo "FAILED hosts: MPI=1 does not build: $(tail -n 1 "$work/build.log")"
    exit 1
fi
program=$root/build/variants/mpi/rodnik

# What mpirun starts instead of ssh: enters the other host.
cat >"$work/enter" <<END
#!/bin/sh
host=\$1
shift
exec ip netns exec "$name-\${host##*.}" unshare --uts sh -c "hostname host\${host##*.}; \$*"
END
chmod +x "$work/enter"
export RODNIK_HOSTS_TEST=$name
two() { # ARGUMENTS...
    timeout -s KILL 90 ip netns exec "$name-1" unshare --uts sh -c 'hostname host1; exec "$@"' sh \
        mpirun --allow-run-as-root --bind-to none --mca plm_rsh_agent "$work/enter" --mca btl tcp,self \
        --mca btl_tcp_if_include 10.213.7.0/24 --mca oob_tcp_if_include 10.213.7.0/24 \
        --host 10.213.7.1:1,10.213.7.2:1 -np 2 "$program" train "$@" --threads 1
}
settings="--set train.shards=4 --set train.checkpoint_every=20"

# shellcheck disable=SC2086
"$rodnik" train recipes/tiny.ini --out "$work/one" $settings --set train.steps=40 >"$work/one.out" 2>"$work/one.err"
# shellcheck disable=SC2086
two recipes/tiny.ini --out "$work/two" $settings --set train.steps=40 >"$work/two.out" 2>"$work/two.err"
case $(tail -n 1 "$work/one.out") in
"state sha256 "*) ;;
*) failed "one process" "$(tail -n 1 "$work/one.err")" ;;
esac
if [ "$(tail -n 1 "$work/two.out")" = "$(tail -n 1 "$work/one.out")" ]; then passed "two hosts end in the state of one"
else failed "two hosts" "$(tail -n 1 "$work/two.out") $(tail -n 1 "$work/two.err")"; fi

# A step takes some milliseconds, so a cut falls into one.  The limit is 10 s here, 30 by default.
export RODNIK_PEER_SECONDS=10
# shellcheck disable=SC2086
two recipes/tiny.ini --out "$work/cut" $settings --set train.steps=100000 >"$work/cut.out" 2>"$work/cut.err" &
for _ in $(seq 200); do
    [ -e "$work/cut/checkpoints/step-000040" ] && break
    sleep 0.1
done
ip -n "$name-1" link set "${cable}1" down
for _ in $(seq 250); do
    [ -z "$(ours)" ] && break
    sleep 0.1
done
left=$(ours)
if [ -z "$left" ]; then passed "a cut cable ends the processes and launchers of both hosts"
else failed "a cut cable" "processes $(echo "$left" | tr '\n' ' ')still run after 25 s"; fi
said=$(grep -c "process 0 of 2 (on host1) has heard nothing from process 1 (on host2) for 1[0-9] s, so the job ends; " "$work/cut.err")
if [ "$said" = 1 ]; then passed "one sentence says so"
else failed "a cut cable" "$said sentences: $(tail -n 2 "$work/cut.err" | tr '\n' ' ')"; fi

last=$(ls "$work/cut/checkpoints" | sed -n 's/^step-0*\([0-9]*\)$/\1/p' | sort -n | tail -n 1)
if [ -z "$last" ]; then failed "after the cut" "there is no checkpoint"
else
    stop=$((last + 5))
    # shellcheck disable=SC2086
    "$rodnik" train recipes/tiny.ini --out "$work/whole" $settings --set train.steps=100000 --steps $stop \
        >"$work/whole.out" 2>"$work/whole.err"
    "$rodnik" train --out "$work/cut" --steps $stop >"$work/resumed.out" 2>"$work/resumed.err"
    case $(tail -n 1 "$work/resumed.out") in
    "state sha256 "*) ;;
    *) failed "going on after the cut" "$(tail -n 1 "$work/resumed.err")" ;;
    esac
    if [ "$(tail -n 1 "$work/resumed.out")" = "$(tail -n 1 "$work/whole.out")" ]; then
        passed "the run goes on after the cut, in the state of a run that was never cut"
    else failed "going on after the cut" "$(tail -n 1 "$work/resumed.out") and $(tail -n 1 "$work/whole.out")"; fi
fi
[ "$failures" -eq 0 ]
