#!/bin/sh
# semantics.sh - the same system calls on ext4 and on a mount: what they return, change
# and leave must be the same, but for the differences listed here.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

if [ "$(id -u)" -ne 0 ]; then
  echo "skipped: needs root, for mounts and for other users"
  exit 77
fi

# case, a regular expression | what the reference says | what a mount says
# A line here that is not true any more is a failure, too.
cat >"$work/known" <<'END'
# The kernel's FUSE takes set-group-ID only from what the group may execute; without
# that it is a mark for mandatory locks, which Linux has no more.
priv/.*-6767-(bob|bareroot)-left | 100767 cap=no | 102767 cap=no
# It has no call for these, or libfuse 3.14 does not know it.
open/tmpfile | ok | EOPNOTSUPP
open/statx-btime | yes | no
open/fiemap | ok | EOPNOTSUPP
space/collapse | ok | EOPNOTSUPP
space/insert | ok | EOPNOTSUPP
# Flags of inodes (chattr) and whiteouts (for overlayfs) are not there.
open/getflags | ok | ENOTTY
open/setflags | ok | ENOTTY
names/whiteout | ok | EINVAL
# The kernel caches targets of links and what it has read of directories: the daemon
# does not hear of a second use, and a directory that moves keeps the number of its ".."
# in listings, until one of its names changes. Its ".." leads to the right place.
times/readlink-again | 1 s=a-- f=--- | 1 s=--- f=---
times/follow-symlink | ok s=a-- f=--- | ok s=--- f=---
times/readdir-again | 3 d=a-- | 3 d=---
dirs/moved-lists | there | elsewhere
# Extents are shared and nothing is read, as with reflinks elsewhere.
times/(rdwr|wronly)-copy-file-range | 8192 f=-mc from=a-- | 8192 f=-mc from=---
# POSIX leaves it open whether chown to -1:-1, which changes nothing, sets ctime.
times/chown-nothing | ok .=--- f=--c | ok .=--- f=---
# ext4 alone leaves ctime when the value was the same before.
times/setxattr-same | ok f=--- | ok f=--c
# A file can be as long as off_t can say; ext4 ends at 16 TiB.
data/(pwrite-last|pwrite-near-last) | EFBIG | 1
data/(ftruncate|truncate|punch)-max | EFBIG | ok
data/fallocate-max | EFBIG | ENOSPC
data/lseek-max | EINVAL | ok
data/lseek-max-write | 1 | EINVAL
# O_DIRECT asks for no alignment.
data/direct-unaligned | EINVAL | 100
END

case $(uname -r) in
6.1.*)
  cat >>"$work/known" <<'END'
# A buffer that is not there: direct I/O of FUSE takes nothing of such a write, and ext4
# looks at alignment first.
data/writev-half-fault | 1 | EFAULT
data/direct-fault | EINVAL | EFAULT
END
  ;;
esac

# Cases in which tmpfs is no reference: what it lacks or does in its own way.
tmpfs_own='zero-range|times/truncate-empty|times/mmap-store-|mmap/end-store-hidden'

reference=$work/reference
mkdir "$reference"
trap 'umount -l "$reference" 2>/dev/null || true; cleanup' EXIT

mount_reference() {
  kind=ext4
  skip='^$'
  truncate -s 512M "$work/image"
  mkfs.ext4 -q "$work/image" 2>/dev/null && mount -o loop "$work/image" "$reference" 2>/dev/null &&
    return
  kind=tmpfs
  skip=$tmpfs_own
  mount -t tmpfs none "$reference"
}

# The output of the reference, with what is known put into it. Names have no ": ".
put_known() {
  awk '
    NR == FNR {
      if ($0 ~ /^#/) next
      split($0, field, / [|] /)
      n++; name[n] = "^" field[1] "$"; from[n] = field[2]; to[n] = field[3]
      next
    }
    {
      at = index($0, ": "); case_name = substr($0, 1, at - 1); result = substr($0, at + 2)
      for (i = 1; i <= n; i++)
        if (result == from[i] && case_name ~ name[i]) { result = to[i]; break }
      print case_name ": " result
    }' "$work/known" "$1"
}

mount_reference
say "on $kind"
mkdir "$reference/dir"
"$SEMANTICS" "$reference/dir" >"$work/expected.all" || fail "it fails on $kind"
grep -Ev "$skip" "$work/expected.all" >"$work/expected"
umount -l "$reference" # a test beside may be looking at it

say "on a mount"
"$MKFS" -q -f -s 512M "$region"
mount_region
mkdir "$mount/dir"
"$SEMANTICS" "$mount/dir" >"$work/found.all" || fail "it fails on the mount"
grep -Ev "$skip" "$work/found.all" >"$work/found"
unmount_region
check_region

# libfuse 3.17 and later carry what the daemon then offers.
for later in open/tmpfile open/statx-btime; do
  expected=$(grep "^$later: " "$work/expected")
  if grep -qxF "$expected" "$work/found"; then sed -i "\\|^$later |d" "$work/known"; fi
done

put_known "$work/expected" >"$work/wanted"
diff -U 0 "$work/wanted" "$work/found" >"$work/diff" || {
  grep '^[-+][^-+]' "$work/diff" >&2
  fail "$kind (-) and the mount (+) differ"
}
say "$(wc -l <"$work/found") cases agree"
