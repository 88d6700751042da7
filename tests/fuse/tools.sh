#!/bin/sh
# tools.sh - what keepalivectl does on bad days and before a reboot: extract, image, seal, dump.
# Copies are compared with the mount, damage is made byte by byte, and everything that only looks
# leaves the region as it was.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

root=
[ "$(id -u)" -eq 0 ] && root=1

sum() {
  cksum <"$region"
}

# A clean end; the region is as it stays when this returns.
leave() {
  unmount_region
  "$FSCK" -n "$region" >/dev/null 2>&1 || true
}

# expect STATUS COMMAND...: its output goes to $work/out.
expect() {
  expected=$1
  shift
  status=0
  "$@" >"$work/out" 2>&1 || status=$?
  [ "$status" -eq "$expected" ] || {
    head -n 20 "$work/out" >&2
    fail "exit status $status, not $expected: $*"
  }
}

# looks STATUS COMMAND...: the same, and the region stays as it is.
looks() {
  before=$(sum)
  expect "$@"
  [ "$(sum)" = "$before" ] || fail "the region has changed: $*"
}

says() {
  grep -qF -e "$1" "$work/out" || {
    head -n 20 "$work/out" >&2
    fail "no '$1' in the output"
  }
}

# same A B: two trees are one like the other, extended attributes, ACLs and holes' bytes included.
same() {
  same_tree "$1" "$2"
  if command -v rsync >/dev/null; then
    rsync -aHAXni --delete "$1/" "$2/" >"$work/rsync"
    [ ! -s "$work/rsync" ] || {
      head -n 20 "$work/rsync" >&2
      fail "rsync would copy between $1 and $2"
    }
  fi
}

# as_mounted DIR: DIR has what a mount shows that stores nothing.
as_mounted() {
  mount_region -o ro
  same "$mount" "$1"
  leave
}

# flip ADDRESS: one bit of the region.
flip() {
  byte=$(dd if="$region" bs=1 skip="$1" count=1 status=none | od -An -tu1 | tr -d ' ')
  printf '%b' "\\0$(printf %o $((byte ^ 1)))" |
    dd of="$region" bs=1 seek="$1" conv=notrunc status=none
}

# addr_of PATH: of the first byte of a file.
addr_of() {
  printf '%d\n' "$("$CTL" dump --path "$1" "$region" |
    sed -n 's/^  extent off=0 .* addr=\(0x[0-9a-f]*\) .*/\1/p')"
}

make_tree() {
  mkdir -p "$1/dir/empty" "$1/-dash" "$1/closed/inner"
  # First, and so in one record: later it may meet the end of a segment.
  head -c 100000 /dev/urandom >"$work/random"
  dd if="$work/random" of="$1/hurt" bs=100000 status=none
  head -c 3000000 /dev/urandom >"$1/dir/big"
  printf 'small\n' >"$1/dir/small"
  : >"$1/dir/nothing"
  printf 'odd\n' >"$1/dir/$(printf 'new\nline \377')"
  printf 'x\n' >"$1/closed/inner/file"
  truncate -s 50M "$1/sparse"
  printf 'middle' | dd of="$1/sparse" bs=1 seek=20000000 conv=notrunc status=none
  fallocate -n -l 1M "$1/dir/small"
  ln "$1/dir/small" "$1/hard"
  ln "$1/dir/small" "$1/dir/harder"
  ln "$1/dir/$(printf 'new\nline \377')" "$1/odd-link"
  ln -s ../elsewhere "$1/dir/symlink"
  ln "$1/dir/symlink" "$1/hardlink-to-symlink" || true
  mkfifo "$1/fifo"
  setfattr -n user.colour -v blue "$1/dir/big"
  setfattr -n user.dir -v "$(seq -s ' ' 400)" "$1/dir"
  setfacl -m u:1:rwx -m d:g:2:r-x "$1/dir"
  setfacl -m u:3:r "$1/hurt"
  for i in $(seq 200); do printf '%s\n' "$i" >>"$1/dir/empty/../pieces"; done
  deep=$1/deep
  for i in $(seq 60); do deep=$deep/directory; done
  mkdir -p "$deep"
  echo down >"$deep/file"
  if [ -n "$root" ]; then
    mknod "$1/null" c 1 3
    mknod "$1/block" b 700 70000
    chown 1234:5678 "$1/dir/big"
    chown -h 12:34 "$1/dir/symlink"
    setfattr -n trusted.t -v secret "$1/hurt"
    printf 'suid\n' >"$1/suid"
    chown 1:1 "$1/suid"
    chmod 6755 "$1/suid"
  fi
  touch -d '2001-02-03 04:05:06.789012345' "$1/dir/big" "$1/fifo"
  touch -h -d '1969-12-31 23:00:00.5' "$1/dir/symlink"
  chmod 000 "$1/closed/inner/file"
  chmod 500 "$1/closed/inner" "$1/closed"
  touch -d '2011-11-11 11:11:11.111111111' "$1/dir" "$1/closed" "$1"
}

need setfattr setfacl || exit 77

"$MKFS" -q -s 32M "$region"
mount_region
make_tree "$mount"

say "extract: not while it is mounted"
daemon=$(daemon_pid)
kill -STOP "$daemon" # what the tree was made with may still be on its way into the region
looks 1 "$CTL" extract "$region" "$work/none"
kill -CONT "$daemon"
says "in use"
[ ! -e "$work/none" ] || fail "something was made"

say "extract: an unclean region, recovered in memory"
kill -9 "$daemon"
umount -l "$mount"
looks 0 "$CTL" extract "$region" "$work/unclean"
says "recovered"
as_mounted "$work/unclean"
mount_region
leave

say "extract: all of it, into a directory that is there or not"
looks 0 "$CTL" extract "$region" "$work/copy"
as_mounted "$work/copy"
mkdir -m 711 "$work/there"
looks 0 "$CTL" extract --json "$region" "$work/there/"
[ "$(stat -c %a "$work/there")" = 711 ] || fail "a directory that was there has changed"
chmod 755 "$work/there"
touch -r "$work/copy" "$work/there"
same "$work/copy" "$work/there"
says '"problem_count": 0'
# A file that reads as zeros for 50 MiB takes next to nothing.
[ "$(stat -c %b "$work/copy/sparse")" -lt 200 ] || fail "the sparse file is full"

say "extract: a file, a tree"
looks 0 "$CTL" extract "$region" dir/big "$work/new"
cmp "$work/new" "$work/copy/dir/big"
mkdir "$work/into"
looks 0 "$CTL" extract "$region" /dir/./big/ "$work/into"
cmp "$work/into/big" "$work/copy/dir/big"
looks 0 "$CTL" extract "$region" //dir "$work/tree"
diff -r --no-dereference "$work/tree" "$work/copy/dir" >&2 || fail "the tree is another"
looks 0 "$CTL" extract "$region" /hard "$work/into"
looks 1 "$CTL" extract "$region" /dir/../hurt "$work/into"
says "Invalid argument"
looks 1 "$CTL" extract "$region" /no/where "$work/into"
says "No such file"
looks 1 "$CTL" extract "$region" "$work/new"
says "Not a directory"
looks 1 "$CTL" extract "$region" "$work/no/where"
says "No such file"

mkdir "$work/here"
cd "$work/here"
looks 1 "$CTL" extract "$region" /hard ""
looks 1 "$CTL" extract "$region" ""
says "No such file"
[ -z "$(ls -A)" ] || fail "files without a destination went somewhere"
cd "$OLDPWD"

say "extract: what is there stays, or is replaced"
echo mine >"$work/into/big"
looks 4 "$CTL" extract "$region" /dir/big "$work/into"
says "'/dir/big': File exists"
[ "$(cat "$work/into/big")" = mine ] || fail "a file was overwritten"
looks 0 "$CTL" extract --overwrite "$region" /dir/big "$work/into"
cmp "$work/into/big" "$work/copy/dir/big"
looks 4 "$CTL" extract "$region" "$work/copy"
as_mounted "$work/copy"
looks 0 "$CTL" extract --overwrite "$region" "$work/copy"
touch -r "$work/unclean" "$work/copy"
same "$work/copy" "$work/unclean"

say "extract: a list is JSON, whatever files are called"
mkdir -p "$work/odd/odd-link/in-the-way"
looks 4 "$CTL" extract --json --overwrite "$region" "$work/odd"
says "cannot be a hard link to"
says '"reason_hex"'
iconv -f UTF-8 -t UTF-8 "$work/out" >/dev/null || fail "the list is no UTF-8"

say "extract: no symbolic link leads out"
mkdir "$work/out.dir" "$work/trap"
echo safe >"$work/outside"
ln -s "$work/out.dir" "$work/trap/dir"
ln -s "$work/outside" "$work/trap/hurt"
ln -s "$work/outside" "$work/trap/fifo"
looks 4 "$CTL" extract "$region" "$work/trap"
says "'/dir': File exists"
says "'/hurt': File exists"
[ -z "$(ls -A "$work/out.dir")" ] && [ "$(cat "$work/outside")" = safe ] || fail "it was followed"
[ -L "$work/trap/dir" ] || fail "it was replaced"
rm -rf "$work/trap"
mkdir "$work/trap"
ln -s "$work/out.dir" "$work/trap/dir"
ln -s "$work/outside" "$work/trap/hurt"
looks 0 "$CTL" extract --overwrite "$region" "$work/trap"
[ -z "$(ls -A "$work/out.dir")" ] && [ "$(cat "$work/outside")" = safe ] || fail "it was followed"
[ -d "$work/trap/dir" ] && [ ! -L "$work/trap/dir" ] || fail "it is no directory"
# A file that has another name elsewhere is not written through either.
rm -rf "$work/trap"
mkdir "$work/trap"
ln "$work/outside" "$work/trap/hurt"
looks 0 "$CTL" extract --overwrite "$region" "$work/trap"
[ "$(cat "$work/outside")" = safe ] || fail "a hard link was written through"

if [ -n "$root" ] && command -v setpriv >/dev/null; then
  say "extract: as nobody"
  cp "$CTL" "$work/keepalivectl"
  chmod 755 "$work"
  mkdir "$work/theirs"
  cp --sparse=always "$region" "$work/theirs/region"
  chown -R 65534:65534 "$work/theirs"
  expect 4 setpriv --reuid 65534 --regid 65534 --clear-groups \
    "$work/keepalivectl" extract "$work/theirs/region" "$work/theirs/copy"
  says "'/null': cannot be copied"
  says "2 problems"
  [ "$(stat -c '%U %a' "$work/theirs/copy/suid")" = "nobody 755" ] || fail "suid is kept"
  cmp "$work/theirs/copy/dir/big" "$work/copy/dir/big"
fi

say "dump: one thing"
looks 0 "$CTL" dump --path /hurt "$region"
says "size                 100000"
hurt=$(addr_of /hurt)
looks 0 "$CTL" dump --offset "$((hurt + 50000))" "$region"
says "part                 data"
says "part_off             50000"
says "payload              ok"
looks 0 "$CTL" dump --json --path dir "$region"
says '"name": "pieces"'
says '"cookie": '
looks 0 "$CTL" dump --inode 1 "$region"
says "name='deep'"
looks 0 "$CTL" dump --path /dir/symlink "$region"
says "target               '../elsewhere'"
looks 0 "$CTL" dump --offset 0 "$region"
says "superblock copy 0"
looks 1 "$CTL" dump --inode 123456 "$region"
says "there is no inode 123456"

say "image: one that is killed on the way leaves nothing"
mkdir "$work/killed"
status=0
(
  ulimit -f 1000
  exec env --default-signal=XFSZ "$CTL" image "$region" "$work/killed/image"
) >"$work/out" 2>&1 || status=$?
[ "$status" -gt 128 ] || fail "it was not killed: $status"
[ -z "$(ls -A "$work/killed")" ] || fail "left behind: $(ls -A "$work/killed")"

say "image: to a file that is a region itself"
looks 0 "$CTL" image "$region" "$work/image"
[ "$(stat -c '%s %a' "$work/image")" = "$(stat -c %s "$region") 600" ] || fail "size or mode"
[ "$(stat -c %b "$work/image")" -lt $((12 << 11)) ] || fail "the image is not sparse"
"$FSCK" -n -f "$work/image" >/dev/null || fail "fsck of the image says $?"
expect 0 "$CTL" extract "$work/image" "$work/from-image"
same "$work/copy" "$work/from-image"
looks 1 "$CTL" image "$region" "$work/image"
says "it exists"
looks 0 "$CTL" image -f --json "$region" "$work/image"
says '"problem_count": 0'
looks 1 "$CTL" image -f "$region" "$region"
says "the region itself"
looks 1 "$CTL" image -f "$region" "$work/into"
says "no regular file"
[ -z "$(find "$work" -maxdepth 1 -name 'image.*')" ] || fail "something is left over"

say "image --restore: over another life of the same filesystem"
cp --sparse=always "$region" "$work/other"
mount_region
for i in $(seq 40); do head -c 300000 /dev/urandom >"$mount/life$i"; done
kill -9 "$(daemon_pid)"
umount -l "$mount"
looks 1 "$CTL" image --restore "$work/image" "$region"
says "use -f"
expect 0 "$CTL" image --restore -f "$work/image" "$region"
check_region
as_mounted "$work/copy"
mount_region
echo again >"$mount/again"
kill -9 "$(daemon_pid)"
umount -l "$mount"
mount_region
[ "$(cat "$mount/again")" = again ] || fail "the file is not there"
[ ! -e "$mount/life1" ] || fail "another life is back"
rm "$mount/again"
touch -d '2011-11-11 11:11:11.111111111' "$mount"
same "$mount" "$work/copy"
leave
check_region

say "image --restore: larger, too small, in use, foreign"
truncate -s 48M "$work/target"
expect 0 "$CTL" image --restore "$work/image" "$work/target"
"$FSCK" -n -f "$work/target" >/dev/null || fail "fsck of the larger target says $?"
rm "$work/target"
truncate -s 24M "$work/target"
expect 1 "$CTL" image --restore -f "$work/image" "$work/target"
says "too small"
truncate -s 32M "$work/target"
head -c 32M /dev/urandom >"$work/target"
printf 'SWAPSPACE2' | dd of="$work/target" bs=1 seek=4086 conv=notrunc status=none
printf '\001\0\0\0\377\017\0\0' | dd of="$work/target" bs=1 seek=1024 conv=notrunc status=none
cp "$work/target" "$work/target.before"
expect 1 "$CTL" image --restore "$work/image" "$work/target"
says "a swap signature"
cmp "$work/target" "$work/target.before" || fail "a refusal changed the target"
rm "$work/target.before"
expect 0 "$CTL" image --restore -f "$work/image" "$work/target"
"$FSCK" -n -f "$work/target" >/dev/null || fail "fsck of the target says $?"
expect 0 "$CTL" extract "$work/target" "$work/restored"
same "$work/copy" "$work/restored"
mount_region
expect 1 "$CTL" image --restore -f "$work/image" "$region"
says "in use"
expect 1 "$CTL" image "$region" "$work/none"
says "in use"
leave

say "image --restore: killed in the middle"
whole=0
for i in 010 020 030 050 080 120 180 270 400 600; do
  # Before, there is the filesystem of the last round, or none.
  timeout -s KILL "0.$i" "$CTL" image --restore -f "$work/image" "$work/target" \
    >"$work/out" 2>&1 && whole=$((whole + 1))
  if "$CTL" status "$work/target" >"$work/out" 2>&1 && ! grep -q wiped "$work/out"; then
    "$FSCK" -n -f "$work/target" >"$work/out" 2>&1 || fail "fsck says $? after $i ms"
  else
    grep -qE 'not a keepalivefs region|are destroyed|wiped' "$work/out" ||
      fail "status after $i ms: $(cat "$work/out")"
  fi
done
echo "$whole of 10 were in time"
expect 0 "$CTL" image --restore -f "$work/image" "$work/target"
"$FSCK" -n -f "$work/target" >/dev/null || fail "fsck of the target says $?"

say "image: of what is not clean"
mount_region
echo unclean >"$mount/unclean"
kill -9 "$(daemon_pid)"
umount -l "$mount"
looks 0 "$CTL" image -f "$region" "$work/image"
expect 0 "$CTL" status "$work/image"
says "unclean"
rm "$work/target"
truncate -s 32M "$work/target"
expect 0 "$CTL" image --restore "$work/image" "$work/target"
expect 0 "$CTL" extract "$work/target" /unclean "$work/into"
[ "$(cat "$work/into/unclean")" = unclean ] || fail "the last file is missing"
mount_region
rm "$mount/unclean"
touch -d '2011-11-11 11:11:11.111111111' "$mount"
leave

say "damaged data: a hole, a line, and everything else"
hurt=$(addr_of /hurt)
flip $((hurt + 20000))
flip $((hurt + 90000))
rm -rf "$work/unclean"
looks 4 "$CTL" extract "$region" "$work/unclean"
says "'/hurt': bytes 16384-32767 are damaged: payload checksum is wrong"
says "'/hurt': bytes 81920-98303 are damaged"
says "2 problems"
head -c 16384 "$work/copy/hurt" >"$work/want"
head -c 16384 /dev/zero >>"$work/want"
tail -c +32769 "$work/copy/hurt" | head -c 49152 >>"$work/want"
head -c 16384 /dev/zero >>"$work/want"
tail -c +98305 "$work/copy/hurt" >>"$work/want"
cmp "$work/unclean/hurt" "$work/want" || fail "the damaged file has other bytes"
cp -a "$work/copy/hurt" "$work/unclean/hurt"
same "$work/copy" "$work/unclean"
looks 4 "$CTL" extract --json "$region" /hurt "$work/json"
says '"path": "/hurt"'
says '"off": 16384'
says '"reason": "payload checksum is wrong"'
looks 0 "$CTL" dump --path /hurt "$region"
says "extent off=16384 len=16384 data=damaged"
looks 4 "$CTL" image -f "$region" "$work/image"
says "'/hurt': bytes 16384-32767"
cmp "$work/image" "$region" || fail "the image of a damaged region is another"
rm "$work/target"
truncate -s 32M "$work/target"
expect 4 "$CTL" image --restore "$work/image" "$work/target"
status=0
"$FSCK" -n -f "$work/target" >/dev/null 2>&1 || status=$?
[ "$status" -eq 4 ] || fail "fsck of a damaged copy says $status"
looks 0 "$CTL" dump --offset "$hurt" "$region"
says "payload              damaged"
flip $((hurt + 20000))
flip $((hurt + 90000))

say "a damaged record, superblock, checkpoint"
record=$(printf '%d' "$("$CTL" dump --path /hurt "$region" |
  sed -n 's/.* record=\(0x[0-9a-f]*\) .*/\1/p')")
flip $((record + 60))
rm -rf "$work/unclean"
looks 4 "$CTL" extract "$region" "$work/unclean"
says "'/hurt': bytes 0-99999 are damaged: extent does not point at its record"
looks 0 "$CTL" dump --offset "$record" "$region"
says "record checksum is wrong"
flip $((record + 60))
flip 300
looks 0 "$CTL" dump --offset 0 "$region"
says "checksum is wrong"
rm -rf "$work/unclean"
looks 0 "$CTL" extract "$region" "$work/unclean"
same "$work/copy" "$work/unclean"
flip 300
# dump tells where both checkpoints are; the second one stays whole.
newest=$(printf '%d' "$("$CTL" dump "$region" |
  sed -n 's/^newest checkpoint: .* addr=\(0x[0-9a-f]*\) .*/\1/p')")
flip $((newest + 200))
rm -rf "$work/unclean"
looks 0 "$CTL" extract "$region" "$work/unclean"
says "the newest checkpoint"
same "$work/copy" "$work/unclean"
looks 4 "$CTL" image -f "$region" "$work/image"
says "everything is copied"
cmp "$work/image" "$region" || fail "the image of a damaged region is another"
flip $((newest + 200))
check_region

say "seal: nothing changes afterwards, mapped pages are there, and no recovery"
mount_region
mkfifo "$work/go" "$work/told"
"$SEALED" "$mount/mapped" 4000000 <"$work/go" >"$work/told" &
holder=$!
exec 7>"$work/go" 8<"$work/told"
read -r line <&8
[ "$line" = ready ] || fail "it did not begin"
exec 9>>"$mount/open-file"
expect 0 "$CTL" seal "$mount"
expect 0 "$CTL" status "$mount"
says "State:             sealed"
before=$(sum)
for what in "touch $mount/new" "mkdir $mount/new" "rm $mount/hard" "mv $mount/hard $mount/h" \
  "ln $mount/hard $mount/h" "ln -s x $mount/h" "chmod 600 $mount/hard" \
  "setfattr -n user.x -v y $mount/hard" "truncate -s 1 $mount/hard" "rmdir $mount/dir/empty"; do
  # shellcheck disable=SC2086 # a command and its arguments
  expect 1 $what
  says "Read-only file system"
done
echo x 2>"$work/out" >&9 && fail "an open file can be written"
echo >&7
for i in pwrite ftruncate fallocate fchmod futimens fsetxattr; do
  read -r line <&8
  [ "$line" = "$i EROFS" ] || fail "not EROFS: $line"
done
read -r line <&8
[ "$line" = "pread done" ] || fail "reading fails: $line"
cat "$mount/hurt" >/dev/null
ls -lR "$mount" >/dev/null
expect 0 "$CTL" seal "$mount"
[ "$(sum)" = "$before" ] || fail "a sealed region has changed"

say "seal --off: as before"
expect 0 "$CTL" seal --off "$mount"
expect 0 "$CTL" status "$mount"
says "State:             mounted"
echo more >&9
echo >&7
for i in pwrite ftruncate fallocate fchmod futimens fsetxattr; do
  read -r line <&8
  [ "$line" = "$i done" ] || fail "not done: $line"
done
read -r line <&8
exec 7>&- 8<&-
wait "$holder"
expect 0 "$CTL" seal --off "$mount"
head -c 2000000 /dev/urandom >"$work/last"
cp "$work/last" "$mount/last"
expect 0 "$CTL" seal "$mount"
exec 9>&-

say "seal: the daemon dies, the state is clean"
kill -9 "$(daemon_pid)"
umount -l "$mount"
looks 0 "$CTL" status --json "$region"
says '"state": "sealed"'
says '"last_unclean_shutdown"'
before=$(sum)
mount_region -o ro
cmp "$mount/last" "$work/last"
expect 1 "$CTL" seal "$mount"
says "mounted read-only"
leave
[ "$(sum)" = "$before" ] || fail "a read-only mount changed a sealed region"
recovered=$("$CTL" status --json "$region" | grep last_unclean)
mount_region
[ "$("$CTL" status --json "$mount" | grep last_unclean)" = "$recovered" ] || fail "it was recovered"
expect 0 "$CTL" status "$mount"
says "State:             mounted"
cmp "$mount/last" "$work/last"
[ "$(cat "$mount/open-file")" = more ] || fail "the open file has other bytes"

say "seal: mapped pages were written back"
mkfifo "$work/go2" "$work/told2"
"$SEALED" "$mount/mapped2" 8000000 <"$work/go2" >"$work/told2" &
holder=$!
exec 7>"$work/go2" 8<"$work/told2"
read -r line <&8
expect 0 "$CTL" seal "$mount"
kill -9 "$(daemon_pid)"
exec 7>&- 8<&-
wait "$holder" || true
umount -l "$mount"
looks 0 "$CTL" extract "$region" /mapped2 "$work/mapped2"
head -c 8000000 /dev/zero | tr '\0' m | cmp - "$work/mapped2" || fail "pages are missing"

say "seal: umount leaves it sealed, and so does a signal"
mount_region
expect 0 "$CTL" seal "$mount"
leave
check_region
expect 0 "$CTL" status "$region"
says "sealed"
mount_region
rm "$mount/mapped" "$mount/mapped2" "$mount/last" "$mount/open-file"
leave
expect 0 "$CTL" status "$region"
says "clean"
check_region

say "seal: who may, and where"
expect 1 "$CTL" seal "$work"
says "not of a keepalivefs"
expect 1 "$CTL" seal "$work/nowhere"
says "No such file"
if [ -n "$root" ] && command -v setpriv >/dev/null; then
  cp "$CTL" "$work/keepalivectl"
  chmod 755 "$work"
  mount_region -o allow_other
  expect 1 setpriv --reuid 65534 --regid 65534 --clear-groups "$work/keepalivectl" seal "$mount"
  says "Operation not permitted"
  expect 0 "$CTL" status "$mount"
  says "State:             mounted"
  unmount_region
fi
