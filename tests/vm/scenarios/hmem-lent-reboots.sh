# shellcheck shell=dash
# shellcheck disable=SC2034 # read by tests/vm/run
#
# Three regions at once, one as it should be, one that begins and ends 2 MiB behind a memory
# block, one of two blocks. Their memory is lent and used, grows, and stays lent through every kind of
# reboot but kexec, before which it is taken back; all files stay whole.
APPEND='memmap=1G%4G-1+0xefffffff memmap=512M%5250M-1+0xefffffff'
# Kernel 7.2 rounds up the end of RAM to 64 MiB, without regard to what comes behind it.
APPEND="$APPEND memmap=66M\$5184M memmap=256M%5888M-1+0xefffffff dax_hmem.region_idle=1"
# The machine is left with little memory of its own, which would only take time to fill.
APPEND="$APPEND memmap=1152M\$768M memmap=1920M\$6272M"
MODULES='device_dax dax_hmem kmem fuse'
TIMEOUT=300
regions='region0 region1 region2'

total() {
	awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo
}

# figure REGION KEY: of status
figure() {
	keepalivectl status --json "/run/$1" | sed -n "s/.*\"$2\": \([0-9]*\).*/\1/p"
}

# expect_lent REGION MIB: so much of it is system memory
expect_lent() {
	[ $(($(figure "$1" lent_bytes) >> 20)) -ge "$2" ]
}

mount_all() {
	for region in $regions; do
		mkdir "/run/$region"
		keepalivefs "$region" "/run/$region"
	done
}

# tree_of REGION: of many files for the first, of few for the others
tree_of() {
	case $1 in
	region0) echo /usr/lib ;;
	*) echo /scenarios ;;
	esac
}

compare_all() {
	for region in $regions; do
		same-tree "$(tree_of "$region")" "/run/$region/tree"
		sha256sum -c "/run/$region/sum"
	done
}

lend_all() {
	before=$(total)
	for region in $regions; do
		keepalivectl lend "/run/$region"
	done
	expect_lent region0 768
	expect_lent region1 258
	expect_lent region2 128
	# What lies in no block is nobody's.
	[ $(($(total) - before)) = $((768 + 256 + 128)) ]
	# Up to the last block of each region.
	for end in 13fffffff 167ffffff 17fffffff; do
		grep -q "$end : System RAM (kmem)" /proc/iomem
	done
}

# All that is lent is written.
use_all() {
	mkdir -p /run/used
	mount -t tmpfs -o size=8G used /run/used
	yes keepalivefs | dd of=/run/used/pattern bs=64k count=256 iflag=fullblock || true # SIGPIPE
	free=$(awk '/^MemFree/ { print int($2 / 1024) }' /proc/meminfo)
	for i in $(seq $(((free - 200) / 16))); do
		dd if=/run/used/pattern of="/run/used/$i" bs=1M
	done
}

boot1() {
	for region in $regions; do
		mkfs.keepalivefs "$region"
	done
	mount_all
	for region in $regions; do
		copy-tree "$(tree_of "$region")" "/run/$region/tree"
		size=20
		[ $region != region0 ] || size=100
		dd if=/dev/urandom of="/run/$region/data" bs=1M count=$size
		sha256sum "/run/$region/data" >"/run/$region/sum"
	done
	lend_all
	use_all
	rm /run/used/*
	for region in region0 region1; do
		lent=$(figure $region lent_bytes)
		dd if=/dev/zero of=/run/$region/more bs=1M count=230
		[ "$(figure $region lent_bytes)" -lt "$lent" ]
		rm /run/$region/more
	done
	for region in $regions; do
		keepalivectl reclaim "/run/$region"
		[ "$(figure $region lent_bytes)" = 0 ]
	done
	[ "$(total)" = "$before" ]
	lend_all
	keepalivectl seal /run/region0
	keepalivectl seal /run/region1
	end-boot panic
}

# What was lent is lent again.
boot2() {
	before=$(total)
	mount_all
	[ $(($(total) - before)) = $((768 + 256 + 128)) ]
	compare_all
	end-boot powercut
}

boot3() {
	mount_all
	compare_all
	for region in $regions; do
		keepalivectl reclaim "/run/$region"
		keepalivectl seal "/run/$region"
	done
	[ "$(grep -c 'System RAM (kmem)' /proc/iomem)" = 0 ]
	end-boot kexec
}

boot4() {
	mount_all
	compare_all
	lend_all
	end-boot reset
}

boot5() {
	mount_all
	compare_all
	for region in $regions; do
		umount "/run/$region"
		expect 0 fsck.keepalivefs -n -f "$region"
	done
}
