#!/bin/bash
# SPDX-License-Identifier: MIT
# ExecStdio direct: commands on the channel's own sockets.

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

# what_is COMMAND...: the kind of its stdin, stdout and stderr
what_is()
{
	# shellcheck disable=SC2016 # expanded by the far shell
	ksh_ssh 'for i in 0 1 2; do readlink /proc/$$/fd/$i; done;' "$@" |
		sed 's/:.*//' | tr '\n' ' '
}

test_has_sockets_on_the_kernel_path()
{
	if [ "$KSSH_PATH" = kernel ]; then
		tap_is "$(what_is : direct)" 'socket socket socket '
	else
		tap_is "$(what_is : direct)" 'pipe pipe pipe '
	fi
	tap_is "$(what_is : other)" 'pipe pipe pipe '
	# the first pattern that fits
	tap_is "$(what_is : not direct)" 'pipe pipe pipe '
}

test_hands_the_exit_status_on()
{
	local n

	for n in 0 7 255; do
		tap_is "$(status_of ksh_ssh "exit $n; : direct")" "$n"
	done
	# shellcheck disable=SC2016 # expanded by the far shell
	tap_is "$(status_of ksh_ssh -v 'kill -KILL $$; : direct')" 255
	tap_has "$(cat "$scratch/err")" 'exit-signal'
}

test_keeps_stdout_and_stderr_apart()
{
	tap_is "$(status_of ksh_ssh \
		'echo one; echo two >&2; echo three; : direct')" 0
	tap_is "$(cat "$scratch/out")" "$(printf 'one\nthree')"
	tap_is "$(cat "$scratch/err")" two
}

test_ends_stdin_of_the_command()
{
	tap_is "$(printf 'a\nb\nc\n' | ksh_ssh 'wc -l; : direct')" 3
	tap_is "$(ksh_ssh 'cat; echo end; : direct' </dev/null)" end
}

test_carries_much_of_all_streams()
{
	local got

	make_data "$scratch/big" "$mib"
	got=$(ksh_ssh "cat $scratch/big; : direct" | sum)
	tap_is "$got" "$(sum "$scratch/big")"
	got=$(ksh_ssh 'sha256sum; : direct' <"$scratch/big")
	tap_is "${got% *}" "$(sum "$scratch/big") "
	got=$(ksh_ssh 'cat; : direct' <"$scratch/big" | sum)
	tap_is "$got" "$(sum "$scratch/big")"
	ksh_ssh "cat $scratch/big & cat $scratch/big >&2; wait; : direct" \
		>"$scratch/out" 2>"$scratch/err"
	tap_same "$scratch/out" "$scratch/big"
	tap_same "$scratch/err" "$scratch/big"
}

# Its output goes on when it has ended, until the last of its children has.
test_goes_on_with_what_runs_in_the_background()
{
	tap_is "$(ksh_ssh '(sleep 1; echo late) & echo early; : direct')" \
		"$(printf 'early\nlate')"
}

test_drops_input_nobody_reads()
{
	tap_is "$(head -c $((4 * 1048576)) /dev/zero | ksh_ssh \
		'head -c 5 >/dev/null; exec <&-; echo done; : direct')" "done"
}

test_ends_a_command_whose_client_is_gone()
{
	local pid

	# shellcheck disable=SC2016 # expanded by the far shell
	ksh_ssh 'echo $$; exec yes; : direct' \
		> >(head -n 1 >"$scratch/out"; exec cat >/dev/null) &
	pid=$!
	wait_until test -s "$scratch/out"
	pkill -P "$pid"
	kill "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	gone() { ! kill -0 "$(cat "$scratch/out")" 2>/dev/null; }
	wait_until gone || tap_fail "the command is still there"
}

test_serves_many_channels_of_a_master()
{
	local i pids=() control=$scratch/control n=$((tcg ? 4 : 8))

	ksh_ssh -M -S "$control" -o ControlPersist=yes -N -f
	make_data "$scratch/big" $((mib / 8))
	for ((i = 0; i < n; i++)); do
		ksh_ssh -S "$control" 'cat; : direct' <"$scratch/big" \
			>"$scratch/out.$i" &
		pids+=($!)
	done
	wait "${pids[@]}"
	for ((i = 0; i < n; i++)); do
		tap_same "$scratch/out.$i" "$scratch/big"
	done
	# closed by its client in the middle: others go on
	ksh_ssh -S "$control" 'yes; : direct' | head -c 100000 >/dev/null
	tap_is "$(ksh_ssh -S "$control" 'echo still; : direct')" still
	ksh_ssh -S "$control" -O exit 2>/dev/null
}

# A connection has 64 channels: those that its client has closed are free again.
test_frees_channels_that_the_client_closes()
{
	local i j pids control=$scratch/control

	ksh_ssh -M -S "$control" -o ControlPersist=yes -N -f
	for ((i = 0; i < 9; i++)); do
		pids=()
		for ((j = 0; j < 8; j++)); do
			ksh_ssh -S "$control" 'yes; : direct' |
				head -c 10 >/dev/null &
			pids+=($!)
		done
		wait "${pids[@]}"
	done
	tap_is "$(ksh_ssh -S "$control" 'echo still; : direct')" still
	ksh_ssh -S "$control" -O exit 2>/dev/null
}

test_answers_before_the_command_speaks()
{
	local i

	for ((i = 0; i < 20; i++)); do
		tap_is "$(ksh_ssh 'echo quick; : direct')" quick
	done
}

test_carries_rsync_and_old_scp()
{
	mkdir "$scratch/tree" "$scratch/far"
	ours "$scratch/far"
	make_data "$scratch/tree/one" 3
	make_data "$scratch/tree/two" 1
	tap_ok rsync timeout "$hang" rsync -a --no-o --no-g \
		-e "$(ssh_command)" "$scratch/tree/" \
		"$user@127.0.0.1:$scratch/far/"
	tap_ok compare diff -r "$scratch/tree" "$scratch/far"
	tap_ok scp ksh_scp -O "$scratch/tree/one" "R:$scratch/far/three"
	tap_same "$scratch/tree/one" "$scratch/far/three"
}

server_start 'ExecStdio pipe "*not direct"' \
	'ExecStdio direct "*: direct" "rsync *" "scp *"'
tap_run "$@"
