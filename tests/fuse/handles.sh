#!/bin/sh
# handles.sh - file handles stay good over a restart of the daemon, clean or not, and those of
# files that are gone never lead to another file: what an NFS server needs.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

if [ "$(id -u)" -ne 0 ]; then
  echo "skipped: only root may open by handle"
  exit 77
fi

expect_handles() {
  "$HANDLES" open "$mount" <"$work/handles" >"$work/opened"
  printf '%s\n' "$@" | diff - "$work/opened" >&2 || fail "the handles lead elsewhere"
}

"$MKFS" -q -s 64M "$region"
mount_region
mkdir -p "$mount/a/b"
echo one >"$mount/a/b/one"
echo two >"$mount/two"
echo gone >"$mount/gone"
"$HANDLES" make "$mount" "$mount/a/b" "$mount/a/b/one" "$mount/two" "$mount/gone" \
  >"$work/handles"

say "in the same mount"
expect_handles directory directory one two gone

say "after a remount, and with other names"
mv "$mount/a/b/one" "$mount/moved"
rm "$mount/gone"
unmount_region
mount_region
expect_handles directory directory one two ESTALE

say "after a crash, and as many new files"
for i in $(seq 20); do echo new >"$mount/new$i"; done
pkill -9 -f "keepalivefs.* $region $mount"
umount -l "$mount"
mount_region
expect_handles directory directory one two ESTALE
unmount_region
check_region
