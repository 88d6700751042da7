# shellcheck shell=dash
# shellcheck disable=SC2034 # read by tests/vm/run
#
# Memory is lent and programs use all of it: files grow all the same as long as what is in it has
# somewhere to go, and where it has not, that is said and nothing is lost. The machine is left with
# little memory of its own, which would only take time to fill.
APPEND='memmap=1G%4G-1+0xefffffff memmap=1152M$768M memmap=768M$5G dax_hmem.region_idle=1'
MEMORY=4G
TIMEOUT=300
MODULES='device_dax dax_hmem kmem fuse'

# figure KEY: of status
figure() {
	keepalivectl status --json /mnt | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p"
}

# fill NAME MIB: memory that is used until no more than that is free
fill() {
	free=$(awk '/^MemFree/ { print int($2 / 1024) }' /proc/meminfo)
	dd if=/dev/zero of="/full/$1" bs=1M count=$((free - $2))
}

boot1() {
	mkfs.keepalivefs region0
	keepalivefs -f region0 /mnt 2>/run/log &
	while ! grep -q ' /mnt ' /proc/mounts; do sleep 0.1; done
	dd if=/dev/urandom of=/mnt/data bs=1M count=20
	sha256sum /mnt/data >/run/sum
	keepalivectl lend /mnt
	lent=$(figure lent_bytes)
	mkdir /full
	mount -t tmpfs -o size=4G full /full
	fill most 500

	fallocate -l 150M /mnt/more
	[ "$(figure lent_bytes)" -lt "$lent" ]
	sha256sum -c /run/sum
	keepalivectl reclaim --size 64M /mnt

	lent=$(figure lent_bytes)
	fill rest 120
	refused keepalivectl reclaim /mnt 2>/run/said
	grep -q 'cannot reclaim slice .* of ' /run/said
	grep -q 'memory block .* does not go offline' /run/log
	[ "$(figure lent_bytes)" = "$lent" ]
	sha256sum -c /run/sum

	rm /full/*
	keepalivectl reclaim /mnt
	[ "$(figure lent_bytes)" = 0 ]
	sha256sum -c /run/sum
	umount /mnt
	wait
	expect 0 fsck.keepalivefs -n -f region0
	[ "$(grep -c 'cannot take back' /run/log)" -le 2 ]
}
