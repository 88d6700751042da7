#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# test-cli.sh - options, messages, exit codes, and that a refusal changes
# nothing. Prints "ok N - what" for each check; exits 1 if one failed.
#
# MKFS CTL FSCK KEEPALIVEFS MOUNT_HELPER UMOUNT_HELPER: the programs; the first
# two are needed, the others are skipped where not set. PATCH_SUPER MAKE_IMAGE
# HOLD_REGION: helpers. MANDIR: the manual pages.
set -u

tmp=$(mktemp -d "${TMPDIR:-/tmp}/cli.XXXXXX") || exit 1
count=0
failed=0
mounts=

# SIGTERM to the daemons is an unmount; a lazy one for what is left.
cleanup() {
	for m in $mounts; do
		umount "$m" 2>/dev/null || fusermount3 -u -z "$m" 2>/dev/null
	done
	umount "$tmp/small" 2>/dev/null
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

ok() {
	count=$((count + 1))
	echo "ok $count - $1"
}

not_ok() {
	count=$((count + 1))
	failed=$((failed + 1))
	{
		echo "not ok $count - $1"
		shift
		for line; do
			echo "# $line"
		done
	} | tee -a "$tmp/failures"
}

skip() {
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

# check WHAT COMMAND...: succeeds.
check() {
	what=$1
	shift
	if "$@" >"$tmp/out" 2>"$tmp/err"; then
		ok "$what"
	else
		not_ok "$what" "exit status $?: $*" "$(cat "$tmp/err")"
		return 1
	fi
}

# sum FILE: what must not change: its bytes, size, owner and mode; or absence.
sum() {
	if [ -f "$1" ]; then
		sha256sum <"$1"
		stat -c '%s %a %u' "$1"
	else
		echo absent
	fi
}

# refused WHAT REGION TEXT COMMAND...: fails, says why in exactly one line,
# which holds TEXT, and leaves REGION as it was.
refused() {
	what=$1 region=$2 text=$3
	shift 3
	before=$(sum "$region")
	timeout 60 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$?
	lines=$(wc -l <"$tmp/err")
	if [ $status -eq 0 ]; then
		not_ok "$what" "it succeeded: $*"
	elif [ $status -ge 124 ]; then
		not_ok "$what" "exit status $status: $*" "$(cat "$tmp/err")"
	elif [ "$lines" -ne 1 ]; then
		not_ok "$what" "$lines lines of explanation: $*" "$(cat "$tmp/err")"
	elif ! grep -qF -e "$text" "$tmp/err"; then
		not_ok "$what" "no '$text' in: $(cat "$tmp/err")"
	elif [ "$(sum "$region")" != "$before" ]; then
		not_ok "$what" "'$region' has changed: $*"
	else
		ok "$what: $(cat "$tmp/err")"
	fi
}

# have VARIABLE WHAT: whether that program is there; else WHAT is skipped.
have() {
	eval "program=\${$1:-}"
	[ -n "$program" ] && [ -x "$program" ] && return 0
	skip "$2" "no \$$1"
	return 1
}

can_mount=
if [ -n "${KEEPALIVEFS:-}" ] && [ -c /dev/fuse ] && [ -r /dev/fuse ] && [ -w /dev/fuse ]; then
	can_mount=1
fi

# have_daemon WHAT: whether a mount would get as far as looking at the region.
have_daemon() {
	have KEEPALIVEFS "$1" || return 1
	[ -n "$can_mount" ] && return 0
	skip "$1" "/dev/fuse cannot be opened"
	return 1
}

# Every program that reads a region refuses REGION. WHAT REGION TEXT
refused_by_all() {
	mkdir -p "$tmp/mnt"
	if have_daemon "keepalivefs: $1"; then
		refused "keepalivefs: $1" "$2" "$3" "$KEEPALIVEFS" "$2" "$tmp/mnt"
	fi
	if have FSCK "fsck -n: $1"; then
		refused "fsck -n: $1" "$2" "$3" "$FSCK" -n "$2"
		refused "fsck -p: $1" "$2" "$3" "$FSCK" -p "$2"
	fi
	refused "status: $1" "$2" "$3" "$CTL" status "$2"
	refused "status --json: $1" "$2" "$3" "$CTL" status --json "$2"
	refused "dump: $1" "$2" "$3" "$CTL" dump "$2"
	refused "dump --json: $1" "$2" "$3" "$CTL" dump --json "$2"
	refused "dump --path: $1" "$2" "$3" "$CTL" dump --path / "$2"
	refused "map: $1" "$2" "$3" "$CTL" map "$2"
	refused "extract: $1" "$2" "$3" "$CTL" extract "$2" extracted
	[ ! -e extracted ] || not_ok "extract: $1" "it made something"
	refused "image --restore: $1" "$2" "$3" "$CTL" image --restore "$2" target
}

# exits WHAT STATUS COMMAND...: ends with this exit status.
exits() {
	what=$1 want=$2
	shift 2
	timeout 60 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$?
	[ $status -eq "$want" ] && ok "$what" ||
		not_ok "$what" "exit status $status, not $want: $*" "$(cat "$tmp/err")"
}

# REGION was wiped, as every program says. WHAT REGION TEXT [superblock: that still stands]
lost() {
	if have_daemon "keepalivefs: $1"; then
		refused "keepalivefs: $1" "$2" "'$2': lost: " "$KEEPALIVEFS" "$2" "$tmp/mnt"
		exits "keepalivefs: $1: exit status 3" 3 "$KEEPALIVEFS" "$2" "$tmp/mnt"
		exits "keepalivefs -f: $1: exit status 3" 3 "$KEEPALIVEFS" -f "$2" "$tmp/mnt"
		if have MOUNT_HELPER "mount.keepalivefs: $1: exit status 3"; then
			exits "mount.keepalivefs: $1: exit status 3" 3 "$MOUNT_HELPER" "$2" "$tmp/mnt"
		fi
	fi
	if have FSCK "fsck: $1"; then
		for option in -n -p; do
			refused "fsck $option: $1" "$2" "$3" "$FSCK" $option "$2"
			exits "fsck $option: $1: exit status 12" 12 "$FSCK" $option "$2"
			grep -qF '[3] region was wiped' "$tmp/out" && ok "it has a number" ||
				not_ok "it has a number" "$(cat "$tmp/out")"
		done
		exits "fsck -n --json: $1: exit status 12" 12 "$FSCK" -n --json "$2"
	fi
	before=$(sum "$2")
	exits "status: $1" 0 "$CTL" status "$2"
	grep -q '^State: *wiped$' "$tmp/out" && grep -qF -e "$3" "$tmp/err" && ok "says wiped, and why" ||
		not_ok "says wiped, and why" "$(cat "$tmp/out" "$tmp/err")"
	exits "status --json: $1" 0 "$CTL" status --json "$2"
	for want in '"state": "wiped"' "\"capacity_bytes\": $(stat -c %s "$2")" '"used_bytes": null' \
		'"free_bytes": null' '"files": null' '"version": "' '"format": ' '"uuid": ' '"label": ' \
		'"path": "' '"slice_bytes": ' '"owned_bytes": ' '"lent_bytes": 0'; do
		grep -qF "$want" "$tmp/out" && ok "it says $want" || not_ok "it says $want" "$(cat "$tmp/out")"
	done
	[ "$(sum "$2")" = "$before" ] && ok "status leaves it" || not_ok "status leaves it"
	refused "extract: $1" "$2" "$3" "$CTL" extract "$2" extracted
	refused "image: $1" "$2" "$3" "$CTL" image "$2" none
	[ -n "${4:-}" ] && return
	refused "dump: $1" "$2" "$3" "$CTL" dump "$2"
	exits "dump --json: $1" 1 "$CTL" dump --json "$2"
}

fresh() {
	rm -f "$tmp/$1"
	"$MKFS" -q -s 16M "$tmp/$1" || exit 1
}

cd "$tmp" || exit 1
for needed in MKFS CTL PATCH_SUPER MAKE_IMAGE HOLD_REGION MANDIR; do
	eval "[ -n \"\${$needed:-}\" ]" || {
		echo "test-cli.sh: \$$needed is not set" >&2
		exit 1
	}
done

# ---- mkfs ---------------------------------------------------------------

check "mkfs makes a file" "$MKFS" -s 16M -L 'a label' -U 0e0d0c0b-0a09-4807-8605-040302010001 made
if [ "$(stat -c '%s %a' made)" = "16777216 600" ]; then
	ok "of the size that was asked for, for the owner only"
else
	not_ok "of the size that was asked for, for the owner only" "$(stat made)"
fi
check "status of it" "$CTL" status --json made
for want in '"uuid": "0e0d0c0b-0a09-4807-8605-040302010001"' '"label": "a label"' \
	'"state": "clean"' '"capacity_bytes": 16777216' '"owned_bytes": 16777216' \
	'"lent_bytes": 0' '"files": 1' '"format": 1' '"used_bytes": ' '"free_bytes": ' \
	'"slice_bytes": ' '"path": "' '"version": "'; do
	if grep -qF "$want" out; then
		ok "status --json says $want"
	else
		not_ok "status --json says $want" "$(cat out)"
	fi
done
before=$(sum made)
check "status for people" "$CTL" status made
check "dump for people" "$CTL" dump -r made
check "dump --json" "$CTL" dump --json --records made
check "mkfs -n -f" "$MKFS" -n -f made
[ "$(sum made)" = "$before" ] && ok "looking changes nothing" || not_ok "looking changes nothing"

refused "mkfs over a filesystem" made "use -f" "$MKFS" made
check "mkfs -f over a filesystem" "$MKFS" -q -f made
[ ! -s out ] && ok "mkfs -q is quiet" || not_ok "mkfs -q is quiet" "$(cat out)"
refused "mkfs of no region" none "no region" "$MKFS"
refused "mkfs of two regions" none "'other'" "$MKFS" none other
refused "mkfs without a size" none "-s SIZE" "$MKFS" none
refused "mkfs -n without a size" none "-s SIZE" "$MKFS" -n none
for size in x 12x -1 '' 1.5G 16MM ' 16M' 0x1000000; do
	refused "mkfs -s '$size'" none "not a number" "$MKFS" -s "$size" none
done
refused "mkfs with too small a size" none "too small" "$MKFS" -s 1M none
refused "mkfs with too large a size" none "too large" "$MKFS" -s 99999999999999999999 none
refused "mkfs with too large a size (T)" none "too large" "$MKFS" -s 99999999T none
refused "mkfs with a long label" none "too long" "$MKFS" -s 16M -L "$(printf %064d 0)" none
refused "mkfs with a bad UUID" none "not a UUID" "$MKFS" -s 16M -U 123 none
refused "mkfs of regionN" none "'region0'" "$MKFS" -s 16M region0
refused "mkfs of UUID=" none "'UUID=x'" "$MKFS" -s 16M UUID=x
refused "mkfs of nothing" none "''" "$MKFS" -s 16M ''
refused "mkfs of a directory" none "directory" "$MKFS" -s 16M "$tmp"
refused "mkfs of a device that is no memory" none "neither" "$MKFS" -s 16M /dev/null
refused "mkfs of a device that is not there" none "No such file" "$MKFS" -s 16M /dev/dax99.0
refused "mkfs in a directory that is not there" none "cannot create" "$MKFS" -s 16M no/where
refused "mkfs with an unknown option" none "unknown option '-x'" "$MKFS" -x none
refused "mkfs with an unknown long option" none "unknown option '--xx'" "$MKFS" --xx none
refused "mkfs with an option without value" none "needs a value" "$MKFS" none --size
check "mkfs -n of a new file" "$MKFS" -n -s 16M none
[ ! -e none ] && ok "mkfs -n creates nothing" || not_ok "mkfs -n creates nothing"
truncate -s 16M large
refused "mkfs with more than there is" large "has only" "$MKFS" -s 32M large
check "mkfs with less than there is" "$MKFS" -q -s 8M large
check "status of the part" "$CTL" status --json large
grep -qF '"owned_bytes": 8388608' out && ok "a part is used" || not_ok "a part is used"
: >empty
check "mkfs of an empty file" "$MKFS" -q -s 16M empty
refused "mkfs of an empty file without a size" none "-s SIZE" "$MKFS" none
truncate -s 1M tiny
refused "mkfs of a file that is too small" tiny "too small" "$MKFS" tiny

truncate -s 16M target # of what is never restored
# What others know: a filesystem, a partition table, a superblock at the end.
foreign() {
	refused "mkfs over $1" "$2" "$3" "$MKFS" "$2"
	refused "mkfs -n over $1" "$2" "$3" "$MKFS" -n "$2"
	refused_by_all "$1" "$2" "not a keepalivefs region"
	cp "$2" over
	check "mkfs -f over $1" "$MKFS" -q -f over
	check "status after it" "$CTL" status over
	if command -v blkid >/dev/null; then
		blkid -p over >out 2>&1
		[ ! -s out ] && ok "nothing of $1 is left" || not_ok "nothing of $1 is left" "$(cat out)"
	fi
}
PATH=$PATH:/sbin:/usr/sbin
if command -v mkfs.ext4 >/dev/null; then
	mkfs.ext4 -q -L foreign ext4 16M
	foreign "ext4" ext4 "an ext4 filesystem labelled 'foreign'"
else
	skip "mkfs over ext4" "no mkfs.ext4"
fi
if command -v sfdisk >/dev/null; then
	truncate -s 16M gpt
	printf 'label: gpt\n,,\n' | sfdisk -q gpt
	dd if=/dev/zero of=gpt bs=4096 count=16 conv=notrunc status=none # the one at the end stays
	foreign "a GPT" gpt "a gpt partition table"
else
	skip "mkfs over a GPT" "no sfdisk"
fi
# Linux RAID 1.0 lies 8 KiB before the end.
truncate -s 16M raid
printf '\374\116\053\251\001\0\0\0' | dd of=raid bs=1 seek=16769024 conv=notrunc status=none
printf '\360\177\0\0' | dd of=raid bs=1 seek=$((16769024 + 144)) conv=notrunc status=none
foreign "a RAID member" raid "linux_raid_member"
truncate -s 16M swap
printf SWAPSPACE2 | dd of=swap bs=1 seek=4086 conv=notrunc status=none
printf '\001\0\0\0\377\017\0\0' | dd of=swap bs=1 seek=1024 conv=notrunc status=none
foreign "swap" swap "a swap signature"

mkdir small
if mount -t tmpfs -o size=8m none small 2>/dev/null; then
	refused "mkfs without the space" small/region "no space" "$MKFS" -s 64M small/region
	[ ! -e small/region ] && ok "leaves no file" || not_ok "leaves no file"
	refused "mkfs -n without the space" small/region "no space" "$MKFS" -n -s 64M small/region
	check "mkfs with the space" "$MKFS" -q -s 6M small/region
	rm small/region
	truncate -s 6M small/sparse
	dd if=/dev/zero of=small/fill bs=64K 2>/dev/null
	refused "a sparse file on a full disk" small/sparse "full" "$MKFS" small/sparse
	umount small
else
	skip "mkfs without the space" "cannot mount a tmpfs"
fi

# ---- regions that nobody should take --------------------------------------

truncate -s 16M zeros
lost "zeros" zeros "expected a superblock at 0x0 and its copy at 0x3f000, found zeros in all of"
dd if=/dev/zero bs=1M count=16 status=none | tr '\0' '\377' >ones
lost "0xff" ones "found bytes 0xff in all of 16.0 MiB; the memory was wiped"
dd if=/dev/urandom of=random bs=1M count=16 status=none
lost "random bytes" random "found random bytes in all of"
fresh spared
dd if=/dev/zero of=spared bs=256K seek=1 count=63 conv=notrunc status=none
lost "all but the first segment" spared "expected segments from 0x40000 on behind the superblock" \
	superblock
fresh first
dd if=/dev/zero of=first bs=256K count=1 conv=notrunc status=none
refused_by_all "the first segment zeroed" first "both copies of the superblock are destroyed"
if have FSCK "64 GiB of zeros" && truncate -s 64G wide 2>/dev/null; then
	exits "fsck -n: 64 GiB of zeros" 12 "$FSCK" -n wide
	grep -q 'found zeros in the first 256 MiB and in all of [0-9]* places' err &&
		ok "not all of them are read" || not_ok "not all of them are read" "$(cat err)"
	rm wide
fi
if have FSCK "fsck -y: memory that was wiped"; then
	before=$(sum random)
	exits "fsck -y: random bytes" 12 "$FSCK" -y random
	grep -qF "mkfs.keepalivefs -f" err && ok "says what to do" ||
		not_ok "says what to do" "$(cat err)"
	[ "$(sum random)" = "$before" ] && ok "and changes nothing" || not_ok "and changes nothing"
	exits "fsck -y: zeros become an empty filesystem" 1 "$FSCK" -y zeros
	grep -q 'warning: .*all that was in the old one is lost' err && ok "with a warning" ||
		not_ok "with a warning" "$(cat err)"
	exits "fsck -n -f finds it whole" 0 "$FSCK" -n -f zeros
	before=$("$CTL" status spared 2>/dev/null | grep UUID)
	exits "fsck -y: all but the first segment" 1 "$FSCK" -y spared
	check "status of what it made" "$CTL" status spared
	grep -qF "$before" out && ok "its identity stays" || not_ok "its identity stays" "$(cat out)"
fi
truncate -s 16M blank
check "mkfs formats zeros without -f" "$MKFS" -q blank
: >nothing
refused_by_all "an empty file" nothing "'nothing'"
printf 'KEEPALIV' >short
refused_by_all "a file of 8 bytes" short "'short'"
refused_by_all "a file that does not exist" absent "No such file"

fresh version
"$PATCH_SUPER" version 8 4 2
refused_by_all "a newer version" version "version 2"
refused "image: a newer version" version "version 2" "$CTL" image version none
fresh old
"$PATCH_SUPER" old 8 4 0
refused_by_all "version 0" old "'old'"
fresh feature
"$PATCH_SUPER" feature 32 8 0x8000000000000001
refused_by_all "an incompatible feature" feature "0x8000000000000001"
for half in 8M 15M 200K 4K; do
	fresh truncated
	truncate -s $half truncated
	refused_by_all "truncated to $half" truncated "'truncated'"
done
fresh field
"$PATCH_SUPER" field 152 4 12345
refused_by_all "an impossible segment size" field "out of range"
fresh csums
printf 'x' | dd of=csums bs=1 seek=300 conv=notrunc status=none
printf 'x' | dd of=csums bs=1 seek=$((256 * 1024 - 4096 + 300)) conv=notrunc status=none
refused_by_all "both checksums wrong" csums "checksum is wrong"
# Whatever is in it is worth a copy.
before=$(sum csums)
"$CTL" image csums raw >out 2>err
[ $? -eq 4 ] && cmp -s csums raw && [ "$(sum csums)" = "$before" ] &&
	ok "image: both checksums wrong" || not_ok "image: both checksums wrong" "$(cat err)"
check "dump --offset 0 of it" "$CTL" dump --offset 0 csums
grep -q 'checksum is wrong' out && ok "it says why" || not_ok "it says why" "$(cat out)"
refused "dump --offset of it" csums "checksum is wrong" "$CTL" dump --offset 262144 csums

# What one copy survives.
for copy in 0 $((256 * 1024 - 4096)); do
	fresh onecopy
	dd if=/dev/urandom of=onecopy bs=4096 count=1 seek=$copy oflag=seek_bytes conv=notrunc \
		status=none
	before=$(sum onecopy)
	check "status with the copy at $copy lost" "$CTL" status onecopy
	check "dump with the copy at $copy lost" "$CTL" dump onecopy
	grep -q 'not a keepalivefs region' out && grep -q ': valid' out &&
		ok "dump tells which copy is valid" ||
		not_ok "dump tells which copy is valid" "$(cat out)"
	check "dump --json with the copy at $copy lost" "$CTL" dump --json onecopy
	[ "$(sum onecopy)" = "$before" ] && ok "and changes nothing" || not_ok "and changes nothing"
	refused "mkfs with the copy at $copy lost" onecopy "use -f" "$MKFS" onecopy
done

# A region whose name is no text: JSON is UTF-8 all the same.
odd=$(printf 'odd\377\n.')
fresh "$odd"
for json in "$CTL status --json" "$CTL dump --json" "$CTL extract --json" \
	${FSCK:+"$FSCK -n --json"}; do
	rm -rf odd.files
	case $json in *extract*) to=odd.files ;; *) to= ;; esac
	# shellcheck disable=SC2086 # a program with options
	$json "$odd" $to >out 2>err && iconv -f UTF-8 -t UTF-8 out >odd.out 2>&1 &&
		ok "${json##*/}: its name is no UTF-8" ||
		not_ok "${json##*/}: its name is no UTF-8" "$(cat err out)"
done
fresh roflag
"$PATCH_SUPER" roflag 24 8 1
check "status with an unknown read-only feature" "$CTL" status roflag
check "dump with an unknown read-only feature" "$CTL" dump roflag
check "extract with an unknown read-only feature" "$CTL" extract roflag roflag.files
check "image with an unknown read-only feature" "$CTL" image roflag roflag.image
refused "image --restore with an unknown read-only feature" target "use a newer one" \
	"$CTL" image --restore roflag.image target
fresh unclean
"$PATCH_SUPER" unclean 204 4 2
check "status after an unclean shutdown" "$CTL" status --json unclean
grep -q '"state": "unclean"' out && ok "says unclean" || not_ok "says unclean" "$(cat out)"
if check "a crash in the middle of things" "$MAKE_IMAGE" unclean; then
	before=$(sum unclean)
	check "status of it" "$CTL" status --json unclean
	grep -q '"files": 5' out && ok "it counts what recovery finds" ||
		not_ok "it counts what recovery finds" "$(cat out)"
	check "dump of it" "$CTL" dump -r unclean
	for what in "type=create .* name='dir' mode=40755" "target='file'" \
		"type=write .* off=0 len=100000 .* payload=ok" "type=clone .* from_ino=3" \
		"type=space .* what=punch" "type=space .* what=zero" \
		"type=setattr .* mode=0640" "name='user.colour' value_bytes=4" \
		"type=link .* name='second'" "type=rename .* from='file' .* to='moved'" \
		"type=remove .* name='second'" 'name=.na.*ve .xff.x0a' "records=13 "; do
		grep -q -e "$what" out && ok "it shows $what" || not_ok "it shows $what" "$(cat out)"
	done
	check "dump --json of it" "$CTL" dump -j -r unclean
	if command -v jq >/dev/null; then
		check "which is JSON" jq -e '.segments[] | select(.records == 13)' out
	fi
	[ "$(sum unclean)" = "$before" ] && ok "and nothing changes" || not_ok "and nothing changes"
	# The payload of the only write record, which 13 others follow or precede.
	addr=$("$CTL" dump -r unclean | sed -n 's/.*addr=\(0x[0-9a-f]*\) type=write.*/\1/p')
	printf 'y' | dd of=unclean bs=1 seek=$((addr + 50000)) conv=notrunc status=none
	check "dump with damaged data" "$CTL" dump -r unclean
	grep -q 'type=write .* payload=damaged' out && ok "tells it" || not_ok "tells it"
	printf 'y' | dd of=unclean bs=1 seek=$((addr + 20)) conv=notrunc status=none
	check "dump with a damaged record" "$CTL" dump -r unclean
	grep -q 'type=damaged bytes=100128' out && grep -q 'damaged_places=1 ' out &&
		ok "tells where" || not_ok "tells where" "$(cat out)"
	check "status of a damaged filesystem" "$CTL" status unclean
	grep -q 'damaged' out && ok "says damaged" || not_ok "says damaged" "$(cat out)"
fi
fresh sealed
"$PATCH_SUPER" sealed 204 4 3
check "status of a sealed region" "$CTL" status --json sealed
grep -q '"state": "sealed"' out && ok "says sealed" || not_ok "says sealed" "$(cat out)"

# ---- files out of regions, and regions out of files ---------------------------

# Its only write record is damaged: what came of it is missing, and said to be.
before=$(sum unclean)
"$CTL" extract unclean files >out 2>err
[ $? -eq 4 ] && ok "extract of what is damaged" || not_ok "extract of what is damaged" "$(cat err)"
[ "$(stat -c '%F %a' files/dir files/moved 2>/dev/null | tr '\n' ' ')" = \
	"directory 755 regular file 640 " ] && grep -q 'is damaged' err &&
	ok "it takes what is whole" || not_ok "it takes what is whole" "$(ls -lR files)" "$(cat err)"
[ "$(sum unclean)" = "$before" ] && ok "and changes nothing" || not_ok "and changes nothing"
fresh plain.region
check "extract of nothing but a root" "$CTL" extract plain.region root
[ -d root ] && [ -z "$(ls -A root)" ] && ok "it is empty" || not_ok "it is empty" "$(ls -A root)"
check "extract --json" "$CTL" extract --json plain.region root
for want in '"files": 1' '"bytes": 0' '"problem_count": 0' '"problems": \[' '"region": "plain'; do
	grep -q "$want" out && ok "it says $want" || not_ok "it says $want" "$(cat out)"
done
check "image" "$CTL" image plain.region plain.image
check "image --restore" "$CTL" image --json --restore plain.image target
grep -q '"copied_bytes": [1-9]' out && ok "it says how much" || not_ok "it says how much"
check "status of it" "$CTL" status target
refused "image --restore over a filesystem" target "use -f" "$CTL" image --restore plain.image target
check "image --restore -f" "$CTL" image --restore -f plain.image target
cmp -s plain.image plain.region && ok "the image is the region" || not_ok "the image is the region"
refused "image over a file" plain.image "use -f" "$CTL" image plain.region plain.image
refused "image over itself" plain.region "the region itself" \
	"$CTL" image -f plain.region plain.region
refused "image over a directory" plain.region "no regular file" "$CTL" image -f plain.region root
refused "image --restore to a file that is not there" none "No such file" \
	"$CTL" image --restore plain.image none
refused "image --restore of a file that is not there" target "No such file" \
	"$CTL" image --restore -f none target
: >small.target
truncate -s 8M small.target
refused "image --restore to less" small.target "too small" \
	"$CTL" image --restore -f plain.image small.target
# Two checkpoints, of which the spare is damaged: no file is, and yet not all is whole.
fresh spare
if check "a crash before a second checkpoint" "$MAKE_IMAGE" spare && have FSCK "a damaged spare"; then
	exits "fsck -p of it" 1 "$FSCK" -p spare
	addr=$("$CTL" dump spare | sed -n 's/^previous checkpoint:.* addr=\(0x[0-9a-f]*\) .*/\1/p')
	exits "image with two checkpoints" 0 "$CTL" image spare spare.image
	printf 'y' | dd of=spare bs=1 seek=$((addr + 20)) conv=notrunc status=none
	exits "image with a damaged older checkpoint" 4 "$CTL" image -f spare spare.image
	grep -q 'the older checkpoint is damaged' err && cmp -s spare spare.image &&
		ok "it says so, and copies it" || not_ok "it says so, and copies it" "$(cat err)"
	exits "image --json of it" 4 "$CTL" image --json -f spare spare.image
	grep -q 'the older checkpoint is damaged' out && ok "it says so" || not_ok "it says so"
	exits "extract of it" 0 "$CTL" extract spare spare.files
fi
# No checkpoint is left: what fsck -y puts together comes out without it too.
# listing DIRECTORY: all that is in it; of contents a sum.
listing() {
	(cd "$1" && find . ! -name . -printf '%p %y %m %n %l ' \( -type f -exec cksum {} \; -o -printf '\n' \) |
		LC_ALL=C sort)
}
# of_type REGION TYPE: the address of the first record of that type.
of_type() {
	"$CTL" dump -r "$1" | sed -n "s/.*addr=\\(0x[0-9a-f]*\\) type=$2 .*/\\1/p" | head -n 1
}
# spoil REGION TYPE: damages that record.
spoil() {
	printf 'y' | dd of="$1" bs=1 seek=$(($(of_type "$1" "$2") + 20)) conv=notrunc status=none
}
fresh remains
if check "a crash with one checkpoint" "$MAKE_IMAGE" remains && have FSCK "no checkpoint"; then
	spoil remains checkpoint
	for part in all nameless; do
		[ $part = all ] || spoil remains "create seq=2"
		[ $part = all ] || spoil remains rename
		rm -rf mended mended.files remains.files
		cp remains mended
		exits "fsck -y: no checkpoint, $part" 1 "$FSCK" -y mended
		exits "extract of what fsck made" 0 "$CTL" extract mended mended.files
		before=$(sum remains)
		exits "extract without a checkpoint" 4 "$CTL" extract remains remains.files
		grep -q 'no checkpoint can be read' err && [ "$(sum remains)" = "$before" ] &&
			ok "it says so, and changes nothing" || not_ok "it says so" "$(cat err)"
		listing mended.files >want
		listing remains.files >got
		grep -q ' f ' want && cmp -s want got && ok "it takes what fsck does" ||
			not_ok "it takes what fsck does" "$(diff want got)"
	done
	[ -e 'remains.files/lost+found/#3' ] && ok "what has no name too" || not_ok "what has no name too"
	grep -q "'/lost+found/#3': bytes 0-.*: contents may be old" err && ok "with what is not sure" ||
		not_ok "with what is not sure" "$(cat err)"
	exits "extract --json of it" 4 "$CTL" extract --json --overwrite remains remains.files
	grep -q '"len": 100000' out && ok "it lists the range" || not_ok "it lists the range" "$(cat out)"
	exits "map without a checkpoint" 1 "$CTL" map remains
	exits "image without a checkpoint" 4 "$CTL" image remains remains.image
	cmp -s remains remains.image && ok "all of it is copied" || not_ok "all of it is copied"
fi
refused "extract of a path that is not there" plain.region "'/no'" \
	"$CTL" extract plain.region /no root
refused "extract to a file" plain.region "Not a directory" \
	"$CTL" extract plain.region plain.image

# ---- a region in use --------------------------------------------------------

fresh busy
refused "mkfs of a region in use" busy "in use" "$HOLD_REGION" busy "$MKFS" -f busy
refused "mkfs -n of a region in use" busy "in use" "$HOLD_REGION" busy "$MKFS" -n -f busy
mkdir -p mnt
if have_daemon "keepalivefs: a region in use"; then
	refused "keepalivefs: a region in use" busy "in use" \
		"$HOLD_REGION" busy "$KEEPALIVEFS" busy mnt
fi
if have FSCK "fsck: a region in use"; then
	refused "fsck -p: a region in use" busy "in use" "$HOLD_REGION" busy "$FSCK" -p busy
fi
check "status of a region in use" "$HOLD_REGION" busy "$CTL" status busy
check "dump of a region in use" "$HOLD_REGION" busy "$CTL" dump busy
refused "dump --inode of a region in use" busy "in use" \
	"$HOLD_REGION" busy "$CTL" dump --inode 1 busy
refused "extract of a region in use" busy "in use" \
	"$HOLD_REGION" busy "$CTL" extract busy extracted
refused "image of a region in use" busy "in use" "$HOLD_REGION" busy "$CTL" image busy none
refused "image --restore to a region in use" busy "in use" \
	"$HOLD_REGION" busy "$CTL" image --restore -f plain.image busy
[ ! -e extracted ] && [ ! -e none ] && ok "nothing is made" || not_ok "nothing is made"

# ---- keepalivectl -------------------------------------------------------------

refused "ctl without a command" none "no command" "$CTL"
refused "ctl with an unknown command" none "'frobnicate'" "$CTL" frobnicate
refused "ctl with an unknown option" none "'--frob'" "$CTL" --frob
refused "status without a target" none "TARGET" "$CTL" status
refused "doctor of what is not there" none "No such file" "$CTL" doctor none
refused "doctor of no region" none "region999" "$CTL" doctor region999
refused "doctor of two" none "one REGION" "$CTL" doctor made made
check "doctor of a file" "$CTL" doctor made
grep -q "'made' is no DAX device" out && ok "it says so" || not_ok "it says so"
check "doctor --json" "$CTL" doctor --json made
grep -q '"level": "info"' out && ok "it has levels" || not_ok "it has levels"
refused "map without a target" none "TARGET" "$CTL" map
refused "map of a directory" none "not of a keepalivefs" "$CTL" map "$tmp"
refused "map of what is not there" none "No such file" "$CTL" map none
refused "map with two kinds of output" made "only one" "$CTL" map --json --watch made
refused "map with another colour" made "'blue'" "$CTL" map --color blue made
for seconds in 0 -1 x 1x nan 86401; do
	refused "map --watch=$seconds" made "'$seconds'" "$CTL" map "--watch=$seconds" made
done
refused "dump without a region" none "REGION" "$CTL" dump
refused "status of two targets" none "'b'" "$CTL" status a b
refused "status with an unknown option" none "'--frob'" "$CTL" status --frob a
refused "status of a directory" none "'$tmp'" "$CTL" status "$tmp"
refused "scrub of a directory" none "'$tmp'" "$CTL" scrub "$tmp"
refused "clean of a directory" none "'$tmp'" "$CTL" clean "$tmp"
refused "scrub of a region" made "Not a directory" "$CTL" scrub made
refused "scrub with a share of 0" none "'0'" "$CTL" scrub -s 0 "$tmp"
refused "scrub with a share of 101" none "'101'" "$CTL" scrub --share=101 "$tmp"
refused "dump of a directory" none "'$tmp'" "$CTL" dump "$tmp"
refused "dump with two questions" made "only one" "$CTL" dump --inode 1 --path / made
refused "dump of an inode that is no number" made "'1x'" "$CTL" dump --inode 1x made
refused "dump of a negative address" made "'-1'" "$CTL" dump --offset -1 made
for same in 256K 0x40000 0X40000 262144; do
	"$CTL" dump --offset $same made >"out.$same" 2>err && cmp -s "out.$same" out.256K &&
		ok "dump --offset $same" || not_ok "dump --offset $same" "$(cat err)"
done
refused "dump of an address with an unknown unit" made "'1X'" "$CTL" dump --offset 1X made
refused "dump of an inode with a unit" made "'1K'" "$CTL" dump --inode 1K made
refused "dump of an address without digits" made "'0x'" "$CTL" dump --offset 0x made
refused "dump of a large number" made "'99999999999999999999'" \
	"$CTL" dump --offset 99999999999999999999 made
refused "dump behind the end" made "before 0x10000000000" "$CTL" dump --offset 0x10000000000 made
refused "dump of an inode that is not there" made "no inode 77" "$CTL" dump --inode 77 made
refused "dump of a path that is not there" made "'/a/b'" "$CTL" dump --path /a/b made
refused "extract without a destination" made "DEST" "$CTL" extract made
refused "extract with too much" made "'d'" "$CTL" extract made b c d
refused "extract with an option of others" made "'--force'" "$CTL" extract --force made b
refused "image without a file" made "FILE" "$CTL" image made
refused "image with too much" made "'c'" "$CTL" image made b c
refused "seal without a mount point" made "MOUNTPOINT" "$CTL" seal
refused "seal of a region" made "Not a directory" "$CTL" seal made
refused "seal of a directory" made "not of a keepalivefs" "$CTL" seal "$tmp"
refused "seal --off of what is not there" made "No such file" "$CTL" seal --off none
"$CTL" frobnicate 2>/dev/null
[ $? -eq 2 ] && ok "wrong usage is exit status 2" || not_ok "wrong usage is exit status 2"
"$CTL" status absent 2>/dev/null
[ $? -eq 1 ] && ok "failure is exit status 1" || not_ok "failure is exit status 1"
if [ -w /dev/full ]; then
	refused "status to a full disk" made "cannot write" sh -c '"$0" "$@" >/dev/full' "$CTL" \
		status made
fi

# ---- mounts -------------------------------------------------------------------

if have KEEPALIVEFS "keepalivefs: its arguments"; then
	fresh region
	mkdir -p full
	: >full/file
	: >plain
	refused "keepalivefs without arguments" region "" "$KEEPALIVEFS"
	refused "keepalivefs without a mount point" region "" "$KEEPALIVEFS" region
	refused "keepalivefs with too many arguments" region "" "$KEEPALIVEFS" region mnt mnt
	refused "keepalivefs with an unknown flag" region "" "$KEEPALIVEFS" --frob region mnt
	refused "keepalivefs with an unknown option" region "frob" \
		"$KEEPALIVEFS" -o frob=1 region mnt
	if have MOUNT_HELPER "mount.keepalivefs: its arguments"; then
		refused "mount.keepalivefs without arguments" region "" "$MOUNT_HELPER"
		refused "mount.keepalivefs with an unknown option" region "frob" \
			"$MOUNT_HELPER" region mnt -o frob=1
	fi
	if have UMOUNT_HELPER "umount.keepalivefs: its arguments"; then
		refused "umount.keepalivefs without arguments" region "" "$UMOUNT_HELPER"
		refused "umount.keepalivefs of what is not mounted" region "mnt" "$UMOUNT_HELPER" mnt
	fi
	for size in 0 x 100K ''; do
		refused "keepalivefs with checkpoint=$size" region "checkpoint=$size" \
			"$KEEPALIVEFS" -o checkpoint=$size region mnt
	done
	refused "keepalivefs with a bad verify=" region "verify" \
		"$KEEPALIVEFS" -o verify=perhaps region mnt
fi
if have_daemon "keepalivefs: its mount point"; then
	refused "a mount point that is not there" region "'gone'" "$KEEPALIVEFS" region gone
	refused "a mount point that is a file" region "'plain'" "$KEEPALIVEFS" region plain
	refused "a mount point that is not empty" region "'full'" "$KEEPALIVEFS" region full
fi

# As nobody, for whom /dev/fuse is out of reach: whatever its mode is here, a
# mount namespace hides it behind one with mode 0600.
if [ -n "$can_mount" ] && command -v setpriv unshare >/dev/null && [ "$(id -u)" -eq 0 ] &&
	mknod -m 600 fuse-node c 10 229 2>/dev/null && unshare -m true 2>/dev/null; then
	mkdir -p theirs/mnt
	cp "$KEEPALIVEFS" theirs/keepalivefs
	fresh theirs/region
	chown -R 65534:65534 theirs
	chmod 755 "$tmp"
	refused "keepalivefs without /dev/fuse" theirs/region "/dev/fuse" \
		unshare -m sh -c 'mount --bind fuse-node /dev/fuse &&
			exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"' \
		sh theirs/keepalivefs theirs/region theirs/mnt
else
	skip "keepalivefs without /dev/fuse" "no /dev/fuse, or not root"
fi

# gone MOUNTPOINT REGION: waits until the daemon has left.
gone() {
	tries=0
	while "$CTL" status "$2" 2>/dev/null | grep -q 'State: *mounted'; do
		tries=$((tries + 1))
		[ $tries -gt 100 ] && return 1
		sleep 0.1
	done
}

if [ -n "$can_mount" ]; then
	fresh region
	mkdir -p mnt second
	mounts="$tmp/mnt $tmp/second"
	check "keepalivefs mounts" "$KEEPALIVEFS" region mnt
	echo hello >mnt/file && mkdir mnt/dir
	check "status of the mount" "$CTL" status --json mnt
	cp out by-mount
	for want in '"state": "mounted"' '"files": 3' "\"point\": \"$tmp/mnt\"" \
		"\"path\": \"$tmp/region\"" '"count": 1'; do
		grep -qF "$want" by-mount && ok "it says $want" ||
			not_ok "it says $want" "$(cat by-mount)"
	done
	check "status of the region that is mounted" "$CTL" status --json region
	cp out by-region
	[ "$(findmnt -n -o SOURCE "$tmp/mnt")" = "$tmp/region" ] && ok "its source is absolute" ||
		not_ok "its source is absolute" "$(findmnt -n -o SOURCE "$tmp/mnt")"
	# To find the mount of one region, no other mount is touched.
	fresh other
	check "a second filesystem mounts" "$KEEPALIVEFS" other second
	pkill -STOP -f "keepalivefs other second"
	check "status of a region, while another's daemon is stopped" \
		timeout 10 "$CTL" status --json region
	check "status of a region in use without a mount" \
		"$HOLD_REGION" busy timeout 10 "$CTL" status busy
	pkill -CONT -f "keepalivefs other second"
	check "umount of the second" umount second
	grep -v log_ by-region >a
	grep -v log_ by-mount >b
	cmp -s a b && ok "says the same" || not_ok "says the same" "$(diff a b)"
	check "status for people of the mount" "$CTL" status mnt
	check "dump of the region that is mounted" "$CTL" dump -r region
	for what in "type=create" "name='file'" "type=write" "name='dir'"; do
		grep -qF "$what" out && ok "it shows $what" || not_ok "it shows $what" "$(cat out)"
	done
	sleep 0.2
	refused "mkfs -f of what is mounted" region "in use" "$MKFS" -f region
	refused "a second mount" region "in use" "$KEEPALIVEFS" region second
	if have FSCK "fsck of what is mounted"; then
		refused "fsck -p of what is mounted" region "in use" "$FSCK" -p region
	fi
	check "umount" umount mnt
	check "the daemon leaves" gone mnt region
	check "status after it" "$CTL" status --json region
	grep -qF '"state": "clean"' out && grep -qF '"files": 3' out &&
		ok "clean, with its files" || not_ok "clean, with its files" "$(cat out)"
	"$KEEPALIVEFS" -f region mnt 2>/dev/null &
	daemon=$!
	tries=0
	until "$CTL" status mnt >out 2>&1 || [ $tries -gt 100 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	check "status of the next mount" "$CTL" status mnt
	kill -9 $daemon
	wait $daemon 2>/dev/null
	refused "status of a mount without its daemon" region "is gone" "$CTL" status mnt
	check "umount of it" umount mnt
	check "status of the region" "$CTL" status region
	grep -q '^State: *unclean$' out && ok "unclean" || not_ok "unclean" "$(cat out)"
	check "the next mount recovers" "$KEEPALIVEFS" region mnt
	check "status after the recovery" "$CTL" status --json mnt
	grep -q '"last_unclean_shutdown": "2' out && ok "tells when" || not_ok "tells when" "$(cat out)"
	check "umount once more" umount mnt
	check "the daemon leaves once more" gone mnt region
	mounts=
else
	skip "mounting" "no \$KEEPALIVEFS, or /dev/fuse cannot be opened"
fi

# ---- help, version, manual ------------------------------------------------------

# The options that a help text names, those in -abc one by one.
options_in() {
	grep -oE -e '(^|[ ,[])--[a-z][a-z-]*' "$1" | tr -d ' ,['
	grep -oE -e '(^|[ ,[])-[a-zA-Z]+' "$1" | tr -d ' ,[-' | fold -w 1 | sed 's/^/-/'
}

# documented NAME PAGE COMMAND...: --help and --version work, and each option
# that the help names is in the page.
documented() {
	name=$1 page=$MANDIR/$2
	shift 2
	check "$name --help" "$@" --help
	[ -s out ] && [ ! -s err ] && ok "to stdout" || not_ok "to stdout" "$(cat err)"
	if [ ! -f "$page" ]; then
		not_ok "$name has a manual page" "no $page"
		return
	fi
	sed 's/\\-/-/g; s/\\f[BIRP]//g' "$page" >page
	missing=
	for option in $(options_in out); do
		grep -qE -e "(^|[^a-zA-Z-])$option([^a-zA-Z-]|\$)" page || missing="$missing $option"
	done
	[ -z "$missing" ] && ok "$name: each option is in $page" ||
		not_ok "$name: each option is in $page" "missing:$missing"
	check "$name --version" "$@" --version
	grep -qE '[0-9]+\.[0-9]+' out && ok "it says a number" || not_ok "it says a number"
}
documented mkfs.keepalivefs mkfs.keepalivefs.8 "$MKFS"
documented keepalivectl keepalivectl.8 "$CTL"
documented "keepalivectl status" keepalivectl.8 "$CTL" status
documented "keepalivectl map" keepalivectl.8 "$CTL" map
documented "keepalivectl dump" keepalivectl.8 "$CTL" dump
documented "keepalivectl scrub" keepalivectl.8 "$CTL" scrub
documented "keepalivectl clean" keepalivectl.8 "$CTL" clean
documented "keepalivectl extract" keepalivectl.8 "$CTL" extract
documented "keepalivectl image" keepalivectl.8 "$CTL" image
documented "keepalivectl seal" keepalivectl.8 "$CTL" seal
documented "keepalivectl lend" keepalivectl.8 "$CTL" lend
documented "keepalivectl reclaim" keepalivectl.8 "$CTL" reclaim
documented "keepalivectl doctor" keepalivectl.8 "$CTL" doctor
have FSCK "fsck --help" && documented fsck.keepalivefs fsck.keepalivefs.8 "$FSCK"
have KEEPALIVEFS "keepalivefs --help" && documented keepalivefs keepalivefs.8 "$KEEPALIVEFS"
have MOUNT_HELPER "mount.keepalivefs --help" &&
	documented mount.keepalivefs mount.keepalivefs.8 "$MOUNT_HELPER"
have UMOUNT_HELPER "umount.keepalivefs --help" &&
	documented umount.keepalivefs mount.keepalivefs.8 "$UMOUNT_HELPER"

problems=$MANDIR/../fsck/problems.h
if [ -f "$problems" ]; then
	missing=
	for n in $(sed -n 's/^[[:space:]]*KA_PROBLEM(\([0-9]*\),.*/\1/p' "$problems"); do
		grep -qx "$n" "$MANDIR/fsck.keepalivefs.8" || missing="$missing $n"
	done
	[ -z "$missing" ] && ok "each problem is in fsck.keepalivefs.8" ||
		not_ok "each problem is in fsck.keepalivefs.8" "missing:$missing"
fi
for page in "$MANDIR"/*.[58]; do
	if command -v mandoc >/dev/null; then
		mandoc -T lint -W warning "$page" >out 2>&1
		[ ! -s out ] && ok "mandoc likes ${page##*/}" ||
			not_ok "mandoc likes ${page##*/}" "$(cat out)"
	else
		skip "mandoc likes ${page##*/}" "no mandoc"
	fi
	if command -v groff >/dev/null; then
		groff -man -ww -z "$page" >out 2>&1
		[ ! -s out ] && ok "groff likes ${page##*/}" ||
			not_ok "groff likes ${page##*/}" "$(cat out)"
	else
		skip "groff likes ${page##*/}" "no groff"
	fi
done

echo "1..$count"
[ $failed -eq 0 ] && exit 0
# Once more, as runners show the last lines of a long log only.
echo "# $failed of $count failed:"
sed 's/^/# /' "$tmp/failures"
exit 1
