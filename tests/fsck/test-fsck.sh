#!/bin/sh
# test-fsck.sh - bad images: what fsck says of each, what it repairs, and that a second run finds
# nothing.
#
# Each directory NNN-KIND here is one image, made by damage FILE KIND. expect.1 is what the first
# run says, with -n, then with -p and with -y, each on a copy of its own, and the exit status;
# expect.2 what -n -f says of those two then. To add one: a kind in damage.c, an empty directory, and
# UPDATE=1, which writes both files; read them before you believe them.
#
# Needs DAMAGE and FSCK.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/keepalive-fsck.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0

bad() {
  printf 'not ok - %s: %s\n' "$name" "$*"
  failed=1
}

# say OUT REGION OPTION...: runs it and adds what it says to OUT. -n leaves the region as it is.
say() {
  out=$1 region=$2
  shift 2
  before=$(cksum <"$region")
  status=0
  "$FSCK" "$@" "$region" >"$work/said" 2>&1 || status=$?
  case $* in
  *-n*) [ "$before" = "$(cksum <"$region")" ] || bad "fsck $* changed the region" ;;
  esac
  {
    printf '$ fsck %s\n' "$*"
    sed "s|$region|REGION|g" "$work/said"
    printf 'status %d\n' "$status"
  } >>"$out"
}

compare() {
  if [ -n "${UPDATE-}" ]; then
    cp "$1" "$2"
  elif ! diff -u "$2" "$1" >"$work/diff" 2>&1; then
    bad "$(basename "$2") differs"
    sed 's/^/  /' "$work/diff"
  fi
}

for dir in "$here"/[0-9][0-9][0-9]-*/; do
  name=$(basename "$dir")
  rm -f "$work"/r "$work"/p "$work"/y "$work"/1 "$work"/2
  truncate -s 4M "$work/r"
  "$DAMAGE" "$work/r" "${name#*-}"
  cp "$work/r" "$work/p"
  cp "$work/r" "$work/y"
  say "$work/1" "$work/r" -n -f
  say "$work/1" "$work/p" -p -f
  say "$work/1" "$work/y" -y -f
  [ "$status" -gt 1 ] || repaired=yes
  say "$work/2" "$work/p" -n -f
  say "$work/2" "$work/y" -n -f
  [ -z "${repaired-}" ] || [ "$status" -eq 0 ] || bad "the second run says $status"
  repaired=
  compare "$work/1" "$dir/expect.1"
  compare "$work/2" "$dir/expect.2"
  printf 'done - %s\n' "$name"
done
[ "${name-}" ] || bad "there are no images"
exit $failed
