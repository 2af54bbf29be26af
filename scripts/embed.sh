#!/bin/sh
# Prints C source that holds a file's bytes: scripts/embed.sh src/serve/page/index.html > page.c
# gives page_index_html[] (with a NUL behind it) and page_index_html_len; a second argument takes the place of "page".
set -eu
name=${2:-page}_$(basename "$1" | tr -c 'A-Za-z0-9\n' '_')
length=$(wc -c < "$1" | tr -d ' ')
echo "/* made from $(basename "$1") */"
echo "extern const unsigned char $name[];"
echo "extern const unsigned long ${name}_len;"
echo "const unsigned char $name[] = {"
od -An -v -tx1 "$1" | sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g'
echo "0};"
echo "const unsigned long ${name}_len = $length;"
