# shellcheck shell=sh
# lib.sh - what the tests on real mounts share. Sourced with set -eu in force.
#
# Needs KEEPALIVEFS MKFS FSCK CTL: the programs; SOURCE: the root of the sources.
# Gives $work (a directory of its own), $region, $mount; cleans up at the end. KA_REGION: a
# device to use as the region, and to overwrite.

if [ ! -r /dev/fuse ] || [ ! -w /dev/fuse ]; then
  echo "skipped: /dev/fuse cannot be used here"
  exit 77
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/keepalive-test.XXXXXX")
region=${KA_REGION:-$work/region}
mount=$work/mnt
mkdir "$mount"

cleanup() {
  umount -l "$mount" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

say() {
  printf -- '-- %s\n' "$*"
}

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

# Whether programs are there; else what needs them is skipped, visibly.
need() {
  for program in "$@"; do
    command -v "$program" >/dev/null || {
      echo "skipped: $program is not installed"
      return 1
    }
  done
}

# shellcheck disable=SC2120 # options are the exception
mount_region() {
  "$KEEPALIVEFS" "$@" "$region" "$mount"
}

# A clean end: the next fsck waits for the daemon, as every tool does. Somebody who goes through
# all mounts may hold this one for a moment (stress-ng does, in a test beside).
unmount_region() {
  for _ in $(seq 50); do
    umount "$mount" 2>"$work/umount" && return
    grep -q busy "$work/umount" || break
    sleep 0.1
  done
  fail "$(cat "$work/umount")"
}

# The daemon that serves $region, by what it has open: the one before may still be on its way out,
# and where leaks are looked for at its end that makes a process of the same name.
daemon_pid() {
  for pid in $(pgrep -f "keepalivefs.* $region $mount"); do
    for fd in "/proc/$pid/fd/"*; do
      [ "$(readlink "$fd")" != "$region" ] || {
        echo "$pid"
        return
      }
    done
  done
  fail "no daemon has $region open"
}

check_region() {
  "$FSCK" -n -f "$region" || fail "fsck -n -f says $?"
}

# same_tree A B: both have the same files, modes, owners, times, links, contents.
same_tree() {
  "$SOURCE/scripts/tree-manifest" "$1" >"$work/manifest.a"
  "$SOURCE/scripts/tree-manifest" "$2" >"$work/manifest.b"
  diff "$work/manifest.a" "$work/manifest.b" >"$work/manifest.diff" || {
    head -n 20 "$work/manifest.diff" >&2
    fail "$1 and $2 differ"
  }
}
