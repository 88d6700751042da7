#!/bin/sh
# memory_errors.sh - a region file is truncated under the daemon, which is SIGBUS as poison on a
# DAX device is: who reads what is gone gets EIO, everything else and the daemon live on, status
# and scrub name what suffers, and what is written goes elsewhere.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# Not from the caches of the kernel.
forget() {
  sync
  echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || true
}

readable() {
  forget
  cmp "$1" "$2" >"$work/out" 2>&1 || fail "$2 cannot be read: $(cat "$work/out")"
}

unreadable() {
  forget
  ! cat "$1" >/dev/null 2>"$work/out" || fail "$1 can be read"
  grep -q 'Input/output error' "$work/out" || fail "$1: $(cat "$work/out")"
}

[ -z "${KA_REGION:-}" ] || { echo "skipped: a device cannot be truncated"; exit 77; }

say "free space, and two files behind it"
"$MKFS" -q -s 256M "$region"
mount_region
head -c 20M /dev/urandom >"$work/first"
head -c 40M /dev/urandom >"$work/second"
mkdir "$mount/dir"
head -c 40M /dev/zero >"$mount/ballast"
cp "$work/first" "$mount/first"
cp "$work/second" "$mount/dir/second"
readable "$work/second" "$mount/dir/second"
rm "$mount/ballast"
for _ in 1 2; do # of two checkpoints the older one still needs it
  unmount_region
  mount_region
done

say "the end of the second is cut off"
truncate -s 80M "$region"
readable "$work/first" "$mount/first"
unreadable "$mount/dir/second"
dd if="$mount/dir/second" bs=1M count=8 status=none | cmp -n 8M - "$work/second" ||
  fail "what is left of the second cannot be read"

say "status and scrub tell"
"$CTL" status --json "$mount" >"$work/status"
grep -q '"path": "/dir/second"' "$work/status" || fail "status: $(cat "$work/status")"
grep -q '"reason": "memory error"' "$work/status" || fail "status: $(cat "$work/status")"
"$CTL" status "$mount" | grep -q '^/dir/second: bytes .*: memory error' || fail "status for people"
code=0
"$CTL" scrub --share 100 "$mount" >"$work/scrub" || code=$?
[ "$code" -eq 4 ] || fail "scrub says $code: $(cat "$work/scrub")"
grep -q '^/dir/second: bytes [0-9]*-[0-9]*: memory error$' "$work/scrub" ||
  fail "scrub: $(cat "$work/scrub")"
! grep -q first "$work/scrub" || fail "scrub: $(cat "$work/scrub")"

say "what is written now goes where there is memory, until there is none"
echo small >"$mount/small"
[ "$(cat "$mount/small")" = small ] || fail "a new file"
! dd if=/dev/zero of="$mount/large" bs=1M count=200 status=none 2>"$work/out" ||
  fail "200 MiB went into 40"
[ "$(stat -c %s "$mount/large")" -gt 20000000 ] || fail "it was full too soon"
grep -q 'No space left' "$work/out" || fail "no space: $(cat "$work/out")"
rm "$mount/large"
readable "$work/first" "$mount/first"

say "killed: all of it is there"
pkill -9 -f "keepalivefs $region $mount"
umount "$mount"
truncate -s 256M "$region"
mount_region
readable "$work/first" "$mount/first"
[ "$(cat "$mount/small")" = small ] || fail "a new file after a crash"
unreadable "$mount/dir/second"
rm "$mount/dir/second"
"$CTL" scrub "$mount" >"$work/scrub" || fail "scrub after rm: $(cat "$work/scrub")"
unmount_region

check_region
