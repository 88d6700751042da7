# shellcheck shell=dash
# shellcheck disable=SC2034 # read by tests/vm/run
#
# One filesystem through every way to reboot, sealed and not: what was copied
# in one boot is there in the next, and more is copied then.
APPEND='memmap=1G%6G-1+0xefffffff'

# found TREE: after any of them.
found() {
	whole-region
	expect 0,1 fsck.keepalivefs -p /dev/dax0.0
	keepalivefs /dev/dax0.0 /mnt
	same-tree /usr/lib "/mnt/$1"
}

boot1() {
	whole-region
	mkfs.keepalivefs /dev/dax0.0
	keepalivefs /dev/dax0.0 /mnt
	copy-tree /usr/lib /mnt/first
	end-boot kexec
}

boot2() {
	found first
	mv /mnt/first /mnt/second
	copy-tree /scenarios /mnt/scenarios
	keepalivectl seal /mnt
	end-boot kexec
}

boot3() {
	found second
	same-tree /scenarios /mnt/scenarios
	mv /mnt/second /mnt/third
	end-boot reset
}

boot4() {
	found third
	mv /mnt/third /mnt/fourth
	keepalivectl seal /mnt
	end-boot reset
}

boot5() {
	found fourth
	mv /mnt/fourth /mnt/fifth
	end-boot panic
}

boot6() {
	found fifth
	same-tree /scenarios /mnt/scenarios
	umount /mnt
	expect 0 fsck.keepalivefs -n -f /dev/dax0.0
}
