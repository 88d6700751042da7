# shellcheck shell=dash
# shellcheck disable=SC2034 # read by tests/vm/run
#
# The power goes at a random moment of carving, lending, taking back and growing, in turn: the
# next boot finds every file whole. KA_ROUNDS=50 in the environment for so many moments.
APPEND='memmap=1G%4G-1+0xefffffff dax_hmem.region_idle=1'
MEMORY=4G
MODULES='device_dax dax_hmem kmem fuse'
: "${KA_BOOTS:=$((${KA_ROUNDS:-4} + 2))}"

# cut_within MS: returns after a part of that by chance, which cuts the power.
cut_within() {
	usleep $(($(od -An -N2 -tu2 /dev/urandom) * $1 / 65536 * 1000))
}

checked() {
	keepalivefs region0 /mnt
	same-tree /usr/lib /mnt/lib
	sha256sum -c /mnt/sum
	rm -f /mnt/more
}

boot1() {
	mkfs.keepalivefs region0
	keepalivefs region0 /mnt
	copy-tree /usr/lib /mnt/lib
	dd if=/dev/urandom of=/mnt/data bs=1M count=20
	sha256sum /mnt/data >/mnt/sum
}

round() {
	case $((KA_BOOT % 4)) in
	0)
		keepalivefs region0 /mnt &
		cut_within 1500
		;;
	1)
		checked
		keepalivectl reclaim /mnt || true # nothing may be lent
		keepalivectl lend /mnt &
		cut_within 3000
		;;
	2)
		checked
		keepalivectl lend /mnt
		keepalivectl reclaim /mnt &
		cut_within 5000
		;;
	3)
		checked
		keepalivectl lend /mnt
		dd if=/dev/zero of=/mnt/more bs=1M count=700 &
		cut_within 8000
		;;
	esac
}

last() {
	expect 0,1 fsck.keepalivefs -p -f region0
	checked
	umount /mnt
	expect 0 fsck.keepalivefs -n -f region0
}

for boot in $(seq 2 $((KA_BOOTS - 1))); do
	eval "boot$boot() { round; }"
done
eval "boot$KA_BOOTS() { last; }"
