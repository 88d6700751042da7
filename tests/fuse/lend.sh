#!/bin/sh
# lend.sh - memory of a region file that is lent and comes back, under a real mount.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

mib=1048576

figure() { # figure KEY: of status
  "$CTL" status --json "$1" | sed -n "s/.*\"$2\": \([0-9]*\).*/\1/p"
}

disk() { # what the region file has of its filesystem, bytes
  echo $(($(stat -c %b "$region") * 512))
}

# at_most WHAT BYTES MIB
at_most() {
  [ "$2" -le $(($3 * mib)) ] || fail "$1: $(($2 / mib)) MiB, at most $3 wanted"
}

at_least() {
  [ "$2" -ge $(($3 * mib)) ] || fail "$1: $(($2 / mib)) MiB, at least $3 wanted"
}

same() {
  b2sum --quiet -c "$work/sums" || fail "a file changed $*"
}

crash() {
  pkill -9 -f "keepalivefs.* $region $mount"
  umount -l "$mount"
  mount_region
}

say "75 MiB that lie behind 150 MiB of nothing"
"$MKFS" -q -s 256M "$region"
mount_region
dd if=/dev/urandom of="$mount/gone" bs=1M count=150 status=none
dd if=/dev/urandom of="$mount/kept" bs=1M count=75 status=none
rm "$mount/gone"
b2sum "$mount/kept" >"$work/sums"
at_least "the region file" "$(disk)" 225
before=$(figure "$mount" owned_bytes)
"$CTL" lend --dry-run "$mount" >"$work/said"
grep -q 'would be left; 7[0-9].* have to be moved' "$work/said" || fail "$(cat "$work/said")"
[ "$(figure "$mount" owned_bytes)" = "$before" ] || fail "a dry run lent something"
"$CTL" lend "$mount"
slice=$(figure "$mount" slice_bytes)
at_most "the region file" "$(disk)" $((75 + 2 * slice / mib + 20)) # the reserve does not shrink
[ "$(figure "$mount" lent_bytes)" = $((256 * mib - $(figure "$mount" owned_bytes))) ] ||
  fail "lent and owned are not all"
at_least lent "$(figure "$mount" lent_bytes)" 130
same "when it was moved"

say "a crash, and unmounting, change nothing"
owned=$(figure "$mount" owned_bytes)
crash
[ "$(figure "$mount" owned_bytes)" = "$owned" ] || fail "the boundary moved"
same "in a crash"
unmount_region
check_region
[ "$(figure "$region" owned_bytes)" = "$owned" ] || fail "the boundary moved"
at_most "the region file" "$(disk)" $((owned / mib))

say "tools and a region with memory that is lent"
"$CTL" dump "$region" >"$work/dump" || fail "dump says $?"
"$CTL" extract "$region" /kept "$work" || fail "extract says $?"
cmp -s "$work/kept" "$work/nothing" && fail "extract gave nothing"
"$CTL" image "$region" "$work/image" || fail "image says $?"
cp --sparse=always "$region" "$work/spare"
"$CTL" image --restore -f "$work/image" "$region" || fail "image --restore says $?"
check_region
cp --sparse=always "$work/spare" "$region"
for copy in 0 1; do # fsck finds the boundary in either copy
  at=$("$CTL" dump --json "$region" | sed -n "s/.*\"addr\": \([0-9]*\).*/\1/p" | sed -n "$((copy + 1))p")
  dd if=/dev/zero of="$region" bs=1 seek="$((at + 100))" count=200 conv=notrunc status=none
  status=0
  "$FSCK" -y -f "$region" >/dev/null || status=$?
  [ "$status" = 1 ] || fail "fsck -y of copy $copy at $at says $status"
  check_region
done
at_most "the region file" "$(disk)" $((owned / mib))

say "writing gets memory back, by as much as it needs"
mount_region
avail=$(df --output=avail -B1 "$mount" | tail -1)
at_least "what can be had" "$avail" 150
dd if=/dev/urandom of="$mount/new" bs=1M count=50 status=none
b2sum "$mount/new" >>"$work/sums"
at_least owned "$(figure "$mount" owned_bytes)" $((owned / mib + 40))
at_most owned "$(figure "$mount" owned_bytes)" $((owned / mib + 50 + 2 * slice / mib))
crash
same "after growth and a crash"
dd if=/dev/zero of="$mount/rest" bs=1M status=none 2>/dev/null && fail "it took everything"
[ "$(figure "$mount" lent_bytes)" = 0 ] || fail "full with memory lent"
same "when it was full"
rm "$mount/rest"

say "manual: full is full, until somebody takes memory back"
"$CTL" lend "$mount"
unmount_region
mount_region -o reclaim=manual
owned=$(figure "$mount" owned_bytes)
dd if=/dev/zero of="$mount/rest" bs=1M count=60 status=none 2>/dev/null && fail "more than is owned"
[ "$(figure "$mount" owned_bytes)" = "$owned" ] || fail "memory came back by itself"
rm "$mount/rest"
"$CTL" reclaim --size 20M "$mount"
at_least owned "$(figure "$mount" owned_bytes)" $((owned / mib + 20))
at_most owned "$(figure "$mount" owned_bytes)" $((owned / mib + 20 + slice / mib))
"$CTL" reclaim --json "$mount" | grep -q '"lent_bytes": 0' || fail "not all came back"
same "when memory came back"
unmount_region
check_region

say "kept back"
mount_region
"$CTL" lend --keep 60M "$mount"
at_least free "$(figure "$mount" avail_bytes)" 59
at_most free "$(figure "$mount" avail_bytes)" $((62 + 2 * slice / mib))

say "eight processes write while it is lent and taken back"
mkdir "$mount/busy"
"$CHURN" run "$mount/busy" 6 &
churn=$!
while kill -0 "$churn" 2>/dev/null; do
  "$CTL" lend "$mount" >/dev/null
  "$CTL" reclaim --size 30M "$mount" >/dev/null
done
wait "$churn" || fail "churn says $?"
"$CHURN" check "$mount/busy"
same "under load"
unmount_region
check_region

say "killed in the middle"
mount_region
rm -r "$mount/busy"
dd if=/dev/urandom of="$mount/last" bs=1M count=30 status=none
b2sum "$mount/last" >>"$work/sums"
for i in 1 2 3 4 5 6; do
  "$CTL" reclaim "$mount" >/dev/null
  dd if=/dev/zero of="$mount/hole$i" bs=1M count=40 status=none
  cp --reflink=never "$mount/last" "$mount/last$i"
  rm "$mount/hole$i"
  "$CTL" lend "$mount" >/dev/null 2>&1 &
  sleep "0.0$i"
  crash
  wait
  same "when a lend was killed"
  cmp "$mount/last" "$mount/last$i"
  rm "$mount/last$i"
done
unmount_region
check_region

say "a part of a region file"
truncate -s 512M "$work/large"
"$MKFS" -s 64M "$work/large" >"$work/said"
grep -q 'lent .*448 MiB' "$work/said" || fail "mkfs said: $(cat "$work/said")"
region=$work/large
mount_region
[ "$(figure "$mount" owned_bytes)" = $((64 * mib)) ] || fail "not 64 MiB are owned"
at_most "the region file" "$(disk)" 64
dd if=/dev/urandom of="$mount/data" bs=1M count=200 status=none || fail "it does not grow"
b2sum "$mount/data" >"$work/sums"
crash
same "of the larger region"

say "by itself, when much is free for some time"
unmount_region
mount_region -o lend=auto
rm "$mount/data"
tries=0
while [ "$(figure "$mount" owned_bytes)" -gt $((100 * mib)) ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 300 ] || fail "$(figure "$mount" owned_bytes) bytes are owned still"
  sleep 0.2
done
at_least free "$(figure "$mount" avail_bytes)" 31

say "the system does not give it back"
unmount_region
small=$work/small
mkdir "$small"
trap 'umount -l "$small" 2>/dev/null || true; cleanup' EXIT
if mount -t tmpfs -o size=160M none "$small" 2>"$work/said"; then
  region=$small/region
  "$MKFS" -q -s 128M "$region"
  "$KEEPALIVEFS" -f "$region" "$mount" 2>"$work/log" &
  while ! mountpoint -q "$mount"; do sleep 0.05; done
  dd if=/dev/urandom of="$mount/data" bs=1M count=20 status=none
  b2sum "$mount/data" >"$work/sums"
  "$CTL" lend "$mount" >"$work/out"
  owned=$(figure "$mount" owned_bytes)
  head -c 1G /dev/zero >"$small/filler" 2>/dev/null || true
  truncate -s -15M "$small/filler"
  dd if=/dev/zero of="$mount/more" bs=1M count=80 status=none 2>"$work/said" && fail "it grew"
  grep -q "No space left" "$work/said" || fail "said: $(cat "$work/said")"
  got=$(figure "$mount" owned_bytes)
  at_least "what came back" $((got - owned)) 5
  at_most "what came back" $((got - owned)) 15
  slice=$((got / $(figure "$mount" slice_bytes)))
  grep -q "cannot take slice $slice back: No space" "$work/log" || fail "log: $(cat "$work/log")"
  ! "$CTL" reclaim "$mount" 2>"$work/said" || fail "all came back"
  grep -q "cannot reclaim slice $slice of" "$work/said" || fail "said: $(cat "$work/said")"
  "$CTL" status "$mount" | grep -q "Stays lent: *slice $slice: No space" || fail "status is silent"
  [ "$(figure "$mount" stuck_slice)" = $slice ] || fail "status names another slice"
  same "when memory did not come back"
  rm "$small/filler"
  dd if=/dev/zero of="$mount/more" bs=1M count=80 status=none
  same "when it did"
  ! "$CTL" status "$mount" | grep "Stays lent" || fail "status still tells of it"
  unmount_region
  check_region
  region=$work/large
  umount -l "$small"
else
  echo "skipped: no tmpfs can be mounted here: $(cat "$work/said")"
fi
mount_region

say "refused, with nothing changed"
! "$CTL" lend --keep x "$mount" 2>/dev/null || fail "a size that is none"
unmount_region
mount_region -o ro
! "$CTL" lend "$mount" 2>"$work/said" || fail "lend of a read-only mount"
! "$CTL" reclaim "$mount" 2>>"$work/said" || fail "reclaim of a read-only mount"
[ "$(grep -c "cannot.*Read-only" "$work/said")" = 2 ] || fail "said: $(cat "$work/said")"
unmount_region
check_region
