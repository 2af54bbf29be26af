#!/bin/sh
# The whole way on default texts: scripts/demo.sh PROGRAM [options of `rodnik demo`]
set -eu
program=$1
shift
scripts/corpus-default.sh out/demo/default
exec "$program" demo "$@"
