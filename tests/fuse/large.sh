#!/bin/sh
# large.sh - very many names in one directory, very deep paths, and a daemon that does not
# keep anything for each inode that the kernel knows. KA_SCALE=20: a million names.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

names=$((50000 * ${KA_SCALE:-1}))

"$MKFS" -q -s 2G "$region"
mount_region
mkdir "$mount/many"
daemon=$(daemon_pid)

say "$names names: each once in a listing, also while half of them go"
python3 - "$mount/many" "$names" <<'EOF' || fail "the listings"
import os, sys
top, count = sys.argv[1], int(sys.argv[2])
os.chdir(top)
for i in range(count):
    os.mknod("f%d" % i, 0o600)
assert sorted(os.listdir(".")) == sorted("f%d" % i for i in range(count))
seen = 0
with os.scandir(".") as entries:
    for entry in entries:
        seen += 1
        if int(entry.name[1:]) % 2:
            os.unlink(entry.name)
assert seen == count, seen
assert sorted(os.listdir(".")) == sorted("f%d" % i for i in range(0, count, 2))
EOF

say "the daemon holds nothing for them"
[ "$(find "/proc/$daemon/fd" -mindepth 1 | wc -l)" -lt 30 ] || fail "descriptors"
[ "$(df --output=iused "$mount" | tail -n 1)" -eq $((names / 2 + 2)) ] || fail "df -i"

say "a queue, emptied from the front"
python3 - "$mount/many" <<'EOF' || fail "the queue"
import os, sys
os.chdir(sys.argv[1])
for _ in range(2000):
    with os.scandir(".") as entries:
        os.unlink(next(entries).name)
EOF

say "a path of 2000 directories"
python3 - "$mount" <<'EOF' || fail "the deep path"
import os, sys
os.chdir(sys.argv[1])
for _ in range(2000):
    os.mkdir("deeper")
    os.chdir("deeper")
with open("bottom", "w") as f:
    f.write("here")
EOF

say "all there after a remount; then all go"
unmount_region
check_region
mount_region
[ "$(find "$mount/many" -name 'f*' | wc -l)" -eq $((names / 2 - 2000)) ] || fail "names are lost"
[ "$(find "$mount/deeper" -name bottom -execdir cat {} +)" = here ] || fail "the bottom is lost"
rm -r "$mount/many" "$mount/deeper"
[ "$(df --output=iused "$mount" | tail -n 1)" -eq 1 ] || fail "something is left"
unmount_region
check_region
