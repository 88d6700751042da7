#!/bin/sh
# unprivileged.sh - a user mounts a region of their own, through fusermount3.
set -eu
# Whatever the mode of /dev/fuse is here, users can open it in a mount namespace of our own.
if [ -z "${KA_INSIDE:-}" ] && [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
  KA_INSIDE=1 exec unshare -m "$0" "$@"
fi
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

user=65534
as_user() {
  setpriv --reuid "$user" --regid "$user" --clear-groups "$@"
}

if [ "$(id -u)" -ne 0 ]; then
  echo "skipped: only root can become somebody else"
  exit 77
fi
if [ ! -u "$(command -v fusermount3)" ]; then
  echo "skipped: fusermount3 is not set-user-ID"
  exit 77
fi
if [ -n "${KA_INSIDE:-}" ]; then
  mknod -m 666 "$work/fuse" c 10 229
  mount --bind "$work/fuse" /dev/fuse
fi
cp "$KEEPALIVEFS" "$work/keepalivefs"
cp "$MKFS" "$work/mkfs.keepalivefs"
cp "$FSCK" "$work/fsck.keepalivefs"
cp "$FUSE_OPS" "$work/fuse_ops"
chmod 755 "$work"
if ! as_user sh -c ': <>/dev/fuse' 2>/dev/null; then
  echo "skipped: users cannot open /dev/fuse here"
  exit 77
fi
mkdir "$work/theirs"
chown "$user:$user" "$work/theirs" "$mount"
region=$work/theirs/region

say "format, mount, use"
as_user "$work/mkfs.keepalivefs" -q -s 64M "$region"
[ "$(stat -c %u "$region")" = "$user" ] || fail "whose region is it?"
as_user "$work/keepalivefs" "$region" "$mount"
[ "$(as_user stat -c %u "$mount")" = "$user" ] || fail "the root is not the user's"
as_user mkdir "$mount/ops"
as_user "$work/fuse_ops" "$mount/ops"
as_user sh -c "echo mine >'$mount/file'"

say "nobody else is let in, and there are no devices and no set-user-ID"
[ -z "$(setpriv --reuid 65533 --regid 65533 --clear-groups ls "$mount" 2>/dev/null)" ] ||
  fail "another user sees the mount"
grep " $mount " /proc/self/mountinfo | grep -q 'nosuid,nodev' || fail "suid or dev"

say "unmount, check, crash, mount"
as_user fusermount3 -u "$mount"
as_user "$work/fsck.keepalivefs" -n -f "$region"
as_user "$work/keepalivefs" "$region" "$mount"
pkill -9 -f "keepalivefs $region $mount"
as_user fusermount3 -u -z "$mount"
as_user "$work/keepalivefs" "$region" "$mount"
[ "$(as_user cat "$mount/file")" = mine ] || fail "the file is lost"
as_user fusermount3 -u "$mount"
as_user "$work/fsck.keepalivefs" -n -f "$region"
