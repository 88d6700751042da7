#!/bin/sh
# test-fsck.sh - each kind of damage, what fsck says of it, what it repairs, and that a second
# run finds nothing. Needs DAMAGE and FSCK.
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/keepalive-fsck.XXXXXX")
trap 'rm -rf "$work"' EXIT
region=$work/region
failed=0

bad() {
  printf 'not ok - %s: %s\n' "$kind" "$*"
  sed 's/^/  /' "$work/out"
  failed=1
}

run() { # run EXPECTED OPTION...: a region stays as it is under -n
  expected=$1
  shift
  before=$(cksum <"$region")
  status=0
  "$FSCK" "$@" "$region" >"$work/out" 2>&1 || status=$?
  [ "$status" -eq "$expected" ] || bad "fsck $* says $status, not $expected"
  case $* in
  *-n*) [ "$before" = "$(cksum <"$region")" ] || bad "fsck $* changed the region" ;;
  esac
}

# check KIND PROBLEM N P Y: the number that fsck names (- for none), and the status of -n -f,
# of -p -f, and of -y -f on another copy. After a repair everything has to be clean.
check() {
  kind=$1 problem=$2 n=$3 p=$4 y=$5
  rm -f "$region"
  truncate -s 16M "$region"
  "$DAMAGE" "$region" "$kind"
  cp "$region" "$work/copy"
  run "$n" -n -f
  if [ "$problem" = - ]; then
    ! grep -q '\[[0-9]*\]' "$work/out" || bad "names a problem"
  else
    grep -q "\\[$problem\\]" "$work/out" || bad "does not name problem $problem"
  fi
  run "$p" -p -f
  [ "$p" -gt 1 ] || run 0 -n -f
  cp "$work/copy" "$region"
  run "$y" -y -f
  [ "$y" -gt 1 ] || run 0 -n -f
  printf 'ok - %s\n' "$kind"
}

#     kind           problem  -n -p -y
check super0         1        4  1  1
check super1         1        4  1  1
check both-supers    -        8  8  8
check ckpt-newest    10       4  1  1
check ckpt-older     12       4  1  1
check both-ckpts     11       4  4  4
check data-piece     30       4  4  1
check data-head      30       4  5  1
check segment-header 21       4  1  1
check nlink          41       4  1  1
check no-name        40       4  4  1
check no-name-dir    40       4  4  1
check loop           42       4  4  1
check flagged        60       4  1  1
check unclean        -        0  1  1
check torn-last      -        0  1  1
check lost-middle    20       4  4  1

exit $failed
