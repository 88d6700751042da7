#!/bin/sh
# kill.sh ROUNDS [SEED] - see kill.c; the region lies in memory where that can be had.
set -eu
TMPDIR=${TMPDIR:-/tmp}
if [ -w /dev/shm ]; then TMPDIR=/dev/shm; fi
export TMPDIR
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
"$KILL" "$KEEPALIVEFS" "$FSCK" "$MKFS" "$work" "$@"
check_region
