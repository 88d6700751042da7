# shellcheck shell=sh
# packages.sh - which Debian packages are needed, and installing what is missing.
# Sourced by scripts/demo and scripts/test.

# shellcheck disable=SC2034 # used by those who source this
build_packages="gcc libc6-dev procps meson ninja-build pkg-config libfuse3-dev fuse3 libpmem2-dev libdaxctl-dev
libxxhash-dev libbsd-dev libcap-dev libseccomp-dev libblkid-dev uuid-dev libjson-c-dev libcmocka-dev"

# shellcheck disable=SC2034
test_packages="acl attr clang-format codespell cpio debian-archive-keyring e2fsprogs fio git groff mandoc memcached
postgresql-15 python3 redis-tools rsync shellcheck sqlite3 stress-ng util-linux busybox-static
daxctl kexec-tools kmod ndctl qemu-system-x86 seabios"

# What tests/fuzz/run needs beside those.
# shellcheck disable=SC2034
fuzz_packages="clang libclang-rt-14-dev"

# What scripts/coverage needs.
# shellcheck disable=SC2034
coverage_packages=gcovr

# ensure_packages NAME...: installs those that are not there, as root.
ensure_packages() {
  missing=
  for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    echo "these packages are missing, and only root can install them:$missing" >&2
    return 1
  fi
  echo "installing:$missing"
  apt-get update -q >/dev/null
  # shellcheck disable=SC2086 # a list of words
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing \
    >/dev/null
}
