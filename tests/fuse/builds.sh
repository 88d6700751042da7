#!/bin/sh
# builds.sh - what developers and archives do on a mount: a C project is built and run there, a
# larger repository gathered and cloned, trees with ACLs and extended attributes packed and
# copied. All of it has to look the same after unmount and mount.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"
trap 'exit 1' HUP INT TERM

#
# This project itself: its core, and tests that need nothing else, as programs on the mount.
#

unit_tests="test_ops test_replay"

run_tests() {
  for name in $unit_tests; do
    "$mount/project/out/tests/unit/$name" >"$work/$name" 2>&1 ||
      fail "$name: $(tail -n 5 "$work/$name")"
  done
}

build_project() {
  say "build of a C project"
  mkdir "$mount/project"
  tar -C "$SOURCE" --exclude-vcs --exclude=./build --exclude-tag-all=build.ninja -cf - . |
    tar -C "$mount/project" -xf -
  (
    cd "$mount/project"
    meson setup out --buildtype=debug -Dfuse=disabled -Dprograms=disabled
    ninja -C out
  ) >"$work/build" 2>&1 || fail "build: $(tail -n 20 "$work/build")"
  nothing_to_do
  run_tests
}

# By the times of all files, as ninja remembers them.
nothing_to_do() {
  ninja -C "$mount/project/out" -n >"$work/build"
  grep -q 'no work to do' "$work/build" || fail "ninja wants to build again: $(cat "$work/build")"
}

#
# git: up to some thousand files in several commits.
#

git_commit() {
  git add -A
  git commit -q -m "$1"
}

git_clean() { # git_clean REPOSITORY: and by what the index remembers of each file, nothing read
  git -C "$1" fsck --full --strict >"$work/fsck" 2>&1 || fail "git fsck: $(cat "$work/fsck")"
  [ -z "$(git -C "$1" diff-files)" ] || fail "git diff-files: $1"
  [ -z "$(git -C "$1" status --porcelain)" ] || fail "git status: $1"
}

make_repository() {
  say "git: commits, gc, clone"
  git init -q "$mount/origin"
  (
    cd "$mount/origin"
    git config user.name test
    git config user.email test@example.org
    git config gc.auto 0
    mkdir one
    (cd /usr/include && find . -name '*.h' -type f -size -40k | LC_ALL=C sort | head -n 4000 |
      tar -T - -cf -) | tar -C one -xf -
    git_commit one
    cp -r one/linux two
    git mv one/linux three
    git_commit two
    find two three -name '*.h' -exec sed -i '1i // changed' {} +
    git_commit three
    git checkout -q -b side HEAD~1
    mkdir side
    seq 200000 >side/numbers
    git_commit four
    git checkout -q -
    git merge -q -m five side
    git gc -q
  ) >"$work/git" 2>&1 || fail "git: $(tail -n 5 "$work/git")"
  git clone -q "$mount/origin" "$mount/linked" # with hard links
  git clone -q --no-local "$mount/origin" "$mount/clone"
  say "git: $(git -C "$mount/clone" ls-files | wc -l) files"
  for repository in origin linked clone; do
    git -C "$mount/$repository" status >/dev/null # the index takes note of the times
    git_clean "$mount/$repository"
  done
}

#
# Attributes and ACLs: a tree made on the mount, through tar and rsync.
#

make_attributed() {
  mkdir -p "$1/a/b/c"
  for name in one two three; do
    echo $name >"$1/a/b/$name"
  done
  ln "$1/a/b/one" "$1/a/hard"
  ln -s b/two "$1/a/soft"
  setfattr -n user.text -v text "$1/a/b/one"
  setfattr -n user.empty "$1/a/b/one"
  setfattr -n user.binary -v 0x00ff00fe0a "$1/a/b"
  setfattr -n user.large -v "$(printf '%030000d' 7)" "$1/a/b/two"
  for n in $(seq 40); do
    setfattr -n "user.many.$n" -v "$n" "$1/a/b/three"
  done
  if [ "$(id -u)" -eq 0 ]; then
    setfattr -n trusted.one -v 1 "$1/a/b/two"
    # A context ends with a null byte; this one is of SELinux's own kind, which is seldom on.
    setfattr -n security.selinux -v "0x$(printf 'system_u:object_r:tmp_t:s0' |
      od -An -v -tx1 | tr -d ' \n')00" "$1/a/b/two"
    setfattr -h -n trusted.link -v 2 "$1/a/soft"
    setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 "$1/a/b/three"
  fi
  setfacl -m u:1:rwx,u:12345:r,g:2:rw,m::rw "$1/a/b/one" "$1/a/b/two"
  setfacl -m "$(seq -s , -f 'u:%g:r' 1000 1100)" "$1/a/b/three"
  setfacl -d -m u:1:rwx,g:3:r-x "$1/a/b/c"
  setfacl -m g:4:rwx "$1/a"
  chmod 640 "$1/a/b/two"
  touch -h -d '2001-02-03 04:05:06.000000007' "$1/a/b/one" "$1/a/b/c" "$1/a/b" "$1/a" "$1"
}

# attributes TREE: as getfacl and getfattr see them.
attributes() (
  cd "$1"
  find . ! -type l | LC_ALL=C sort | xargs -d '\n' getfacl -n -p
  find . | LC_ALL=C sort | xargs -d '\n' getfattr -h -d -m - -e hex
)

same_attributes() {
  same_tree "$mount/attributed" "$1"
  attributes "$1" >"$work/attributes"
  diff "$work/expected" "$work/attributes" || fail "attributes of $1"
}

copy_attributed() {
  say "tar --xattrs --acls --selinux"
  make_attributed "$mount/attributed"
  attributes "$mount/attributed" >"$work/expected"
  grep -q 'user:12345:r--' "$work/expected" || fail "getfacl does not show the ACLs"
  grep -q '^default:group:3:r-x' "$work/expected" || fail "getfacl does not show default ACLs"
  grep -q '^user.many.40=' "$work/expected" || fail "getfattr does not show the attributes"
  tar -C "$mount/attributed" --xattrs --xattrs-include='*' --acls --selinux -cf - . \
    >"$mount/attributed.tar"
  mkdir "$mount/untarred"
  tar -C "$mount/untarred" --xattrs --xattrs-include='*' --acls --selinux -xpf - \
    <"$mount/attributed.tar"
  same_attributes "$mount/untarred"
  if need rsync; then
    say "rsync -aHAX"
    rsync -aHAX --numeric-ids "$mount/attributed/" "$mount/rsynced/"
    same_attributes "$mount/rsynced"
    changes=$(rsync -aHAXi --numeric-ids --checksum "$mount/attributed/" "$mount/rsynced/")
    [ -z "$changes" ] || fail "rsync wants to copy again: $changes"
  fi
}

"$MKFS" -q -s 1G "$region"
mount_region
built='' cloned='' copied=''
if need gcc meson ninja pkg-config; then
  build_project
  built=1
fi
if need git; then
  make_repository
  cloned=1
fi
if need getfacl getfattr tar; then
  copy_attributed
  copied=1
fi

say "unmount, check, mount, everything again"
unmount_region
check_region
mount_region
if [ "$built" ]; then
  nothing_to_do
  run_tests
  # A change is seen, and what depends on it built again.
  echo >>"$mount/project/fs/core/util.c"
  ninja -C "$mount/project/out" tests/unit/test_ops >"$work/build" 2>&1 ||
    fail "build: $(tail -n 20 "$work/build")"
  grep -q 'util.c' "$work/build" || fail "ninja missed a change: $(cat "$work/build")"
  run_tests
fi
if [ "$cloned" ]; then
  for repository in origin linked clone; do
    git_clean "$mount/$repository"
  done
  git -C "$mount/clone" pull -q
fi
if [ "$copied" ]; then
  for tree in attributed untarred rsynced; do
    [ ! -d "$mount/$tree" ] || same_attributes "$mount/$tree"
  done
fi
unmount_region
check_region
