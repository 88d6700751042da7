# shellcheck shell=bash disable=SC2034,SC2154
# (variables are shared with ../run and the other files here)
#
# Debian's kernel packages: fetched once, unpacked, never installed.

readonly kernel_series='6.1'
kernel_dir=	# what a kernel package was unpacked into
kernel_release=	# as in uname -r

kernel_is_known() {
	[[ " $kernel_series " == *" $1 "* ]]
}

# kernel_get SERIES: sets kernel_dir and kernel_release. A download that
# cannot be had is no fault of the code under test, hence skip.
kernel_get() {
	local cache=${KEEPALIVE_VM_CACHE:-${XDG_CACHE_HOME:-~/.cache}/keepalivefs-vm}
	local lock modules

	mkdir -p "$cache"
	kernel_dir=$cache/kernel-$1

	# Runs in parallel fetch only once.
	exec {lock}>"$cache/lock"
	flock "$lock"
	[[ -d $kernel_dir ]] || kernel_fetch "$1" "$cache"
	exec {lock}>&-

	modules=("$kernel_dir"/lib/modules/*)
	kernel_release=${modules[0]##*/}
}

# kernel_fetch SERIES CACHE
kernel_fetch() {
	local package unpacked=$2/unpacking reason

	# linux-image-amd64 is empty and depends on the kernel of the suite.
	package=$(apt-cache depends linux-image-amd64 2>/dev/null |
		awk '$1 == "Depends:" { print $2; exit }') || true
	[[ $package == "linux-image-$1".* ]] ||
		skip "apt knows no kernel $1 (linux-image-amd64 gives '$package')"

	rm -rf "$unpacked"
	mkdir "$unpacked"
	reason=$(cd "$unpacked" && apt-get -qq download "$package" 2>&1) ||
		skip "cannot download $package: $(tail -n 1 <<<"$reason")"
	dpkg -x "$unpacked"/*.deb "$unpacked"
	rm "$unpacked"/*.deb

	# modprobe --show-depends wants it, and packages come without.
	depmod -b "$unpacked" "$(basename "$unpacked"/lib/modules/*)"

	# Last, so that a folder with this name is complete.
	mv "$unpacked" "$kernel_dir"
}
