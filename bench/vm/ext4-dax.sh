# shellcheck shell=dash
# shellcheck disable=SC2034 # read by tests/vm/run
#
# One tree saved to keepalivefs and to ext4 -o dax, each on a pmem device of the same size, and
# brought back; in turn, so that both meet the same machine. See bench/ext4-dax.
APPEND='memmap=512M!4G memmap=512M!4608M'
MODULES='nd_e820 nd_pmem device_dax dax_pmem fuse ext4'
TIMEOUT=900

# timed NAME COMMAND...: says how many hundredths of a second it took
timed() {
	what=$1
	shift
	begin=$(cut -d ' ' -f 1 /proc/uptime | tr -d .)
	"$@"
	echo "KA-BENCH $what $(($(cut -d ' ' -f 1 /proc/uptime | tr -d .) - begin))"
}

# save_and_restore NAME DIR
save_and_restore() {
	timed "$1 save" sh -c "/usr/bin/cp -a /run/tree $2/tree && sync"
	rm -rf /run/back
	echo 3 >/proc/sys/vm/drop_caches
	timed "$1 restore" /usr/bin/cp -a "$2/tree" /run/back
	same-tree /run/tree /run/back
	rm -rf "${2:?}/tree" /run/back
	sync
}

boot1() {
	wait-for /dev/pmem1
	ndctl create-namespace --mode devdax --map mem -e namespace0.0 -f
	wait-for /dev/dax0.0
	mkfs.keepalivefs /dev/dax0.0
	mkdir /run/ours /run/ext4
	keepalivefs /dev/dax0.0 /run/ours
	mkfs.ext4 -q -b 4096 /dev/pmem1
	mount -t ext4 -o dax=always /dev/pmem1 /run/ext4
	mkdir /run/tree
	for i in 1 2 3; do
		copy-tree /usr/lib "/run/tree/$i"
	done
	dd if=/dev/urandom of=/run/tree/large bs=1M count=64
	for round in 1 2 3 4; do
		save_and_restore keepalivefs /run/ours
		save_and_restore ext4 /run/ext4
	done
}
