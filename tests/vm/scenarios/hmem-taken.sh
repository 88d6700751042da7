# shellcheck shell=dash
# shellcheck disable=SC2034 # read by tests/vm/run
#
# Somebody made system memory of the region before us: doctor says so, and everything else
# refuses and changes nothing.
APPEND='memmap=1G%6G-1+0xefffffff'
MODULES='device_dax dax_hmem kmem fuse'

# as_it_is COMMAND...: devices, and what is system memory, are as before.
as_it_is() {
	{ daxctl list -D && grep kmem /proc/iomem; } >/run/before
	"$@"
	{ daxctl list -D && grep kmem /proc/iomem; } >/run/after
	cmp /run/before /run/after
}

boot1() {
	expect 0,4 keepalivectl doctor >/run/said
	cat /run/said
	grep -q 'options dax_hmem region_idle=1' /run/said || grep -q 'warning: nothing says' /run/said
	# Kernels before 6.3 leave that to rules.
	grep -q kmem /proc/iomem || daxctl reconfigure-device --mode=system-ram dax0.0
	grep -q kmem /proc/iomem
	as_it_is expect 4 keepalivectl doctor region0 >/run/said
	cat /run/said
	grep -q '^bad: dax0.0, where region0 begins, is system memory' /run/said
	for region in region0 dax@0x180000000; do
		as_it_is refused mkfs.keepalivefs -f "$region" 2>/run/said
		grep -q "doctor" /run/said
		as_it_is refused keepalivefs "$region" /mnt 2>/run/said
		grep -q "doctor" /run/said
		as_it_is refused fsck.keepalivefs -p "$region"
	done
	# shellcheck disable=SC2086 # words
	for program in 'mkfs.keepalivefs -f /dev/dax0.0' 'keepalivefs /dev/dax0.0 /mnt'; do
		as_it_is refused $program 2>/run/said
		grep -q "system memory" /run/said
	done
}
