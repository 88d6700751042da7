# shellcheck shell=dash
# shellcheck disable=SC2034,SC2164 # read by tests/vm/run; cd: set -e is on
#
# Persistent memory: one static device, the smaller for its label, which the
# kernel finds again by itself after a power cut.
APPEND='memmap=1G!4G'
MODULES='nd_e820 nd_pmem device_dax dax_pmem fuse'

boot1() {
	wait-for /dev/pmem0
	ndctl create-namespace --mode devdax --map mem -e namespace0.0 -f
	wait-for /dev/dax0.0
	mkfs.keepalivefs /dev/dax0.0
	keepalivefs /dev/dax0.0 /mnt
	make-tree /tmp/tree
	copy-tree /tmp/tree /mnt/tree
	mv /mnt/tree /mnt/moved
}

boot2() {
	wait-for /dev/dax0.0
	expect 0,1 fsck.keepalivefs -p /dev/dax0.0
	keepalivefs /dev/dax0.0 /mnt
	make-tree /tmp/tree
	same-tree /tmp/tree /mnt/moved
	[ "$(cd /mnt && echo *)" = moved ]
	refused keepalivectl lend /mnt 2>/run/said
	grep "cannot lend memory of '/mnt': its region is a single device; .* like region0" /run/said
	umount /mnt
	expect 0 fsck.keepalivefs -n -f /dev/dax0.0
}
