# shellcheck shell=bash disable=SC2034,SC2154
# (variables are shared with ../run and the other files here)
#
# One boot of the guest: QEMU, the console, the power switch.

machine_pid=
machine_said=	# descriptor of its console

# machine_boot SECONDS MEMORY RAM_FILE LOG APPEND: boots, and returns when the
# guest has said how this boot ends and that has come about: with the power
# cut, except after a kexec. Then the machine runs on, is at its next boot
# already, and the next call follows it instead of starting one.
# Appends the console to LOG and sets
#   machine_end   what the guest said, or why it could say nothing
#   machine_note  its last note, unchanged when there was none
# The RAM file keeps what the guest's memory held at that moment.
machine_boot() {
	local limit=$1 memory=$2 ram=$3 log=$4 append=$5
	local line

	[[ -n $machine_pid ]] || machine_start "$memory" "$ram" "$append"
	machine_listen "$limit" "$log"
	[[ $machine_end != 'end kexec' ]] || return 0
	machine_kill

	# What it had still said before the power went.
	while IFS= read -r line <&"$machine_said"; do
		machine_hear "$line" "$log"
	done
	exec {machine_said}<&-
}

# machine_start MEMORY RAM_FILE APPEND
machine_start() {
	local memory=$1 ram=$2 append=$3 console file
	local -a disks=()

	console=$(dirname "$ram")/console
	[[ -p $console ]] || mkfifo "$console"
	# What the guest needs to start itself over, as its disks: /dev/vda is the
	# kernel, /dev/vdb the initramfs.
	for file in "$kernel_image" "$work/initramfs"; do
		disks+=(-drive "if=virtio,format=raw,readonly=on,file=$file")
	done

	# Virtualisation does not matter here, dependability does: no stock
	# kernel needs help to boot under TCG. share=on is what makes the
	# memory outlive QEMU.
	# oops=panic, panic=-1, -no-reboot: a guest whose kernel is in trouble
	# ends at once, instead of running into the time limit. A warm reset ends
	# QEMU too, as one in ten hangs in the boot ROM; a new one goes on with
	# the memory.
	# printk.devkmsg: the console log goes through /dev/kmsg, see guest/init.
	qemu-system-x86_64 -nodefaults -no-user-config -display none \
		-machine q35,accel=tcg,memory-backend=ram \
		-object "memory-backend-file,id=ram,size=$memory,mem-path=$ram,share=on" \
		-m "$memory" -cpu max -smp 2 -no-reboot -serial stdio \
		"${disks[@]}" -kernel "$kernel_image" -initrd "$work/initramfs" \
		-append "console=ttyS0 quiet oops=panic panic=-1 printk.devkmsg=on $append" \
		</dev/null >"$console" 2>&1 &
	machine_pid=$!
	exec {machine_said}<"$console"
}

# machine_listen SECONDS LOG: until it is known how the boot ended.
machine_listen() {
	local limit=$1 log=$2 deadline left line status
	local ending=	# what the guest has announced and is about to do
	local panic=	# what its kernel said when it panicked
	machine_end=

	deadline=$((SECONDS + limit))
	while [[ -z $machine_end ]]; do
		left=$((deadline - SECONDS))
		if ((left <= 0)); then
			machine_end="no end after $limit s"
		elif IFS= read -r -t "$left" line <&"$machine_said"; then
			machine_hear "$line" "$log"
		else
			status=$?
			# What was read is an incomplete last line.
			[[ -z $line ]] || machine_hear "$line" "$log"
			# Not a time-out, so the end of the console.
			((status > 128)) || machine_stopped
		fi
	done
}

# The machine is gone: just what it had announced?
machine_stopped() {
	case $ending:$panic in
	'reset:' | 'panic:sysrq triggered crash')
		machine_end=${machine_end:-end $ending} ;;
	*)
		machine_end=${machine_end:-the machine stopped${panic:+: $panic}} ;;
	esac
}

# machine_hear LINE LOG. Only lines that the guest's init has put into the
# kernel log count: they begin with a time stamp, and nothing can come
# between their characters.
machine_hear() {
	local line=${1%$'\r'} log=$2
	local stamped='^\[ *[0-9]+\.[0-9]+\] (KA-VM|Kernel panic - not syncing): (.*)$'

	printf '%s\n' "$line" >>"$log"
	[[ -z $verbose ]] || printf '| %s\n' "$line"
	[[ $line =~ $stamped ]] || return 0
	case ${BASH_REMATCH[1]}:${BASH_REMATCH[2]} in
	Kernel*)
		panic=${BASH_REMATCH[2]} ;;
	KA-VM:'note '*)
		machine_note=${BASH_REMATCH[2]#note } ;;
	KA-VM:'end powercut' | KA-VM:pass | KA-VM:'fail '*)
		machine_end=${machine_end:-${BASH_REMATCH[2]}} ;;
	KA-VM:'end '*)
		ending=${BASH_REMATCH[2]#end } ;;
	KA-VM:begin)
		# The new kernel is up.
		[[ $ending != kexec ]] || machine_end=${machine_end:-end kexec} ;;
	esac
}

# The power cut: SIGKILL leaves QEMU no time to do anything.
machine_kill() {
	[[ -n $machine_pid ]] || return 0
	# Braces: the shell itself would report that its child was killed.
	{
		kill -KILL "$machine_pid"
		wait "$machine_pid"
	} 2>/dev/null || true
	machine_pid=
}
