# shellcheck shell=dash
# shellcheck disable=SC2034 # read by tests/vm/run
#
# The only memory that is movable is what is lent, so there lie the pages of the programs whose
# writes need it back: they get it, and do not have to wait for the deadline.
APPEND='memmap=1G%4G-1+0xefffffff dax_hmem.region_idle=1'
MEMORY=4G
TIMEOUT=300
MODULES='device_dax dax_hmem kmem fuse'

# figure KEY: of status
figure() {
	keepalivectl status --json /mnt | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p"
}

# lend-one: all but the last slice is full
lend_one() {
	rm -f /mnt/written
	keepalivectl lend /mnt
	lent=$(figure lent_bytes)
	[ "$lent" -gt 0 ]
	[ "$lent" -le $((256 << 20)) ]
}

grew() {
	[ "$(figure lent_bytes)" -lt "$lent" ]
	[ "$(grep -c "cannot take back" /run/log)" = 0 ]
}

boot1() {
	mkfs.keepalivefs region0
	keepalivefs -f region0 /mnt 2>/run/log &
	while ! grep -q ' /mnt ' /proc/mounts; do sleep 0.1; done
	fallocate -l 760M /mnt/full
	dd if=/dev/urandom of=/run/source bs=1M count=130
	sum=$(sha256sum </run/source)

	lend_one # straight from the memory of the program
	dd if=/run/source of=/mnt/written bs=1M
	[ "$(sha256sum </mnt/written)" = "$sum" ]
	grew

	lend_one # small ones
	dd if=/run/source of=/mnt/written bs=64k
	[ "$(sha256sum </mnt/written)" = "$sum" ]
	grew

	lend_one # from the page cache
	dd if=/run/source bs=1M 1<>/mnt/written
	[ "$(sha256sum </mnt/written)" = "$sum" ]
	grew
	umount /mnt
	wait
	expect 0 fsck.keepalivefs -n -f region0
}
