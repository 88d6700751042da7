# shellcheck shell=dash
# shellcheck disable=SC2034,SC2154 # read by tests/vm/run
#
# The system calls of tests/fuse on this kernel, on a devdax device; ext4 is the model.
APPEND='memmap=1G%6G-1+0xefffffff'
MODULES='device_dax dax_hmem fuse ext4 loop'
TIMEOUT=900

boot1() {
	whole-region
	mount -t tmpfs tmp /tmp
	ln -s /proc/self/fd /dev/fd
	export KEEPALIVEFS=keepalivefs MKFS=mkfs.keepalivefs FSCK=fsck.keepalivefs \
		CTL=keepalivectl COHERENCE=coherence FUSE_OPS=fuse_ops SEMANTICS=semantics \
		MOUNT_HELPER=mount.keepalivefs KA_ROUNDS=8 KA_REGION=/dev/dax0.0
	sh /tests/fuse/operations.sh
	sh /tests/fuse/semantics.sh
}
