#!/bin/sh
# Installs the Debian packages that a purpose needs: scripts/setup.sh build|check
# Asks nothing, installs only what is missing, and does without the network when nothing is.
set -eu
packages="gcc make git libc6-dev libcjson-dev libinih-dev libmicrohttpd-dev libssl-dev libxxhash-dev
libzstd-dev libarchive-dev zlib1g-dev libutf8proc-dev libidn2-dev libedit-dev xz-utils p7zip-full curl python3"
[ "${1:-build}" = check ] && packages="$packages clang libclang-rt-14-dev clang-format libcmocka-dev
libpcre2-dev unicode-data chromium chromium-driver python3-venv zstd gcc-aarch64-linux-gnu
libc6-dev-arm64-cross gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-user
libopenmpi-dev openmpi-bin time poppler-utils"

missing=""
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null; then
    echo "setup: this is no Debian; please install what corresponds to:$missing"
    exit 0
fi
root=""
[ "$(id -u)" = 0 ] || root="sudo"
echo "setup: installing$missing"
log=$(mktemp)
install() {
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
}
$root apt-get update -qq || true
install >"$log" 2>&1 || { sleep 3; $root apt-get update -qq || true
    install >"$log" 2>&1; } || { tail -5 "$log" >&2; rm -f "$log"
    echo "setup: these packages could not be installed:$missing" >&2; exit 1; }
rm -f "$log"
