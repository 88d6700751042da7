#!/bin/sh
# sharing.sh - copies within the mount share their bytes, and nothing but their bytes.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

used() {
  "$CTL" status --json "$mount" | sed -n 's/.*"used_bytes": \([0-9]*\).*/\1/p'
}

sum() {
  b2sum <"$1"
}

"$MKFS" -q -s 256M "$region"
mount_region
head -c 60000000 /dev/urandom >"$mount/one"
before=$(used)

say "cp shares: ten copies of 60 MB in 256 MiB"
for i in $(seq 10); do
  cp --reflink=auto "$mount/one" "$mount/copy$i"
done
[ $(($(used) - before)) -lt 4000000 ] || fail "copies took $(($(used) - before)) bytes"
[ "$(stat -c %b "$mount/copy1")" = "$(stat -c %b "$mount/one")" ] || fail "st_blocks of a copy"
for i in $(seq 10); do cmp "$mount/one" "$mount/copy$i"; done
! cp --reflink=always "$mount/one" "$mount/clone" 2>/dev/null || fail "FICLONE works: say so"

say "each goes its own way"
one=$(sum "$mount/one")
printf changed | dd of="$mount/copy1" bs=1 seek=30000000 conv=notrunc status=none
truncate -s 100 "$mount/copy2"
fallocate -p -o 4097 -l 9999 "$mount/copy3"
echo more >>"$mount/copy4"
[ "$(sum "$mount/one")" = "$one" ] || fail "the original changed"
[ "$(sum "$mount/copy5")" = "$one" ] || fail "another copy changed"
printf changed | dd of="$mount/one" bs=1 seek=1000 conv=notrunc status=none
[ "$(sum "$mount/copy5")" = "$one" ] || fail "a copy changed with the original"
[ "$(dd if="$mount/copy1" bs=1 skip=30000000 count=7 status=none)" = changed ] || fail "lost"

say "the original goes, the copies stay; with the last, the space comes back"
rm "$mount/one"
unmount_region
check_region
mount_region
[ "$(sum "$mount/copy5")" = "$one" ] || fail "a copy is lost"
pkill -9 -f "keepalivefs.* $region $mount"
umount -l "$mount"
mount_region
[ "$(sum "$mount/copy6")" = "$one" ] || fail "a copy is lost in a crash"
rm "$mount"/copy*
head -c 180000000 /dev/zero >"$mount/large" || fail "the space did not come back"
rm "$mount/large"

say "more than 4 GiB at once, holes and all"
truncate -s 6G "$mount/sparse"
echo end >>"$mount/sparse"
python3 - "$mount/sparse" "$mount/sparse2" <<'EOF' || fail "copy_file_range of 6 GiB"
import os, sys
one, two = open(sys.argv[1], "rb"), open(sys.argv[2], "wb")
while os.copy_file_range(one.fileno(), two.fileno(), 6 << 30):
    pass
EOF
[ "$(stat -c %s "$mount/sparse2")" = "$(stat -c %s "$mount/sparse")" ] || fail "its size"
[ "$(tail -c 4 "$mount/sparse2")" = end ] || fail "its end"
unmount_region
check_region
