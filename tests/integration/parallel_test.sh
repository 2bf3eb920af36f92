#!/bin/bash
# SPDX-License-Identifier: MIT
# Many connections at a time: to one file, as mscp has them, and beside some
# that do not go on.
# VM: once

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/transfer.sh
. "$here/transfer.sh"

writers=6
block=65536
blocks=$((mib * 16 / writers))	# of each; the last takes the rest too

# wait_all PID...
wait_all()
{
	local pid

	for pid; do
		wait "$pid" || tap_fail "one of them: status $?"
	done
}

# near_range N: how much of a file a writer has, as dd says it
near_range()
{
	first=$(($1 * blocks)) count=$blocks
	[ "$1" -lt $((writers - 1)) ] || count=$((mib * 16 - first))
}

test_ssh_writes_ranges_of_a_file()
{
	local i first count pids=()

	make_data "$near/data" "$mib"
	for ((i = 0; i < writers; i++)); do
		near_range $i
		dd if="$near/data" bs=$block skip=$first count=$count \
			status=none | ksh_ssh "dd of=$far/ssh bs=$block \
			seek=$first conv=notrunc iflag=fullblock \
			status=none" &
		pids+=($!)
	done
	wait_all "${pids[@]}"
	tap_same "$near/data" "$far/ssh"
	rm -f "$far/ssh"
}

test_ssh_reads_ranges_of_a_file()
{
	local i first count pids=()

	make_data "$far/data" "$mib"
	ours "$far/data"
	for ((i = 0; i < writers; i++)); do
		near_range $i
		ksh_ssh "dd if=$far/data bs=$block skip=$first count=$count \
			status=none" | dd of="$near/ranges" bs=$block \
			seek=$first conv=notrunc iflag=fullblock status=none &
		pids+=($!)
	done
	wait_all "${pids[@]}"
	tap_same "$far/data" "$near/ranges"
	rm -f "$near/ranges"
}

# paramiko_ranges WAY FILE FILE: a process for each range
paramiko_ranges()
{
	local i first count pids=()

	for ((i = 0; i < writers; i++)); do
		near_range $i
		timeout "$hang" python3 "$here/paramiko_range.py" "$port" \
			"$user" "$scratch/id" "$1" "$2" "$3" \
			$((first * block)) $((count * block)) &
		pids+=($!)
	done
	wait_all "${pids[@]}"
}

test_sftp_writes_and_reads_ranges_of_a_file()
{
	python3 -c 'import paramiko' 2>/dev/null ||
		{ tap_skip "no paramiko"; return; }
	make_data "$near/data" "$mib"
	: >"$far/ranges"
	ours "$far/ranges"
	paramiko_ranges put "$near/data" "$far/ranges"
	tap_same "$near/data" "$far/ranges"
	: >"$near/ranges"
	paramiko_ranges get "$near/ranges" "$far/ranges"
	tap_same "$near/data" "$near/ranges"
	rm -f "$far/ranges" "$near/ranges"
}

test_many_read_one_file()
{
	local i pids=()

	make_data "$far/data" $((mib / 4))
	ours "$far/data"
	for ((i = 0; i < writers; i++)); do
		ksh_sftp <<<"get $far/data $near/copy$i" >/dev/null 2>&1 &
		pids+=($!)
	done
	wait_all "${pids[@]}"
	for ((i = 0; i < writers; i++)); do
		tap_same "$far/data" "$near/copy$i"
	done
	rm -f "$near"/copy*
}

# puts_and_gets: another connection, whatever the first one waits for
puts_and_gets()
{
	make_data "$near/other" $((mib / 4))
	sftp_batch "put $near/other $far/other
get $far/other $near/other.back" || tap_fail "the other one: $out"
	tap_same "$near/other" "$near/other.back"
	ksh_ssh "cat $far/other" >"$near/other.cat"
	tap_same "$near/other" "$near/other.cat"
}

test_a_client_that_stops_getting_stops_no_other()
{
	make_data "$far/data" "$mib"
	ours "$far/data"
	begin_sftp "get $far/data $near/halted"
	halt "$near/halted" $((mib * 1048576))
	puts_and_gets
	go_on || tap_fail "the first one: $out"
	tap_same "$far/data" "$near/halted"
	rm -f "$near/halted"
}

test_a_client_that_stops_putting_stops_no_other()
{
	make_data "$near/data" "$mib"
	begin_sftp "put $near/data $far/halted"
	halt "$far/halted" $((mib * 1048576))
	puts_and_gets
	go_on || tap_fail "the first one: $out"
	tap_same "$near/data" "$far/halted"
	rm -f "$far/halted"
}

# fifo_is_full FD
fifo_is_full()
{
	python3 -c 'import select
raise SystemExit(bool(select.select([], [1], [], 0)[1]))' >&"$1"
}

test_a_reader_that_sleeps_stops_no_other()
{
	local fd sink

	make_data "$near/data" "$mib"
	mkfifo "$far/fifo"
	ours "$far/fifo"
	exec {fd}<>"$far/fifo"
	ksh_ssh "cat >$far/fifo" <"$near/data" >"$scratch/out" 2>&1 &
	client=$!
	wait_until fifo_is_full "$fd" || tap_fail "nothing comes"
	puts_and_gets
	head -c $((mib * 1048576)) <&"$fd" >"$near/drained" &
	sink=$!
	wait "$client" || tap_fail "the first one: $(<"$scratch/out")"
	wait "$sink"
	exec {fd}<&-
	tap_same "$near/data" "$near/drained"
	rm -f "$far/fifo" "$near/drained"
}

server_start
tap_run "$@"
