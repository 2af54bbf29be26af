#!/bin/sh
# Fetches the demo's default texts: scripts/corpus-default.sh FOLDER
# Packages of scripts/corpus-packages.txt go to FOLDER/packages (kept: a second run needs no network), their texts as JSON lines to
# FOLDER/texts.  Nothing is installed.
set -eu
out=$1
list=scripts/corpus-packages.txt
stamp="$out/complete"
made_from=$(cat "$list" scripts/extract_docs.py | cksum)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$made_from" ] && exit 0

mkdir -p "$out/packages" "$out/texts"
packages=$(sed 's/#.*//' "$list" | awk 'NF { print $1 }')
missing=""
for package in $packages; do
    ls "$out/packages/${package}"_*.deb >/dev/null 2>&1 || missing="$missing $package"
done
if [ -n "$missing" ]; then
    echo "default texts: downloading the documentation packages$missing"
    command -v apt-get >/dev/null || {
        echo "default texts: there is no apt-get here; name your own texts: rodnik demo --corpus FOLDER" >&2; exit 1; }
    download() {
        for package in $missing; do
            ls "$out/packages/${package}"_*.deb >/dev/null 2>&1 && continue
            (cd "$out/packages" && apt-get -o APT::Sandbox::User=root download -qq "$package" >/dev/null 2>&1) || true
        done
    }
    download
    for package in $missing; do
        ls "$out/packages/${package}"_*.deb >/dev/null 2>&1 && continue
        [ "$(id -u)" = 0 ] && apt-get update -qq >/dev/null 2>&1 || sudo -n apt-get update -qq >/dev/null 2>&1 || true
        download
        break
    done
fi
ls "$out"/packages/*.deb >/dev/null 2>&1 || {
    echo "default texts: no package could be downloaded; name your own texts: rodnik demo --corpus FOLDER" >&2; exit 1; }

work=$(mktemp -d "$out/unpack.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
sed 's/#.*//' "$list" | awk 'NF { print $1, $2 }' | while read -r package language; do
    deb=$(ls "$out/packages/${package}"_*.deb 2>/dev/null | tail -n 1)
    [ -n "$deb" ] || { echo "default texts: $package is not to be had; going on without it"; continue; }
    version=$(dpkg-deb -f "$deb" Version)
    license=$(awk -v p="$package" '$1 == p { $1 = $2 = ""; sub(/^ +/, ""); print }' "$list")
    rm -rf "$work/tree" && mkdir "$work/tree" && dpkg-deb -x "$deb" "$work/tree"
    python3 scripts/extract_docs.py "$work/tree" "$package" "$version" "$language" "$license" > "$work/part.jsonl"
    mv "$work/part.jsonl" "$out/texts/$package.jsonl"
done
echo "$made_from" > "$stamp"
echo "default texts: $(du -cb "$out"/texts/*.jsonl | tail -n 1 | awk '{ printf "%.1f MB", $1 / 1e6 }') in $out/texts"
