#!/bin/sh
# Fetches the texts by which languages are learnt and tested: scripts/language-texts.sh FOLDER
# Packages of scripts/language-packages.txt go to FOLDER/packages (kept: a second run needs no network); texts to FOLDER/learn,
# FOLDER/held-out (from the same packages) and FOLDER/test (from others), LABEL.txt each.  Nothing is installed.
set -eu
out=$1
list=scripts/language-packages.txt
here=$PWD
mkdir -p "$out/packages"
out=$(cd "$out" && pwd)

packages_for() { # USE: names, LANG replaced
    sed 's/#.*//' "$list" | awk -v use="$1" '$2 == use { print $1 }' | while read -r package; do
        case $package in
        *LANG) for language in ru uk be bg sr kk en-gb de fr es es-es mk pl cs it pt pt-pt pt-br tr; do
                   echo "$package" | sed "s/LANG/$language/"
               done ;;
        *) echo "$package" ;;
        esac
    done
}

missing=""
for package in $(packages_for learn) $(packages_for test); do
    ls "$out/packages/${package}"_*.deb >/dev/null 2>&1 && continue
    apt-cache show "$package" >/dev/null 2>&1 && missing="$missing $package"
done
for package in $missing; do
    echo "language texts: downloading $package"
    (cd "$out/packages" && apt-get -o APT::Sandbox::User=root download -qq "$package") ||
        echo "language texts: $package is not to be had; going on without it"
done

work=$(mktemp -d "$out/unpack.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
rm -rf "$out/learn" "$out/held-out" "$out/test"
for use in learn test; do
    rm -rf "${work:?}/trees" && mkdir "$work/trees"
    for package in $(packages_for $use); do
        deb=$(ls "$out/packages/${package}"_*.deb 2>/dev/null | tail -n 1)
        [ -n "$deb" ] || continue
        mkdir "$work/trees/$package"
        dpkg-deb -x "$deb" "$work/trees/$package"
    done
    (cd "$here" && python3 scripts/language_texts.py "$work"/trees/* $use "$out")
done
wc -c "$out"/learn/*.txt "$out"/test/*.txt
