# shellcheck shell=dash
# shellcheck disable=SC2034 # read by tests/vm/run
#
# A region that the kernel presents empty, and one of full size, cut into slices of memory
# blocks; all but two become system memory, and come back.
APPEND='memmap=1G%6G-1+0xefffffff dax_hmem.region_idle=1'
MODULES='device_dax dax_hmem kmem'

total() {
	awk '/^MemTotal/ { print $2 }' /proc/meminfo
}

# slices_are LOOK: as ka_carve_look says, 2 is as wanted.
slices_are() {
	slices show
	slices show | grep -q "slices 8 look $1"
}

lend_and_reclaim() {
	before=$(total)
	policy=$(cat /sys/devices/system/memory/auto_online_blocks)
	for i in 7 6 5 4 3 2; do
		slices lend $i
	done
	[ "$(slices show | grep -c 'driver kmem')" = 6 ]
	[ $(($(total) - before)) = $((768 * 1024)) ]
	# One block each, up to the end of the region.
	[ "$(grep -c 'System RAM (kmem)' /proc/iomem)" = 6 ]
	grep -q '1bfffffff : System RAM (kmem)' /proc/iomem
	for i in $(seq 48 55); do
		[ "$i" -lt 50 ] || grep -qx Movable /sys/devices/system/memory/memory"$i"/valid_zones
	done
	slices lend 7 # again
	for i in 2 3 4 5 6 7; do
		slices reclaim $i 20000
	done
	[ "$(total)" = "$before" ]
	[ "$(grep -c 'kmem)' /proc/iomem)" = 0 ]
	[ "$(slices show | grep -c 'driver device_dax')" -ge 6 ]
	[ "$(cat /sys/devices/system/memory/auto_online_blocks)" = "$policy" ]
}

boot1() {
	slices_are 0
	slices carve
	slices_are 2
	slices carve
	slices_are 2
	for policy in online offline online_movable; do
		echo $policy >/sys/devices/system/memory/auto_online_blocks
		lend_and_reclaim
	done
	# A part is missing, as after a crash in the middle.
	name=$(slices show | awk '$2 == "0x198000000" { print $1 }')
	daxctl disable-device "$name"
	daxctl destroy-device "$name"
	slices_are 3
	slices carve
	slices_are 2
	# One device of full size.
	for name in $(daxctl list -D | sed -n 's/.*"chardev":"\(dax[0-9.]*\)".*/\1/p'); do
		daxctl disable-device "$name"
		daxctl destroy-device "$name" || true # the seed stays, empty
	done
	slices_are 0
	daxctl create-device -r 0
	slices_are 1
	slices carve
	slices_are 2
	# Some other way: nothing is changed.
	name=$(slices show | awk '$2 == "0x198000000" { print $1 }')
	daxctl disable-device "$name"
	echo 67108864 >"/sys/bus/dax/devices/$name/size"
	slices show >/run/before
	refused slices carve
	slices show >/run/after
	cmp /run/before /run/after
}
