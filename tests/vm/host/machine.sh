# shellcheck shell=bash disable=SC2034,SC2154
# (variables are shared with ../run and the other files here)
#
# One boot of the guest: QEMU, the console, the power switch.

machine_pid=

# machine_boot SECONDS MEMORY RAM_FILE LOG APPEND: boots, and returns with the
# power cut when the guest has said how this boot ends. Appends the console to
# LOG and sets
#   machine_end   what the guest said, or why it could say nothing
#   machine_note  its last note, unchanged when there was none
# The RAM file keeps what the guest's memory held at that moment.
machine_boot() {
	local limit=$1 memory=$2 ram=$3 log=$4 append=$5
	local console=$work/console deadline line left said status
	machine_end=

	[[ -p $console ]] || mkfifo "$console"

	# Virtualisation does not matter here, dependability does: no stock
	# kernel needs help to boot under TCG. share=on is what makes the
	# memory outlive QEMU.
	# oops=panic, panic=-1, -no-reboot: a guest whose kernel is in trouble
	# ends at once, instead of running into the time limit.
	# printk.devkmsg: the console log goes through /dev/kmsg, see guest/init.
	qemu-system-x86_64 -nodefaults -no-user-config -display none \
		-machine q35,accel=tcg,memory-backend=ram \
		-object "memory-backend-file,id=ram,size=$memory,mem-path=$ram,share=on" \
		-m "$memory" -cpu max -smp 2 -no-reboot -serial stdio \
		-kernel "$kernel_image" \
		-initrd "$work/initramfs" \
		-append "console=ttyS0 quiet oops=panic panic=-1 printk.devkmsg=on $append" \
		</dev/null >"$console" 2>&1 &
	machine_pid=$!

	exec {said}<"$console"
	deadline=$((SECONDS + limit))
	while [[ -z $machine_end ]]; do
		left=$((deadline - SECONDS))
		if ((left <= 0)); then
			machine_end="no end after $limit s"
		elif IFS= read -r -t "$left" line <&"$said"; then
			machine_hear "$line" "$log"
		else
			status=$?
			# Not a time-out, so the end of the console. What was
			# read is an incomplete last line.
			((status > 128)) || machine_end='the machine stopped'
			[[ -z $line ]] || machine_hear "$line" "$log"
		fi
	done
	machine_kill

	# What it had still said before the power went.
	while IFS= read -r line; do
		machine_hear "$line" "$log"
	done <&"$said"
	exec {said}<&-
}

# machine_hear LINE LOG. Only lines that the guest's init has put into the
# kernel log count: they begin with a time stamp, and nothing can come
# between their characters.
machine_hear() {
	local line=${1%$'\r'} log=$2
	local protocol='^\[ *[0-9]+\.[0-9]+\] KA-VM: (.*)$'

	printf '%s\n' "$line" >>"$log"
	[[ -z $verbose ]] || printf '| %s\n' "$line"
	[[ $line =~ $protocol ]] || return 0
	case ${BASH_REMATCH[1]} in
	'note '*)
		machine_note=${BASH_REMATCH[1]#note } ;;
	ready-for-power-cut | pass | 'fail '*)
		machine_end=${machine_end:-${BASH_REMATCH[1]}} ;;
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
