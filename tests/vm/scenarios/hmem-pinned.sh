# shellcheck shell=dash
# shellcheck disable=SC2034 # read by tests/vm/run
#
# A program holds a page of lent memory that can go nowhere: taking that slice back ends in time
# and says which block it is, nobody else notices, and it works when the program has ended.
APPEND='memmap=1G%4G-1+0xefffffff dax_hmem.region_idle=1'
MEMORY=4G
MODULES='device_dax dax_hmem kmem fuse'

# figure KEY: of status
figure() {
	keepalivectl status --json /mnt | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p"
}

# online BLOCK: it is, and movable
online() {
	grep -qx online "/sys/devices/system/memory/memory$1/state"
	grep -qx Movable "/sys/devices/system/memory/memory$1/valid_zones"
}

boot1() {
	mkfs.keepalivefs region0
	keepalivefs -f region0 /mnt 2>/run/log &
	while ! grep -q ' /mnt ' /proc/mounts; do sleep 0.1; done
	dd if=/dev/urandom of=/mnt/data bs=1M count=20
	sha256sum /mnt/data >/run/sum
	keepalivectl lend /mnt

	pin 0x100000000 0x40000000 >/run/pinned &
	while ! grep -q pinned /run/pinned; do sleep 0.1; done
	block=$(($(sed -n 's/pinned //p' /run/pinned) / (128 << 20)))
	slice=$((block - 32))
	begin=$(date +%s)
	refused keepalivectl reclaim /mnt 2>/run/said
	[ $(($(date +%s) - begin)) -lt 30 ]
	grep -q "cannot reclaim slice $slice of '/mnt'" /run/said
	grep -q "memory block $block does not go offline" /run/log
	[ "$(figure stuck_slice)" = $slice ]
	keepalivectl status /mnt | grep "slice $slice: memory block $block does not go offline"
	[ "$(figure lent_bytes)" = $(((8 - slice) * (128 << 20))) ]
	for i in $(seq $block 39); do
		online "$i"
	done
	sha256sum -c /run/sum
	cp /mnt/data /mnt/copy
	keepalivectl lend /mnt

	pkill pin
	keepalivectl reclaim /mnt
	[ "$(figure lent_bytes)" = 0 ]
	[ "$(keepalivectl status /mnt | grep -c 'Stays lent')" = 0 ]
	cmp /mnt/data /mnt/copy
	sha256sum -c /run/sum

	# A kernel that is loaded before memory comes back may have a place in it.
	[ "$(grep -c kexec /run/log)" = 0 ]
	keepalivectl lend /mnt
	/usr/sbin/modprobe -a virtio_pci virtio_blk
	wait-for /dev/vda
	cat /dev/vda >/run/kernel
	kexec -i -l /run/kernel --append=none
	keepalivectl reclaim /mnt
	[ "$(grep -c "come back from the system: a kernel is loaded for kexec" /run/log)" = 1 ]
	umount /mnt
	wait
	expect 0 fsck.keepalivefs -n -f region0
}
