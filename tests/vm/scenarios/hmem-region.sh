# shellcheck shell=dash
# shellcheck disable=SC2034 # read by tests/vm/run
#
# A whole region by its names: mkfs cuts it into slices, a boot forgets that, the next mount cuts
# it again; who only looks leaves the devices as they were.
APPEND='memmap=1G%6G-1+0xefffffff dax_hmem.region_idle=1'
MODULES='device_dax dax_hmem kmem fuse'

# slices_are LOOK: as ka_carve_look says; 0 nothing, 2 as wanted.
slices_are() {
	slices show
	slices show | grep -q "slices 8 look $1"
}

# untouched COMMAND...: devices, and their modes, are as before.
untouched() {
	slices show >/run/before
	"$@"
	slices show >/run/after
	cmp /run/before /run/after
}

boot1() {
	slices_are 0
	untouched refused keepalivefs region0 /mnt
	untouched mkfs.keepalivefs -n region0
	mkfs.keepalivefs -L state -U 11111111-2222-3333-4444-555555555555 region0 | tee /run/said
	grep -q 'slices .*8 of 128 MiB' /run/said
	slices_are 2
	untouched refused mkfs.keepalivefs region0
	keepalivefs region0 /mnt
	copy-tree /usr/lib /mnt/lib
	keepalivectl status region0 | grep -q 'Mounted on: */mnt'
	keepalivectl status --json /mnt | grep -q '"path": "dax@0x180000000"'
	untouched refused keepalivefs dax@0x180000000 /run
	untouched refused fsck.keepalivefs -n region0
	end-boot powercut
}

boot2() {
	slices_are 0
	# A device that cannot be bound.
	module=$(find /lib/modules -name 'device_dax.ko*')
	rmmod device_dax
	mount --bind /dev/null "$module"
	untouched refused keepalivectl status region0 2>/run/said
	grep "cannot bind 'dax.*' to device_dax: " /run/said
	umount "$module"
	/usr/sbin/modprobe device_dax
	untouched keepalivectl status UUID=11111111-2222-3333-4444-555555555555
	untouched expect 0 keepalivectl dump LABEL=state
	untouched expect 0 fsck.keepalivefs -n -f dax@0x180000000
	slices_are 0
	keepalivefs -o ro region0 /mnt
	same-tree /usr/lib /mnt/lib
	umount /mnt
	keepalivefs LABEL=state /mnt
	slices_are 2
	same-tree /usr/lib /mnt/lib
	copy-tree /scenarios /mnt/scenarios
	umount /mnt
	expect 0 fsck.keepalivefs -n -f region0
	end-boot reset
}

# The kernel presents one device of full size.
boot3() {
	daxctl create-device -r 0
	slices_are 1
	untouched expect 0 fsck.keepalivefs -n region0
	keepalivefs UUID=11111111-2222-3333-4444-555555555555 /mnt
	slices_are 2
	same-tree /usr/lib /mnt/lib
	same-tree /scenarios /mnt/scenarios
	umount /mnt
	# Another cut than ours.
	name=$(slices show | awk '$2 == "0x198000000" { print $1 }')
	daxctl disable-device "$name"
	echo 67108864 >"/sys/bus/dax/devices/$name/size"
	untouched refused keepalivefs region0 /mnt
	# What is system memory is not formatted.
	echo offline >/sys/devices/system/memory/auto_online_blocks
	daxctl reconfigure-device --mode=system-ram dax0.7
	untouched refused mkfs.keepalivefs -f region0
	untouched refused fsck.keepalivefs -y region0
}
