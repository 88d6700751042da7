# shellcheck shell=dash
# shellcheck disable=SC2034,SC2164 # read by tests/vm/run; cd: set -e is on
#
# The power goes in the middle of writing: all that had been acknowledged is
# there, the operation that was cut off has happened wholly or not at all, and
# nothing after it.
APPEND='memmap=1G%6G-1+0xefffffff'

# Endless; the host notes how far it certainly came.
writer() {
	set +x
	n=0
	while :; do
		n=$((n + 1))
		echo "record $n" >>log
		echo "$n" >"new.$n"
		mv "new.$n" current
		echo "KA-VM: note $n"
	done
}

boot1() {
	whole-region
	mkfs.keepalivefs /dev/dax0.0
	keepalivefs /dev/dax0.0 /mnt
	cd /mnt
	echo 0 >current
	writer &
	sleep 3
}

boot2() {
	whole-region
	expect 0,1 fsck.keepalivefs -p /dev/dax0.0
	keepalivefs /dev/dax0.0 /mnt
	cd /mnt

	n=$(wc -l <log)
	[ "$n" -ge "$KA_NOTE" ]
	[ "$KA_NOTE" -gt 10 ]
	seq "$n" | sed 's/^/record /' | cmp - log

	# Of the last round, the steps after the record may be missing.
	if [ "$(cat current)" = "$n" ]; then
		[ "$(echo *)" = 'current log' ]
	else
		[ "$(cat current)" = "$((n - 1))" ]
		[ ! -s "new.$n" ] || [ "$(cat "new.$n")" = "$n" ]
		rm -f "new.$n"
		[ "$(echo *)" = 'current log' ]
	fi

	cd /
	umount /mnt
	expect 0 fsck.keepalivefs -n -f /dev/dax0.0
}
