# shellcheck shell=dash
# shellcheck disable=SC2034,SC2164 # read by tests/vm/run; cd: set -e is on
#
# A soft-reserved region: everything that was copied, and the last operations
# before the power went, are there afterwards. Without fsync, without umount.
APPEND='memmap=1G%6G-1+0xefffffff'

boot1() {
	whole-region
	mkfs.keepalivefs /dev/dax0.0
	keepalivefs /dev/dax0.0 /mnt

	make-tree /tmp/tree
	copy-tree /tmp/tree /mnt/tree
	same-tree /tmp/tree /mnt/tree

	# A region in use takes no second daemon, and the first one does not
	# notice.
	mkdir /tmp/second
	refused keepalivefs /dev/dax0.0 /tmp/second
	expect 1 grep -q /tmp/second /proc/mounts
	cat /mnt/tree/odd/link1

	mkdir /mnt/last
	cd /mnt/last
	echo kept >before
	echo replaced >target
	echo doomed >doomed
	echo first >appended
	echo 0123456789 >shortened
	mv before target
	rm doomed
	echo second >>appended
	truncate -s 4 shortened
	chmod 640 shortened
}

boot2() {
	whole-region
	expect 0,1 fsck.keepalivefs -p /dev/dax0.0
	keepalivefs /dev/dax0.0 /mnt

	make-tree /tmp/tree
	same-tree /tmp/tree /mnt/tree

	ls -la /mnt/last
	[ "$(cd /mnt/last && echo *)" = 'appended shortened target' ]
	[ "$(cat /mnt/last/target)" = kept ]
	[ "$(cat /mnt/last/appended)" = "first
second" ]
	[ "$(cat /mnt/last/shortened)" = 0123 ]
	[ "$(stat -c %a /mnt/last/shortened)" = 640 ]

	# Not a museum: it can be written to, and unmounted cleanly.
	rm -r /mnt/tree/lib
	copy-tree /tmp/tree/lib /mnt/tree/lib
	umount /mnt
	expect 0 fsck.keepalivefs -n -f /dev/dax0.0
	keepalivefs /dev/dax0.0 /mnt
	same-tree /tmp/tree/lib /mnt/tree/lib
	same-tree /tmp/tree/odd /mnt/tree/odd
	umount /mnt
	expect 0 fsck.keepalivefs -n -f /dev/dax0.0
}
