#!/bin/sh
# operations.sh - fuse_ops on a mount, and what only a script can do: signals, two daemons,
# fstab-style mounts, a full region.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# Gone is a zombie, too, where nobody waits for orphans, when its last thread is.
wait_gone() {
  for _ in $(seq 100); do
    [ -e "/proc/$1/stat" ] || return 0
    case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in
    '') return 0 ;;
    Z*) [ "$(find "/proc/$1/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" -gt 1 ] || return 0 ;;
    esac
    sleep 0.05
  done
  fail "the daemon does not end"
}

"$MKFS" -q -s 64M "$region"

say "system calls"
mount_region
mkdir "$mount/ops"
"$FUSE_OPS" "$mount/ops"
say "what is written in one way is seen in all others"
"$COHERENCE" "$mount/ops" "${KA_ROUNDS:-200}"

say "a second daemon is refused"
mkdir "$work/second"
if "$KEEPALIVEFS" "$region" "$work/second" 2>"$work/err"; then
  fail "two daemons on one region"
fi
[ "$(wc -l <"$work/err")" -eq 1 ] || fail "not one line: $(cat "$work/err")"
! "$FSCK" -p "$region" 2>/dev/null || fail "fsck runs under a daemon"
! "$MKFS" -f "$region" 2>/dev/null || fail "mkfs runs under a daemon"
unmount_region
check_region

say "SIGTERM and SIGINT unmount cleanly, SIGHUP does not"
for signal in TERM INT; do
  mount_region
  echo "$signal" >"$mount/$signal"
  pid=$(daemon_pid)
  kill -HUP "$pid"
  sleep 0.1
  [ "$(cat "$mount/$signal")" = "$signal" ] || fail "SIGHUP ended the daemon"
  kill -"$signal" "$pid"
  wait_gone "$pid"
  "$CTL" status --json "$region" | grep -q '"state": *"clean"' || fail "not clean after $signal"
  ! mountpoint -q "$mount" || fail "still mounted after $signal"
done
check_region

if [ -n "${MOUNT_HELPER:-}" ]; then
  say "a remount changes what becomes of times of access"
  mount_region
  echo text >"$mount/read"
  "$MOUNT_HELPER" "$region" "$mount" -o remount,noatime
  before=$(stat -c %x "$mount/read")
  cat "$mount/read" >/dev/null
  [ "$(stat -c %x "$mount/read")" = "$before" ] || fail "it was updated"
  "$MOUNT_HELPER" "$region" "$mount" -o remount,ro
  cat "$mount/read" >/dev/null
  [ "$(stat -c %x "$mount/read")" = "$before" ] || fail "it was updated in a read-only mount"
  ! echo 2>/dev/null >"$mount/read" || fail "it is not read-only"
  "$MOUNT_HELPER" "$region" "$mount" -o remount,rw
  cat "$mount/read" >/dev/null
  [ "$(stat -c %x "$mount/read")" != "$before" ] || fail "it was not updated"
  unmount_region
  mount_region -o nodiratime
  "$MOUNT_HELPER" "$region" "$mount" -o remount,rw
  before=$(stat -c %x "$mount")
  touch "$mount/new"
  ls "$mount" >/dev/null
  [ "$(stat -c %x "$mount")" = "$before" ] || fail "nodiratime did not last"
  unmount_region
fi

say "kill -9 leaves it unclean, and mounting recovers"
mount_region
echo precious >"$mount/file"
pid=$(daemon_pid)
kill -9 "$pid"
wait_gone "$pid"
umount -l "$mount"
"$CTL" status --json "$region" | grep -q '"state": *"unclean"' || fail "not unclean"
mount_region
[ "$(cat "$mount/file")" = precious ] || fail "the file is lost"
"$CTL" status --json "$mount" | grep -q '"state": *"mounted"' || fail "not mounted"
unmount_region
check_region
