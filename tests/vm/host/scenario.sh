# shellcheck shell=bash disable=SC2034,SC2154
# (variables are shared with ../run and the other files here)
#
# One scenario: its boots in turn, on the same memory.

scenario_passed=	# 1 when the last one did

# scenario_run FILE ROOM: prints the result, and sets scenario_passed. (A status
# to test would turn off set -e in all that is called from here.) ROOM is a folder for what
# it keeps meanwhile.
scenario_run() {
	local file=$1 room=$2 name start=$SECONDS boot boots append memory limit
	local ram=$room/ram log=$room/log
	name=$(basename "$file" .sh)
	machine_note=
	scenario_passed=

	scenario_settings "$file"
	rm -f "$ram" "$log"
	for ((boot = 1; boot <= boots; boot++)); do
		echo "=== $name, boot $boot${machine_note:+, note: $machine_note}" >>"$log"
		machine_boot "$limit" "$memory" "$ram" "$log" \
			"ka.scenario=$name ka.boot=$boot ka.boots=$boots ka.note=$machine_note $append"
		[[ $machine_end == 'end '* ]] || break
	done
	rm -f "$ram"

	if [[ $machine_end == pass ]]; then
		scenario_passed=1
		echo "ok $name ($((SECONDS - start)) s)"
		return
	fi
	# There may be thousands of notes, and characters no terminal wants.
	grep -av 'KA-VM: note ' "$log" | cat -v | sed 's/^/  | /'
	echo "FAIL $name, boot $boot: ${machine_end#fail } ($((SECONDS - start)) s)"
}

# scenario_settings FILE: sets boots, append, memory, limit of the caller.
# The file is run, in a shell of its own: it only assigns and defines.
scenario_settings() {
	local settings

	# shellcheck disable=SC2016 # for the inner shell to expand
	settings=$(env -u APPEND -u MEMORY -u TIMEOUT bash -euc '
		. "$1"
		boots=0
		while declare -F "boot$((boots + 1))" >/dev/null; do
			boots=$((boots + 1))
		done
		printf "%s\n" "${APPEND:-}" "$boots" "${MEMORY:-6G}" "${TIMEOUT:-180}"
	' - "$1") || fail "cannot read scenario '$1'"
	{
		read -r append
		read -r boots
		read -r memory
		read -r limit
	} <<<"$settings"
	((boots)) || fail "scenario '$1' has no boot1()"
}
