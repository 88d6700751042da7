#!/bin/sh
# sandbox.sh - what a daemon that serves can still do, and what its helper does for it.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# helper_of DAEMON
helper_of() {
  pgrep -P "$1"
}

gone() {
  for _ in $(seq 100); do
    case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in
    '' | Z*) return 0 ;;
    esac
    sleep 0.1
  done
  return 1
}

# field NAME STATUS_FILE
field() {
  sed -n "s/^$1:[[:space:]]*//p" "$2"
}

# can NUMBER: whether this test has the capability.
can() {
  [ $((0x$(field CapEff /proc/self/status) >> $1 & 1)) -eq 1 ]
}
SYS_RESOURCE=24
IPC_LOCK=14

# Where the limit of locked memory cannot be lifted, as in many containers, the right to lock stays.
caps_left=0000000000000000
if [ "$(id -u)" -eq 0 ] && ! can $SYS_RESOURCE && can $IPC_LOCK &&
  ! grep -q '^Max locked memory *unlimited' /proc/self/limits; then
  caps_left=0000000000004000
fi

# Every thread of it, those that are made when they are needed too.
check_daemon() {
  threads=0
  for status in "/proc/$1"/task/*/status; do
    threads=$((threads + 1))
    for caps in CapPrm CapEff; do
      [ "$(field $caps "$status")" = $caps_left ] || fail "$caps in $status"
    done
    [ "$(field NoNewPrivs "$status")" = 1 ] || fail "new privileges in $status"
    [ "$(field Seccomp "$status")" = 2 ] || fail "no filter in $status"
  done
  [ $threads -ge "$2" ] || fail "only $threads threads"
}

"$MKFS" -q -s 128M "$region"
[ "$(stat -c %a "$region")" = 600 ] || fail "others can open the region"

say "no capabilities, no new privileges, a filter, in each thread"
mount_region
pid=$(daemon_pid)
check_daemon "$pid" 3
if [ "$(id -u)" -eq 0 ]; then
  [ "$(field CapBnd "/proc/$pid/status")" = 0000000000000000 ] || fail "CapBnd"
  ! can $SYS_RESOURCE || [ "$(cat "/proc/$pid/oom_score_adj")" = -1000 ] || fail "oom_score_adj"
  # The runtime of ASan makes mlockall do nothing.
  ! can $IPC_LOCK || grep -q libasan "/proc/$pid/maps" ||
    [ "$(field VmLck "/proc/$pid/status" | tr -dc 0-9)" -gt 1000 ] ||
    fail "memory is not locked"
fi

say "threads that come later"
writers=
for i in 1 2 3 4; do
  (head -c 20000000 /dev/zero | dd of="$mount/file$i" bs=1M conv=fsync status=none) &
  writers="$writers $!"
done
# shellcheck disable=SC2086 # a list
wait $writers
check_daemon "$pid" 4
rm "$mount"/file?

say "the helper: the right to mount, to get there, and no more; none of the daemon's files"
helper=$(helper_of "$pid")
if [ "$(id -u)" -eq 0 ]; then
  [ "$(field CapEff "/proc/$helper/status")" = 0000000000200004 ] || fail "CapEff of the helper"
  [ "$(field NoNewPrivs "/proc/$helper/status")" = 1 ] || fail "new privileges of the helper"
  [ "$(cat /sys/class/bdi/"$(stat -c '%Hd:%Ld' "$mount")"/read_ahead_kb)" = 2048 ] ||
    fail "read-ahead"
fi
[ "$(find "/proc/$helper/fd" -mindepth 1 | wc -l)" -eq 4 ] || fail "descriptors of the helper"
! grep -q -F "$region" "/proc/$helper/maps" || fail "the helper maps the region"

say "it outlives the signals that end the daemon, and unmounts"
kill -TERM "$helper" "$pid"
gone "$pid" || fail "the daemon does not end"
gone "$helper" || fail "the helper does not end"
! mountpoint -q "$mount" || fail "still mounted"
check_region

say "busy: detached, and the daemon ends"
mount_region
: >"$mount/hold"
pid=$(daemon_pid)
exec 9<"$mount/hold"
kill -TERM "$pid"
gone "$pid" || fail "the daemon does not end"
! mountpoint -q "$mount" || fail "still mounted"
exec 9<&-
check_region

say "killed: the helper ends, and leaves the mount"
mount_region
pid=$(daemon_pid)
helper=$(helper_of "$pid")
kill -9 "$pid"
gone "$helper" || fail "the helper does not end"
grep -q " $mount fuse.keepalivefs" /proc/self/mounts || fail "the mount is gone"
umount -l "$mount"

say "no helper: the daemon serves, and ends"
mount_region
pid=$(daemon_pid)
kill -9 "$(helper_of "$pid")"
echo served >"$mount/file"
kill -TERM "$pid"
gone "$pid" || fail "the daemon does not end"
umount -l "$mount"
check_region

say "a helper that is stopped: the daemon ends, and says how to unmount"
mount_region
pid=$(daemon_pid)
helper=$(helper_of "$pid")
kill -STOP "$helper"
kill -TERM "$pid"
ended=1
gone "$pid" || ended=
kill -CONT "$helper"
[ $ended ] || fail "the daemon waits for its helper"
gone "$helper" || fail "the helper does not end"
! mountpoint -q "$mount" || fail "the helper has not unmounted when it was continued"
check_region

say "somebody unmounted it while it was busy, and mounted something else there"
if [ "$(id -u)" -eq 0 ]; then
  mount_region
  pid=$(daemon_pid)
  exec 9<"$mount/hold"
  umount -l "$mount"
  mount -t tmpfs none "$mount"
  kill -TERM "$pid"
  gone "$pid" || fail "the daemon does not end"
  exec 9<&-
  mountpoint -q "$mount" || fail "it unmounted what is not its own"
  umount "$mount"
  check_region
fi

say "in the foreground, with libfuse's messages"
"$KEEPALIVEFS" -f -o debug "$region" "$mount" 2>"$work/debug" &
pid=$!
for _ in $(seq 100); do
  ! mountpoint -q "$mount" || break
  sleep 0.1
done
[ "$(cat "$mount/file")" = served ] || fail "the file"
unmount_region
wait $pid || fail "the daemon ends with $?"
grep -q 'opcode: READ' "$work/debug" || fail "no messages"
check_region
