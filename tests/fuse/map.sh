#!/bin/sh
# map.sh - keepalivectl map of a mount and of regions: that the picture shows what was done to the
# filesystem, what terminals get, and that watching ends as it began. tests/ctl/test_picture
# compares the pictures themselves.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

need python3 jq || exit 77
terminal=$SOURCE/tests/fuse/on-terminal
export LC_ALL=C.UTF-8 TERM=xterm
unset COLUMNS NO_COLOR
escape=$(printf '\033')
odd="$work/<&\"' $(printf 'a\303\244\377')"
mkdir "$odd"

# figure WHAT [TARGET]: what map --json says, of the mount if nothing else.
figure() {
  "$CTL" map --json "${2:-$mount}" | jq -e "$1"
}

# at_least A B / at_most A B: of numbers.
at_least() {
  [ "$1" -ge "$2" ] || fail "$1 is less than $2: $3"
}

at_most() {
  [ "$1" -le "$2" ] || fail "$1 is more than $2: $3"
}

refused() {
  text=$1
  shift
  if "$@" >"$work/out" 2>&1; then fail "it succeeded: $*"; fi
  grep -qF -e "$text" "$work/out" || fail "no '$text' in: $(cat "$work/out")"
}

# is_xml FILE: well formed, and the picture that it should be.
is_xml() {
  python3 - "$1" <<'PYTHON' || fail "$1 is no such picture"
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == "{http://www.w3.org/2000/svg}svg", root.tag
assert len(root.findall("{*}path")) > 5 and root.find("{*}title").text
PYTHON
}

"$MKFS" -q -s 64M "$region"
mount_region

say "what is written lives, what is deleted is dead, and what is free is free"
total=$(figure '.bytes | add')
[ "$total" = 67108864 ] || fail "the parts have $total bytes together"
[ "$(figure .bytes.live)" = 0 ] || fail "something lives already"
head -c 10000000 /dev/urandom >"$mount/a"
head -c 5000000 /dev/urandom >"$mount/b"
[ "$(figure .bytes.live)" = 15000000 ] || fail "not all is alive: $(figure .bytes.live)"
dead=$(figure .bytes.dead)
# Segments that are dead as a whole may be free again; the others are dead.
free=$(figure '.bytes.free + .bytes.reserved')
rm "$mount/b"
[ "$(figure .bytes.live)" = 10000000 ] || fail "what is deleted lives on"
gone=$(($(figure .bytes.dead) - dead + $(figure '.bytes.free + .bytes.reserved') - free))
at_least "$gone" 5000000 "what became dead or free"
at_most "$gone" 5100000 "what became dead or free"
[ "$(figure '.bytes | add')" = "$total" ] || fail "the parts do not add up"
[ "$(figure '[.segments[].count] | add')" = "$(figure .region.segments)" ] || fail "not all segments"

say "reserved is what status keeps from ordinary writes"
reserve=$("$CTL" status --json "$mount" | jq '.fs.free_bytes - .fs.avail_bytes')
at_least "$(figure .bytes.reserved)" "$reserve" reserved
at_most "$(figure .bytes.reserved)" $((reserve + 2097151)) reserved

say "heat: what was just written is hotter than what was not"
for i in $(seq 3000); do echo >"$mount/small$((i % 10))"; done
head -c 3000000 /dev/urandom >"$mount/hot"
at_least "$(figure '.heat[:3] | map(.bytes) | add')" 3000000 "the hottest"
at_least "$(figure '.heat[-1].bytes')" 9000000 "the coldest"

say "the region names the mount that it is in, everybody else may look"
[ "$(figure .bytes "$region")" = "$(figure .bytes)" ] || fail "the region says something else"
figure .damage_known >/dev/null || fail "damage is not known to root"

say "plain where it is no terminal, or a dumb one; ASCII without UTF-8"
"$CTL" map "$mount" >"$work/plain"
grep -q '█' "$work/plain" || fail "no blocks"
TERM=dumb "$terminal" 80x50 -- "$CTL" map "$mount" | tr -d '\r' >"$work/dumb"
NO_COLOR=1 "$terminal" 80x50 -- "$CTL" map "$mount" | tr -d '\r' >"$work/no-colour"
"$terminal" 80x50 -- "$CTL" map --color=never "$mount" | tr -d '\r' >"$work/never"
for i in dumb no-colour never; do
  cmp "$work/plain" "$work/$i" || fail "$i is another"
done
! grep -q "$escape" "$work/plain" || fail "escapes in plain text"
"$terminal" 80x50 -- "$CTL" map "$mount" >"$work/colour"
grep -q "$escape\[0;34" "$work/colour" || fail "no colours on a terminal"
"$CTL" map --color=always "$mount" | grep -q "$escape\[0;34" || fail "no colours where asked for"
LC_ALL=C "$CTL" map "$mount" | LC_ALL=C grep -q "[^ -~]" && fail "this is not ASCII"

say "no line is longer than the terminal is wide"
for width in 40 80 132; do
  "$terminal" ${width}x24 -- "$CTL" map --color=never "$mount" | tr -d '\r' >"$work/out"
  COLUMNS=$width "$CTL" map "$mount" >"$work/columns"
  for i in out columns; do
    at_most "$(wc -L <"$work/$i")" "$width" "columns of $i"
  done
done

say "SVG: valid whatever the name, to a file or standard output, and over pictures only"
"$CTL" map --svg - "$mount" >"$work/a.svg"
is_xml "$work/a.svg"
"$CTL" map --svg "$work/b.svg" "$mount"
cmp "$work/a.svg" "$work/b.svg"
rm "$mount/a"
"$CTL" map --svg "$work/b.svg" "$mount"
is_xml "$work/b.svg"
! cmp -s "$work/a.svg" "$work/b.svg" || fail "it was not written again"
echo precious >"$work/precious"
refused "no such picture" "$CTL" map --svg "$work/precious" "$mount"
[ "$(cat "$work/precious")" = precious ] || fail "it was written over"
refused "no such picture" "$CTL" map --svg "$region" "$mount"
refused "regular file" "$CTL" map --svg /dev/null "$mount"
refused "No such file" "$CTL" map --svg "$work/no/where" "$mount"

# Steps for on-terminal: leaving and entering the other screen, the start of a picture.
enter='\e[?1049h'
leave='\e[?1049l'
home='\e[H'

# The terminal was given back last of all.
given_back() {
  python3 - "$1" <<'PYTHON' || fail "the terminal was not given back: $1"
import sys
data = open(sys.argv[1], "rb").read()
assert data.endswith(b"\033[0m\033[?7h\033[?25h\033[?1049l"), data[-50:]
assert data.count(b"\033[?1049h") == data.count(b"\033[?1049l")
assert data.count(b"\033[?25l") == data.count(b"\033[?25h")
PYTHON
}

say "watch: refreshes, follows the size, stops and goes on, ends with 0"
"$terminal" 80x50 until="$enter" until="$home" until="$home" until=damaged size=40x10 \
  until="$home" until="$home" type='\032' until="$leave" stopped signal=CONT until="$enter" \
  until="$home" type='\003' -- "$CTL" map --watch=0.1 "$mount" >"$work/out" || fail "it says $?"
given_back "$work/out"
for i in TERM HUP; do
  "$terminal" 80x50 until="$home" signal=$i -- "$CTL" map --watch=0.1 "$mount" >"$work/out" ||
    fail "SIG$i: it says $?"
  given_back "$work/out"
done

say "watch: shows what changed; without a terminal one picture below the other"
mkfifo "$work/pictures"
"$CTL" map --watch=0.1 "$mount" >"$work/pictures" &
watcher=$!
exec 7<"$work/pictures"
shown() {
  while read -r line <&7; do
    case $line in *" live "*" $1 "*) return ;; esac
  done
  fail "it never showed $1"
}
shown "2.9 MiB"
head -c 4000000 /dev/urandom >"$mount/more"
shown "6.7 MiB"
kill -TERM "$watcher"
while read -r line <&7; do :; done
exec 7<&-
wait "$watcher" || fail "it says $?"

say "watch: ends with 1 when the daemon does, and says why"
status=0
"$terminal" 80x50 until="$home" type='\003' -- "$CTL" map --watch=0.1 "$work" >"$work/out" || status=$?
[ "$status" -eq 99 ] || fail "it showed a directory"
grep -q "not of a keepalivefs" "$work/out" || fail "it does not say why"
mkfifo "$work/pictures2"
"$CTL" map --watch=0.1 "$mount" >"$work/pictures2" 2>"$work/err" &
watcher=$!
exec 7<"$work/pictures2"
shown "6.7 MiB"
unmount_region
while read -r line <&7; do :; done
exec 7<&-
status=0
wait "$watcher" || status=$?
[ "$status" -eq 1 ] || fail "it says $status"
[ "$(wc -l <"$work/err")" -eq 1 ] || fail "not one line: $(cat "$work/err")"

say "a region that nobody uses: the same figures, and nothing is changed"
check_region
before=$(cksum <"$region")
[ "$(figure .bytes.live "$region")" = 7000010 ] || fail "not what lives: $(figure .bytes.live "$region")"
"$CTL" map "$region" >/dev/null
"$CTL" map --svg - "$region" >"$work/out"
is_xml "$work/out"
"$terminal" 80x50 until="$home" until="$home" type='\003' -- "$CTL" map --watch=0.1 "$region" \
  >"$work/out" || fail "watching a region: $?"
[ "$(cksum <"$region")" = "$before" ] || fail "looking changed it"

say "unclean: what a mount would recover is shown"
mount_region
head -c 1000000 /dev/urandom >"$mount/unclean"
kill -9 "$(daemon_pid)"
refused "is gone" "$CTL" map "$mount"
umount -l "$mount"
before=$(cksum <"$region")
[ "$(figure .bytes.live "$region")" = 8000010 ] || fail "not what lives"
[ "$(cksum <"$region")" = "$before" ] || fail "looking changed it"

say "damage that was met is in the picture, until the file is gone"
addr=$(printf '%d' "$("$CTL" dump --path /hot "$region" |
  sed -n 's/^  extent off=0 .* addr=\(0x[0-9a-f]*\) .*/\1/p')")
printf 'damaged' | dd of="$region" bs=1 seek=$((addr + 500)) conv=notrunc status=none
mount_region
[ "$(figure .damaged_segments)" = 0 ] || fail "damage that nobody has met"
if cat "$mount/hot" >/dev/null 2>&1; then fail "damage was read"; fi
[ "$(figure .damaged_segments)" = 1 ] || fail "the damage is not shown"
segment=$((addr / $(figure .region.segment_bytes)))
[ "$(figure "[.segments[] | select(.damaged).first] == [$segment]")" = true ] || fail "it is elsewhere"
"$CTL" map "$mount" | grep -q '!.*[·█▇▆▅▄▃▂▁]' || fail "no mark"
rm "$mount/hot"
[ "$(figure .damaged_segments)" = 0 ] || fail "it is still there"
unmount_region

say "what is lent, of a mount and of a region"
mount_region
"$CTL" lend "$mount" >"$work/out"
lent=$("$CTL" status --json "$mount" | jq .region.lent_bytes)
at_least "$lent" 40000000 "what is lent"
[ "$(figure .bytes.lent)" = "$lent" ] || fail "not what is lent: $(figure .bytes.lent)"
[ "$(figure '.bytes | add')" = "$total" ] || fail "the parts do not add up"
[ "$(figure '.segments[-1].state == "lent"')" = true ] || fail "the end is not lent"
"$CTL" map "$mount" | grep -q "what lies behind it is lent" || fail "no boundary"
unmount_region
[ "$(figure .bytes.lent "$region")" = "$lent" ] || fail "the region says something else"

say "a mount point with any name"
"$KEEPALIVEFS" "$region" "$odd"
"$CTL" map --svg "$work/odd.svg" "$odd"
umount "$odd"
is_xml "$work/odd.svg"
check_region
