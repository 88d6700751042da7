# shellcheck shell=bash disable=SC2034,SC2154
# (variables are shared with ../run and the other files here)
#
# The guest's root: busybox, the tools for DAX regions, their kernel modules,
# the programs under test, and the scenarios.

# Where they are in the build directory; all go to /usr/sbin.
readonly initramfs_tested='
	fs/daemon/keepalivefs
	fs/daemon/mount.keepalivefs
	mkfs/mkfs.keepalivefs
	fsck/fsck.keepalivefs
	ctl/keepalivectl
	tests/dax/pin
	tests/dax/slices
	tests/fuse/coherence
	tests/fuse/fuse_ops
	tests/fuse/semantics'
# cp, stat, touch: for what those of busybox cannot do, see guest/bin. The rest it has not.
readonly initramfs_tools='busybox daxctl ndctl kexec cp stat touch pgrep pkill mountpoint
	mkfs.ext4'
# What they depend on comes along. virtio: end-boot kexec, see host/machine.sh.
readonly initramfs_modules='
	device_dax dax_hmem kmem
	nd_e820 nd_pmem dax_pmem
	fuse
	ext4 loop
	virtio_pci virtio_blk'
# What some kernels have as a module and others inside.
readonly initramfs_modules_if_any='crc32c_generic'

# initramfs_build BUILD OUT SCENARIO...: needs kernel_modules, kernel_release.
# Left uncompressed: under TCG, unpacking takes longer than loading.
initramfs_build() {
	local build=$1 out=$2 root=$2.root dir name file
	shift 2

	# Merged as Debian's is, so that /bin, /sbin and /lib work too.
	mkdir -p "$root"/{dev,etc,mnt,proc,run,sys,tmp} \
		"$root"/usr/{bin,sbin,lib,lib64}
	for dir in bin sbin lib lib64; do
		ln -s "usr/$dir" "$root/$dir"
	done
	ln -s /proc/mounts "$root/etc/mtab"

	for name in $initramfs_tools; do
		initramfs_program "$root" "$(command -v "$name")" usr/bin
	done
	for name in $initramfs_tested; do
		[[ -x $build/$name ]] || fail "no $name in '$build': build it first"
		initramfs_program "$root" "$build/$name" usr/sbin
	done
	# libfuse calls it where it may not mount by itself.
	file=$(command -v fusermount3) &&
		initramfs_program "$root" "$file" usr/bin
	# Not busybox's: that one reads neither modprobe.d nor the kernel's command
	# line for parameters, and knows no .ko.xz.
	initramfs_program "$root" "$(command -v kmod)" usr/bin
	ln -s ../bin/kmod "$root/usr/sbin/modprobe"
	initramfs_add_modules "$root"

	install -m 755 "$here/guest/init" "$root/init"
	install -m 755 -t "$root/usr/bin" "$here"/guest/bin/*
	install -m 644 -D -t "$root/scenarios" "$@"
	install -m 644 -D -t "$root/tests/fuse" "$here"/../fuse/*.sh

	(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) >"$out"
	rm -rf "$root"
}

# initramfs_program ROOT PROGRAM FOLDER: with its shared libraries.
initramfs_program() {
	local libraries library

	install -D -t "$1/$3" "$2"
	# A static program has none, which ldd reports as an error.
	libraries=$(ldd "$2" 2>/dev/null) || return 0
	[[ $libraries != *'not found'* ]] || fail "'$2' misses shared libraries"
	grep -o '/[^ ]*' <<<"$libraries" | while read -r library; do
		[[ -e $1$library ]] || install -D "$library" "$1$library"
	done
}

initramfs_add_modules() {
	local root=$1 kind file list=$work/modules
	# --config: the host's modprobe.d has no say here.
	local resolve=(modprobe --dirname "$kernel_modules" --set-version "$kernel_release"
		--config /dev/null --show-depends --all)

	# shellcheck disable=SC2086 # a list of words
	"${resolve[@]}" $initramfs_modules >"$list" ||
		fail "a module is missing from kernel $kernel_release"
	# shellcheck disable=SC2086
	"${resolve[@]}" --quiet $initramfs_modules_if_any >>"$list" || true
	while read -r kind file _; do
		[[ $kind == insmod ]] || continue	# or builtin
		install -m 644 -D "$file" "$root/${file#"$kernel_modules"/}"
	done <"$list"

	cp "$kernel_modules/lib/modules/$kernel_release"/modules.{order,builtin,builtin.modinfo} \
		"$root/lib/modules/$kernel_release"
	depmod -b "$root" "$kernel_release"
}
