#!/bin/sh
# programs.sh - real programs on a real mount; everything again after unmount and mount.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# A small tree with what real ones seldom have.
make_odd_tree() {
  mkdir -p "$1/dir/deep/deeper" "$1/sgid"
  echo text >"$1/dir/file"
  : >"$1/empty"
  ln "$1/dir/file" "$1/dir/deep/hardlink"
  ln -s ../nowhere/"$(printf '%0200d' 7)" "$1/dangling"
  printf 'x' >"$1/$(printf '%0255d' 1)"
  printf 'x' >"$1/$(printf 'odd \t\001\377name')"
  truncate -s 300M "$1/sparse"
  printf 'middle' | dd of="$1/sparse" bs=1 seek=200000000 conv=notrunc status=none
  head -c 3333333 /dev/urandom >"$1/random"
  chmod 4755 "$1/dir/file"
  chmod 2775 "$1/sgid"
  chmod 1777 "$1/dir/deep"
  chmod 0 "$1/empty"
  touch -d '1965-03-04 05:06:07.123456789' "$1/dir/file"
  touch -d '2150-03-04 05:06:07.987654321' "$1/random"
  if [ "$(id -u)" -eq 0 ]; then
    mkfifo "$1/fifo"
    mknod "$1/null" c 1 3
    mknod "$1/block" b 259 1048575
    chown 12345:54321 "$1/random"
    chown -h 1:2 "$1/dangling"
  fi
  if command -v setfattr >/dev/null; then
    setfattr -n user.one -v 1 "$1/dir/file"
    setfattr -n user.large -v "$(printf '%04000d' 5)" "$1/dir"
    if [ "$(id -u)" -eq 0 ]; then
      setfattr -n trusted.two -v 2 "$1/random"
      setfattr -n security.three -v 3 "$1/random"
    fi
  fi
  touch -d '2001-02-03 04:05:06.000000007' "$1/dir/deep" "$1/dir" "$1"
}

say "format and mount"
"$MKFS" -q -s 1G "$region"
mount_region
source=$work/source
mkdir "$source"
make_odd_tree "$source/odd"

say "cp -a"
cp -a /usr/include "$mount/include"
cp -a --sparse=always "$source/odd" "$mount/odd"
same_tree /usr/include "$mount/include"
same_tree "$source/odd" "$mount/odd"
[ "$(stat -c %b "$mount/odd/sparse")" -lt 100 ] || fail "the sparse file is not sparse"

say "tar"
tar -C /usr/include --format=posix -cf - . >"$mount/include.tar"
mkdir "$mount/untarred"
tar -C "$mount/untarred" -xpf "$mount/include.tar"
touch -r /usr/include "$mount/untarred"
same_tree /usr/include "$mount/untarred"

if need rsync; then
  say "rsync -aHAX --checksum"
  rsync -aHAXS --numeric-ids --checksum "$source/odd/" "$mount/rsynced/"
  same_tree "$source/odd" "$mount/rsynced"
  changes=$(rsync -aHAXS --numeric-ids --checksum -i "$source/odd/" "$mount/rsynced/")
  [ -z "$changes" ] || fail "rsync wants to copy again: $changes"
fi

if need git; then
  say "git"
  git init -q "$mount/origin"
  cp -a "$SOURCE/fs" "$SOURCE/include" "$mount/origin/"
  (
    cd "$mount/origin"
    git config user.name test
    git config user.email test@example.org
    git config gc.auto 0
    git add -A
    git commit -q -m one
    git mv fs core
    git commit -q -a -m two
    git gc -q
  )
  git clone -q --no-hardlinks "$mount/origin" "$mount/clone"
  git -C "$mount/clone" fsck --full --strict 2>&1 | grep -v '^notice' || true
  git -C "$mount/clone" fsck --full --strict >/dev/null 2>&1 || fail "git fsck"
  [ -z "$(git -C "$mount/clone" status --porcelain)" ] || fail "git status"
fi

if need sqlite3; then
  for journal in delete wal; do
    say "sqlite3, journal mode $journal"
    sqlite3 "$mount/$journal.db" "pragma journal_mode=$journal;
      create table t(a integer primary key, b text);
      with recursive n(i) as (select 1 union all select i+1 from n where i < 20000)
      insert into t select i, hex(randomblob(40)) from n;
      update t set b = b || 'x' where a % 3 = 0; delete from t where a % 7 = 0;
      vacuum;" >/dev/null
    [ "$(sqlite3 "$mount/$journal.db" 'pragma integrity_check')" = ok ] || fail "sqlite3"
  done
fi

say "unmount, check, mount, compare"
sums=$(cd "$mount" && find . -type f -not -path './odd/*' -not -path './rsynced/*' -print0 |
  sort -z | xargs -0 b2sum | b2sum)
unmount_region
check_region
mount_region
same_tree /usr/include "$mount/include"
same_tree "$source/odd" "$mount/odd"
same_tree /usr/include "$mount/untarred"
again=$(cd "$mount" && find . -type f -not -path './odd/*' -not -path './rsynced/*' -print0 |
  sort -z | xargs -0 b2sum | b2sum)
[ "$sums" = "$again" ] || fail "checksums differ after the mount"

say "read-only mount stores nothing"
unmount_region
"$FSCK" -n "$region" # waits for the daemon
before=$(b2sum <"$region")
mount_region -o ro
same_tree "$source/odd" "$mount/odd"
! touch "$mount/new" 2>/dev/null || fail "a read-only mount takes files"
unmount_region
"$FSCK" -n "$region"
[ "$before" = "$(b2sum <"$region")" ] || fail "a read-only mount changed the region"
