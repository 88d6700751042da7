#!/bin/sh
# clean.sh - the cleaner under a real mount: churn at high fill, files in many pieces.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# churn FILL TIMES: files of mixed sizes come and go, at this share of what can be had, until so
# many times that was written. No write may fail, and what stays reads as written. KA_SEED.
churn() {
  python3 - "$mount" "$1" "$2" "${KA_SEED:-1}" <<'EOF'
import os, random, sys
mount, fill, times, seed = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
print("seed: KA_SEED=" + seed)
rng, data = random.Random(seed), random.Random(seed).randbytes(1 << 20)
v = os.statvfs(mount)
capacity = v.f_bavail * v.f_frsize
live = written = made = 0
files = {}
names = []
while written < times * capacity:
    size = rng.choice((1000, 4000, 16000, 64000, 256000, 1000000))
    while live + size > fill * capacity:
        at = rng.randrange(len(names))
        names[at], names[-1] = names[-1], names[at]
        name = names.pop()
        os.unlink(mount + "/" + name)
        live -= files.pop(name)
    name = "f%d" % made
    made += 1
    with open(mount + "/" + name, "wb", buffering=0) as f:
        f.write(data[:size])
    files[name] = size
    names.append(name)
    live += size
    written += size
for name, size in files.items():
    assert open(mount + "/" + name, "rb").read() == data[:size], name
EOF
}

figure() { # figure KEY: of status
  "$CTL" status --json "$mount" | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p"
}

for fill in 0.75 0.9 0.97; do
  say "churn at $fill of what can be had"
  "$MKFS" -q -f -s 256M "$region"
  mount_region
  churn "$fill" "$(if [ "$fill" = 0.9 ]; then echo 10; else echo 4; fi)"
  moved=$(figure moved_bytes)
  say "moved to clean: $((moved >> 20)) MiB"
  [ "$fill" != 0.9 ] || [ "$moved" -lt $((2 * 10 * 240 << 20)) ] ||
    fail "write amplification above 3"
  unmount_region
  check_region
done

say "a crash while it is busy"
mount_region
rm -f "$mount"/f*[0-4]
churn 0.9 1
mkdir "$mount/more"
(while :; do head -c 5M /dev/urandom >"$mount/more/a" && rm "$mount/more/a"; done) 2>/dev/null &
writer=$!
"$CTL" clean "$mount"
b2sum "$mount"/f* >"$work/sums"
"$CTL" clean "$mount" >/dev/null 2>&1 &
pkill -9 -f "keepalivefs.* $region $mount"
kill "$writer"
wait
umount -l "$mount"
mount_region
b2sum --quiet -c "$work/sums" || fail "a file changed"
unmount_region
check_region

say "ten thousand appends end as one extent"
"$MKFS" -q -f -s 64M "$region"
mount_region
python3 - "$mount" <<'EOF'
import os, sys
one, two = (os.open(sys.argv[1] + n, os.O_CREAT | os.O_WRONLY | os.O_APPEND) for n in ("/one", "/two"))
for i in range(10000):
    os.write(one, b"%99d\n" % i)
    os.write(two, b"%49d\n" % i)
EOF
b2sum "$mount/one" "$mount/two" >"$work/sums"
"$CTL" clean "$mount"
b2sum --quiet -c "$work/sums"
unmount_region
check_region
for name in one two; do
  [ "$("$CTL" dump --path "/$name" "$region" | grep -c 'extent off=')" = 1 ] ||
    fail "/$name: more than one extent"
done

say "df counts what cleaning gains, and a write gets it"
mount_region
for i in $(seq 500); do head -c 100000 /dev/zero >"$mount/h$i"; done
for i in $(seq 500); do [ $((i % 5)) = 0 ] || rm "$mount/h$i"; done
avail=$(df --output=avail -B1 "$mount" | tail -1)
[ "$avail" -gt $((40 << 20)) ] || fail "df says $avail"
head -c $((avail / 100 * 95)) /dev/zero >"$mount/large" || fail "what df said was not to be had"
unmount_region
check_region

say "refused: a read-only mount, others than root"
mount_region -o ro
! "$CTL" clean "$mount" 2>"$work/said" || fail "clean of a read-only mount"
grep -q 'cannot clean' "$work/said" || fail "said: $(cat "$work/said")"
unmount_region
