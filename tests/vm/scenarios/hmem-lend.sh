# shellcheck shell=dash
# shellcheck disable=SC2034 # read by tests/vm/run
#
# What the files do not need becomes system memory and comes back; a reboot in between, or the end
# of the daemon, changes nothing.
APPEND='memmap=1G%4G-1+0xefffffff dax_hmem.region_idle=1'
MEMORY=4G
TIMEOUT=300
MODULES='device_dax dax_hmem kmem fuse'
policy=/sys/devices/system/memory/auto_online_blocks

total() {
	awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo
}

blocks() {
	grep -c 'System RAM (kmem)' /proc/iomem || true
}

# figure KEY: of status
figure() {
	keepalivectl status --json /mnt | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p"
}

boot1() {
	mkfs.keepalivefs region0
	keepalivefs region0 /mnt
	copy-tree /usr/lib /mnt/lib
	dd if=/dev/urandom of=/mnt/data bs=1M count=100
	sha256sum /mnt/data >/mnt/sum
	before=$(total)
	was=$(cat $policy)
	keepalivectl lend /mnt
	[ $(($(total) - before)) -ge 640 ]
	[ "$(blocks)" = $((($(total) - before) / 128)) ]
	grep -q '13fffffff : System RAM (kmem)' /proc/iomem
	[ "$(cat $policy)" = "$was" ]
	sha256sum -c /mnt/sum
	keepalivectl reclaim /mnt
	[ "$(total)" = "$before" ]
	[ "$(blocks)" = 0 ]
	keepalivectl lend /mnt
	[ $(($(total) - before)) -ge 640 ]
	keepalivectl seal /mnt
	end-boot reset
}

# What was lent is lent again.
boot2() {
	before=$(total)
	keepalivefs region0 /mnt
	[ $(($(total) - before)) -ge 640 ]
	same-tree /usr/lib /mnt/lib
	sha256sum -c /mnt/sum
	# The daemon dies, the memory stays with the system, and the next daemon finds it there.
	pkill -9 keepalivefs
	umount -l /mnt
	keepalivefs region0 /mnt
	[ $(($(total) - before)) -ge 640 ]
	sha256sum -c /mnt/sum
	keepalivectl reclaim --size 200M /mnt
	[ "$(figure lent_bytes)" -lt $((600 * 1048576)) ]
	umount /mnt
	expect 0 fsck.keepalivefs -n -f region0
	keepalivefs region0 /mnt
	keepalivectl reclaim /mnt
	[ "$(total)" = "$before" ]
	sha256sum -c /mnt/sum
}
