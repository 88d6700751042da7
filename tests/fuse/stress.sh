#!/bin/sh
# stress.sh - fio with its own verification, stress-ng's filesystem stressors, and churn.c, on a
# mount; after each the filesystem is whole, and unmount and mount change nothing. KA_SEED: what
# a failure of churn printed.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"
trap 'exit 1' HUP INT TERM

# Everything about the tree is the same after unmount, fsck and mount.
mount_again() {
  "$SOURCE/scripts/tree-manifest" "$mount" >"$work/before"
  unmount_region
  check_region
  mount_region
  "$SOURCE/scripts/tree-manifest" "$mount" >"$work/after"
  diff "$work/before" "$work/after" >"$work/diff" || {
    head -n 20 "$work/diff" >&2
    fail "the mount changed the tree"
  }
}

#
# fio: each job has a file of its own, which fio writes, then reads and verifies.
#

# fio_engine NAME: the kernel, or what the test runs in, may be without it.
fio_engine() {
  fio --name=probe --filename="$work/probe" --size=4k --rw=write --ioengine="$1" \
    >"$work/fio" 2>&1 && return
  echo "skipped: fio has no engine $1 here: $(grep -m 1 -E 'fail|error|engine' "$work/fio")"
  return 1
}

fio_jobs() {
  cat <<-END
	[global]
	directory=$mount/fio
	size=40m
	rw=randwrite
	bsrange=512-64k
	verify=crc32c
	verify_fatal=1
	randseed=1
	group_reporting=1
	[job-buffered]
	ioengine=psync
	bs_unaligned=1
	[job-direct]
	ioengine=psync
	direct=1
	[job-mixed]
	ioengine=psync
	rw=randrw
	verify_backlog=32
	[job-append]
	ioengine=psync
	rw=write
	fallocate=none
	fsync=64
	END
  for engine in libaio io_uring; do
    ! fio_engine $engine >&2 || for direct in 0 1; do
      printf '[job-%s-%s]\nioengine=%s\niodepth=16\ndirect=%s\n' $engine $direct $engine $direct
    done
  done
  ! fio_engine mmap >&2 || printf '[job-mmap]\nioengine=mmap\n'
}

fio_run() { # fio_run OPTION...
  (cd "$work" && fio "$@" "$work/jobs" >"$work/fio" 2>&1) || {
    grep -vE '^ ' "$work/fio" | tail -n 20 >&2
    fail "fio $*"
  }
}

fio_verified() {
  mkdir "$mount/fio"
  fio_jobs >"$work/jobs"
  say "fio: $(grep -c '^\[job' "$work/jobs") jobs"
  fio_run
  mount_again
  say "fio: verifying after the mount"
  fio_run --verify_only
  rm -r "$mount/fio"
}

#
# stress-ng: those of its stressors that have something to do with files, all of a group at once.
#

names="dentry dir dirdeep dirmany filename getdent link mknod open rename symlink touch"
attributes="access chdir chmod chown fanotify fcntl flock fstat inotify lease locka lockf lockofd
utime xattr"
data="aio copy-file fallocate fpunch fsize hdd io iomix mmap readahead revio seek sendfile splice
sync-file"

stressors() { # stressors GROUP NAME...
  group=$1
  shift
  known=" $(stress-ng --stressors) "
  for name in "$@"; do
    case $known in
    *" $name "*) set -- "$@" "--$name" 1 ;;
    *) echo "skipped: this stress-ng has no $name" ;;
    esac
    shift
  done
  say "stress-ng: $group"
  stress-ng --temp-path "$mount/stress" --timeout 4 --verify --hdd-bytes 16M \
    --fallocate-bytes 16M --iomix-bytes 16M --mmap-file --mmap-bytes 8M --readahead-bytes 16M \
    --seek-size 8M --sync-file-bytes 16M "$@" >"$work/stress" 2>&1 || {
    status=$?
    grep -vE 'info: ' "$work/stress" | tail -n 20 >&2
    fail "stress-ng says $status"
  }
}

stress() {
  mkdir "$mount/stress"
  # shellcheck disable=SC2086 # lists of words
  stressors names $names
  # shellcheck disable=SC2086
  stressors attributes $attributes
  # shellcheck disable=SC2086
  stressors data $data
  left=$(ls -A "$mount/stress")
  [ -z "$left" ] || fail "stress-ng could not clean up: $left"
  mount_again
}

churn() {
  say "churn: eight processes in one tree"
  mkdir "$mount/churn"
  "$CHURN" run "$mount/churn" 8 ${KA_SEED:+"$KA_SEED"}
  mount_again
  "$CHURN" check "$mount/churn"
}

"$MKFS" -q -s 1G "$region"
mount_region
churn
if need fio; then fio_verified; fi
if need stress-ng; then stress; fi
unmount_region
check_region
