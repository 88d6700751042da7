#!/bin/sh
# full.sh - a region with no room left: each operation in turn, in the middle of cp, of a
# database's commit and of a rename. Errors are clean, nothing is half done, deleting works,
# and what it frees can be used.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# Large pieces first, then ever smaller ones, until not one byte goes in.
fill() {
  for size in 1M 64K 4K 100 1; do
    for i in $(seq 3); do
      head -c 300M /dev/zero | dd of="$mount/fill/$size.$i" bs="$size" count=3000 \
        iflag=fullblock conv=notrunc status=none 2>/dev/null || true
    done
  done
}

# refused WHAT COMMAND...: fails for want of space, and the tree is as it was.
refused() {
  what=$1
  shift
  find "$mount/tree" -printf '%p %s %T@ %C@ %n\n' | sort >"$work/before"
  if "$@" >"$work/out" 2>&1; then
    fail "$what: there was room"
  fi
  grep -qi 'no space left' "$work/out" || fail "$what: $(cat "$work/out")"
  find "$mount/tree" -printf '%p %s %T@ %C@ %n\n' | sort | diff "$work/before" - >&2 ||
    fail "$what: something was left, or lost"
}

"$MKFS" -q -s 64M "$region"
mount_region
mkdir -p "$mount/fill/a" "$mount/fill/b" "$mount/tree/dir"
echo content >"$mount/tree/file"
cp "$mount/tree/file" "$mount/tree/other"
ln -s target "$mount/tree/link"
setfattr -n user.one -v 1 "$mount/tree/file"
sum=$(b2sum <"$mount/tree/file")

say "each operation in turn"
fill
# Small records find room in open segments for a while: what makes names takes it.
n=0
while mkdir "$mount/fill/d$n" 2>/dev/null; do n=$((n + 1)); done
cd "$mount/tree"
refused mkdir mkdir new
refused create touch new
refused mknod mknod new p
refused symlink ln -s "$(printf '%0200d' 1)" new
refused link ln file new
refused rename mv file new
refused "rename to another directory" mv file dir/new
refused setxattr setfattr -n user.two -v "$(printf '%0200d' 1)" file
refused chmod chmod 600 file
refused utimes touch -d 2001-01-01 file
refused append sh -c '/usr/bin/printf more >>file'
refused fallocate fallocate -l 1M file
refused "truncate up" truncate -s 1M file
refused "copy within" sh -c 'cp --reflink=auto file dir/copy'
[ "$(b2sum <file)" = "$sum" ] || fail "the content changed"
[ "$(readlink link)" = target ] || fail "the link changed"
cd /

say "what gives space back works: truncate, punch, replace, unlink"
truncate -s 0 "$mount/fill/1M.1"
[ "$(stat -c %b "$mount/fill/1M.1")" -eq 0 ] || fail "truncate"
fill
fallocate -p -o 0 -l 1M "$mount/fill/1M.1"
mv -T "$mount/fill/a" "$mount/fill/b"
mv "$mount/tree/other" "$mount/tree/file"
setfattr -x user.one "$mount/tree/file" 2>/dev/null || true
rm "$mount/tree/link"

say "after a crash and after a remount it is as full and as whole"
pkill -9 -f "keepalivefs.* $region $mount"
umount -l "$mount"
mount_region
[ "$(b2sum <"$mount/tree/file")" = "$sum" ] || fail "lost in a crash"
unmount_region
check_region
mount_region

say "in the middle of cp"
rm -r "$mount/fill"
head -c 30M /dev/urandom >"$work/30M"
cp "$work/30M" "$mount/first"
! cp "$work/30M" "$mount/second" 2>"$work/out" || fail "60 MiB in 64 MiB"
grep -q 'No space left' "$work/out" || fail "cp: $(cat "$work/out")"
got=$(stat -c %s "$mount/second")
[ "$got" -gt 10000000 ] || fail "only $got bytes fitted"
cmp -n "$got" "$work/30M" "$mount/second" || fail "what was written is wrong"
cmp "$work/30M" "$mount/first" || fail "another file suffered"
rm "$mount/second"
head -c 20M "$work/30M" >"$mount/third" || fail "the space did not come back"
rm "$mount/third"

if command -v sqlite3 >/dev/null; then
  for journal in delete wal; do
    say "in the middle of a commit, journal mode $journal"
    db=$mount/$journal.db
    sqlite3 "$db" "pragma journal_mode=$journal; create table t(a integer primary key, b);
      insert into t values(0, 'first');" >/dev/null
    ! sqlite3 "$db" 'with recursive n(i) as (select 1 union all select i+1 from n where i < 80000)
      insert into t select i, hex(randomblob(300)) from n;' 2>"$work/out" || fail "it fitted"
    grep -q 'full' "$work/out" || fail "sqlite3: $(cat "$work/out")"
    rm "$mount/first" # to read a log, sqlite3 needs room for an index of it
    [ "$(sqlite3 "$db" 'pragma integrity_check; select count(*) from t')" = "ok
1" ] || fail "the transaction was not undone"
    sqlite3 "$db" "insert into t values(1, 'second')" || fail "no room where some was freed"
    rm "$db"*
    cp "$work/30M" "$mount/first"
  done
fi
unmount_region
check_region
