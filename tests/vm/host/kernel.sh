# shellcheck shell=bash disable=SC2034,SC2154
# (variables are shared with ../run and the other files here)
#
# Debian's kernel packages: fetched once, unpacked, never installed. apt runs
# with a configuration of its own, so that the machine's sources neither have
# to list these suites nor are changed.

# The suites in which to look for a kernel of each series.
declare -rA kernel_suites=(
	[6.1]='bookworm'
	[6.12]='trixie bookworm-backports'
	[7.2]='sid forky'
)
readonly kernel_series='6.1 6.12 7.2'
readonly kernel_keyring=/usr/share/keyrings/debian-archive-keyring.gpg
kernel_release=	# as in uname -r
kernel_modules=	# folder for modprobe --dirname: in it are lib/modules/RELEASE
kernel_image=	# the file to boot

kernel_is_known() {
	[[ " $kernel_series " == *" $1 "* ]]
}

# kernel_get SERIES: sets the variables above. A download that cannot be had is
# no fault of the code under test, hence skip.
kernel_get() {
	local cache=${KEEPALIVE_VM_CACHE:-${XDG_CACHE_HOME:-~/.cache}/keepalivefs-vm}
	local lock modules image

	mkdir -p "$cache"
	cache=$(cd "$cache" && pwd)
	kernel_modules=$cache/kernel-$1

	# Runs in parallel fetch only once.
	exec {lock}>"$cache/lock"
	flock "$lock"
	[[ -d $kernel_modules ]] || kernel_fetch "$1" "$cache"
	exec {lock}>&-

	modules=("$kernel_modules"/lib/modules/*)
	kernel_release=${modules[0]##*/}
	# Where Debian has it until 6.12, and where it has it since.
	for image in "$kernel_modules/boot/vmlinuz-$kernel_release" "${modules[0]}/vmlinuz"; do
		[[ ! -f $image ]] || kernel_image=$image
	done
	[[ -n $kernel_image ]] || fail "no kernel image in '$kernel_modules'"
}

# kernel_fetch SERIES CACHE
kernel_fetch() {
	local unpacked=$2/unpacking apt=$2/apt package reason

	kernel_configure_apt "$1" "$apt"
	reason=$(apt-get -qq -c "$apt/apt.conf" update 2>&1) ||
		skip "no package lists for kernel $1: $(tail -n 1 <<<"$reason")"

	rm -rf "$unpacked"
	mkdir "$unpacked"
	for package in $(kernel_packages "$1" "$apt/apt.conf"); do
		reason=$(cd "$unpacked" && apt-get -qq -c "$apt/apt.conf" download "$package" 2>&1) ||
			skip "cannot download $package: $(tail -n 1 <<<"$reason")"
	done
	kernel_unpack "$unpacked" ||
		skip "no kernel $1 in ${kernel_suites[$1]}"
	rm -rf "$apt"

	# Last, so that a folder with this name is complete.
	mv "$unpacked" "$kernel_modules"
}

# kernel_configure_apt SERIES FOLDER: in which FOLDER/apt.conf is then.
kernel_configure_apt() {
	local folder=$2 mirror suite

	[[ -f $kernel_keyring ]] ||
		skip "no $kernel_keyring (Debian package debian-archive-keyring)"
	# The mirror that this machine uses, if it is one of Debian at all.
	mirror=$(apt-get --print-uris update 2>/dev/null |
		sed -n "s|^'\(.*/debian\)/dists/.*/InRelease'.*|\1|p" | head -n 1) || true
	mirror=${mirror:-http://deb.debian.org/debian}

	rm -rf "$folder"
	mkdir -p "$folder"/lists/partial "$folder"/cache/archives/partial
	for suite in ${kernel_suites[$1]}; do
		echo "deb [signed-by=$kernel_keyring] $mirror $suite main"
	done >"$folder/sources.list"
	# With -c it comes after the machine's own, of which a proxy may be wanted.
	cat >"$folder/apt.conf" <<-END
	Dir::Etc::sourcelist "$folder/sources.list";
	Dir::Etc::sourceparts "/dev/null";
	Dir::Etc::preferences "/dev/null";
	Dir::Etc::preferencesparts "/dev/null";
	Dir::State "$folder";
	Dir::State::status "/dev/null";
	Dir::Cache "$folder/cache";
	Acquire::Languages "none";
	APT::Architecture "amd64";
	APT::Sandbox::User "";
	APT::Update::Error-Mode "any";
	#clear APT::Update::Post-Invoke;
	#clear APT::Update::Post-Invoke-Success;
	END
}

# kernel_packages SERIES APT_CONF: prints the packages with the image and the
# modules of the newest kernel of the series, nothing when there is none.
kernel_packages() {
	local version image

	# linux-image-amd64 is empty and depends on the kernel of its suite.
	version=$(apt-cache -c "$2" madison linux-image-amd64 |
		awk -v series="$1." 'index($3, series) == 1 { print $3; exit }')
	[[ -n $version ]] || return 0
	image=$(apt-cache -c "$2" show "linux-image-amd64=$version" |
		sed -n '/^Depends:/s/.*\(linux-image-[0-9][^ ]*\) .*/\1/p')
	echo "$image"
	# Since 7.x this one is empty too, and depends on those with the files: base
	# has the lists of modules, the builtin ones among them.
	apt-cache -c "$2" depends "$image" |
		awk '$1 == "Depends:" && $2 ~ /^linux-(base|binary|modules)-[0-9]/ { print $2 }'
}

# kernel_unpack FOLDER: the packages that are in it. Fails when there are none.
kernel_unpack() {
	local folder=$1 package

	for package in "$folder"/*.deb; do
		dpkg -x "$package" "$folder" || return
		rm "$package"
	done
	# Whichever of the two the packages have, modprobe looks in the first.
	[[ -d $folder/lib || ! -d $folder/usr/lib/modules ]] ||
		ln -s usr/lib "$folder/lib"
	[[ -d $folder/lib/modules ]] || return
	# modprobe --show-depends wants it, and packages come without.
	depmod -b "$folder" "$(basename "$folder"/lib/modules/*)"
}
