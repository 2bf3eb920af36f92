#!/bin/bash
# SPDX-License-Identifier: MIT
# Commands over OpenSSH's client: status, streams, channels, requests.

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

test_runs_a_command()
{
	tap_is "$(ksh_ssh echo hello)" hello
}

test_hands_the_exit_status_on()
{
	local n

	for n in 0 1 7 255; do
		tap_is "$(status_of ksh_ssh "exit $n")" "$n"
	done
}

# OpenSSH's client makes 255 of a signal.
test_tells_the_exit_signal()
{
	tap_is "$(status_of ksh_ssh -v 'kill -KILL $$')" 255
	tap_has "$(cat "$scratch/err")" 'exit-signal'
}

test_keeps_stdout_and_stderr_apart()
{
	local rc

	rc=$(status_of ksh_ssh 'echo one; echo two >&2; echo three')
	tap_is "$rc" 0
	tap_is "$(cat "$scratch/out")" "$(printf 'one\nthree')"
	tap_is "$(cat "$scratch/err")" two
}

test_lets_stdio_be_opened_again()
{
	local rc

	rc=$(status_of ksh_ssh \
		'echo x >/dev/stderr; echo y >/dev/stdout; cat /dev/stdin' \
		</dev/null)
	tap_is "$rc" 0
	tap_is "$(cat "$scratch/err")" x
	tap_is "$(cat "$scratch/out")" y
}

test_ends_stdin_of_the_command()
{
	tap_is "$(printf 'a\nb\nc\n' | ksh_ssh 'wc -l')" 3
	tap_is "$(ksh_ssh 'cat; echo end' </dev/null)" end
}

# The command closes its output, and goes on for a while.
test_ends_output_before_the_command_ends()
{
	tap_is "$(ksh_ssh 'echo first; exec >&- 2>&-; exit 3' || echo $?)" \
		"$(printf 'first\n3')"
}

# The client goes on writing to a command that has stopped reading.
test_drops_input_nobody_reads()
{
	tap_is "$(head -c $((4 * 1048576)) /dev/zero |
		ksh_ssh 'head -c 5 >/dev/null; exec <&-; echo done')" "done"
}

test_carries_much_output()
{
	local got

	make_data "$scratch/big" "$mib"
	got=$(ksh_ssh "cat $scratch/big" | sum)
	tap_is "$got" "$(sum "$scratch/big")"
}

# Clock ticks the server and all below it have run for.
server_ticks()
{
	local pid

	for pid in $(tree "$server_pid"); do
		sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null
	done | awk '{ sum += $12 + $13 } END { print sum + 0 }'
}

is_asleep()
{
	local before

	before=$(server_ticks)
	sleep 1
	[ $(($(server_ticks) - before)) -le 5 ]
}

# The client has sent EOF, and then takes no more: there is nothing to do.
test_sleeps_while_nobody_reads()
{
	local client got i

	make_data "$scratch/big" 16
	mkfifo "$scratch/fifo"
	ksh_ssh "cat $scratch/big" </dev/null >"$scratch/fifo" &
	client=$!
	exec 8<"$scratch/fifo"
	for ((i = 0; i < 20; i++)); do
		! is_asleep || break
	done
	[ $i -lt 20 ] || tap_fail "the server is busy with nothing"
	got=$(sum <&8)
	exec 8<&-
	tap_is "$got" "$(sum "$scratch/big")"
	wait "$client" || tap_fail "the client failed"
}

test_carries_much_input()
{
	local got

	make_data "$scratch/big" "$mib"
	got=$(ksh_ssh sha256sum <"$scratch/big")
	tap_is "${got% *}" "$(sum "$scratch/big") "
}

test_carries_both_directions_at_once()
{
	local got

	make_data "$scratch/big" "$mib"
	got=$(ksh_ssh cat <"$scratch/big" | sum)
	tap_is "$got" "$(sum "$scratch/big")"
}

test_carries_much_of_both_output_streams()
{
	make_data "$scratch/big" $((mib / 4))
	ksh_ssh "cat $scratch/big & cat $scratch/big >&2; wait" \
		>"$scratch/out" 2>"$scratch/err"
	tap_same "$scratch/out" "$scratch/big"
	tap_same "$scratch/err" "$scratch/big"
}

test_runs_a_shell_without_a_terminal()
{
	tap_is "$(printf 'echo $((6 * 7))\nexit 4\n' | ksh_ssh -T || echo $?)" \
		"$(printf '42\n4')"
}

test_refuses_a_terminal()
{
	[ -z "${KSSH_SSHD:-}" ] || { tap_skip "stock server"; return; }
	tap_is "$(status_of ksh_ssh -tt true)" 255
	tap_has "$(cat "$scratch/err")" 'PTY allocation request failed'
}

test_sets_the_environment()
{
	local env

	env=$(LANG=de_DE.UTF-8 LC_TEST=7 LD_PRELOAD_X=no ksh_ssh \
		-o SendEnv=LANG -o SendEnv=LC_\* -o SendEnv=LD_PRELOAD_X env)
	tap_has "$env" "^USER=$user\$"
	tap_has "$env" "^LOGNAME=$user\$"
	tap_has "$env" "^HOME=$(getent passwd "$user" | cut -d: -f6)\$"
	tap_has "$env" '^SHELL=/'
	tap_has "$env" "^SSH_CONNECTION=127.0.0.1 [0-9]+ 127.0.0.1 $port\$"
	tap_has "$env" "^SSH_CLIENT=127.0.0.1 [0-9]+ $port\$"
	tap_lacks "$env" '^LD_PRELOAD_X'
	[ -z "${KSSH_SSHD:-}" ] || return 0
	tap_has "$env" '^LANG=de_DE.UTF-8$'
	tap_has "$env" '^LC_TEST=7$'
}

test_runs_as_the_user()
{
	tap_is "$(ksh_ssh 'id -un; pwd')" \
		"$(printf '%s\n%s' "$user" \
			"$(getent passwd "$user" | cut -d: -f6)")"
	[ "$(id -u)" = 0 ] || return 0
	tap_is "$(ksh_ssh 'id -u; id -g; id -G')" \
		"$(printf '7001\n7001\n7001')"
	tap_is "$(ksh_ssh '( echo x >/root/x ) 2>/dev/null || echo no')" no
	tap_has "$(ksh_ssh 'cat /proc/self/status')" \
		'^CapEff:.0000000000000000$'
}

# A command inherits three descriptors and no more.
test_leaks_no_descriptor()
{
	# the fourth is the folder that ls reads
	tap_is "$(ksh_ssh 'ls /proc/self/fd | wc -l')" 4
}

test_leaves_commands_of_a_lost_client_no_input()
{
	local pid

	ksh_ssh 'echo $$; cat >/dev/null' >"$scratch/out" \
		< <(sleep 1000 & echo $! >"$scratch/sleep"; wait) &
	pid=$!
	wait_until test -s "$scratch/out"
	kill "$pid" "$(pgrep -P "$pid")" 2>/dev/null
	wait "$pid" 2>/dev/null
	kill "$(cat "$scratch/sleep")"
	gone() { ! kill -0 "$(cat "$scratch/out")" 2>/dev/null; }
	wait_until gone || tap_fail "the command is still there"
}

test_serves_many_channels_of_a_master()
{
	local i pids=() control=$scratch/control n=$((tcg ? 4 : 8))

	ksh_ssh -M -S "$control" -o ControlPersist=yes -N -f
	make_data "$scratch/big" $((mib / 8))
	for ((i = 0; i < n; i++)); do
		ksh_ssh -S "$control" cat <"$scratch/big" \
			>"$scratch/out.$i" &
		pids+=($!)
	done
	tap_is "$(ksh_ssh -S "$control" 'echo among them')" "among them"
	wait "${pids[@]}"
	for ((i = 0; i < n; i++)); do
		tap_same "$scratch/out.$i" "$scratch/big"
	done
	ksh_ssh -S "$control" -O exit 2>/dev/null
}

# -N opens no channel; its keepalives are answered.
test_stays_open_without_a_channel()
{
	local pid mark

	mark=$(log_mark)
	ssh "${opts[@]}" -p "$port" -N -o ServerAliveInterval=1 \
		-o ServerAliveCountMax=1 "$user@127.0.0.1" &
	pid=$!
	sleep 3.5
	tap_ok "the client is still there" kill -0 "$pid"
	kill "$pid"
	wait "$pid" 2>/dev/null
	: "$mark"
}

test_refuses_an_unknown_subsystem()
{
	tap_is "$(status_of ksh_ssh -s nonsense)" 255
	tap_has "$(cat "$scratch/err")" 'subsystem request failed'
}

test_refuses_forwarding_and_goes_on()
{
	[ -z "${KSSH_SSHD:-}" ] || { tap_skip "stock server"; return; }
	tap_is "$(ksh_ssh -R 0:127.0.0.1:1 'echo on' 2>/dev/null)" on
	tap_is "$(status_of ksh_ssh -W 127.0.0.1:1)" 255
}

test_refuses_another_key_and_user()
{
	[ -e "$scratch/other" ] || new_key ed25519 "$scratch/other"
	tap_is "$(status_of ksh_ssh -o IdentityFile="$scratch/other" \
		-o IdentityFile=none true)" 0 "the known key is offered too"
	tap_is "$(status_of timeout "$hang" ssh "${opts[@]:0:2}" \
		-i "$scratch/other" "${opts[@]:4}" -p "$port" \
		"$user@127.0.0.1" true)" 255
	tap_has "$(cat "$scratch/err")" 'Permission denied \(publickey'
	tap_is "$(status_of timeout "$hang" ssh "${opts[@]}" -p "$port" \
		nobody-here@127.0.0.1 true)" 255
}

# An rsa and an ecdsa key of a user, too.
test_takes_keys_of_all_kinds()
{
	local kind

	for kind in rsa ecdsa; do
		[ -e "$scratch/id_$kind" ] || new_key $kind "$scratch/id_$kind"
		cat "$scratch/id_$kind.pub" >>"$home/.ssh/authorized_keys"
		tap_is "$(timeout "$hang" ssh "${opts[@]:0:2}" \
			-i "$scratch/id_$kind" "${opts[@]:4}" -p "$port" \
			"$user@127.0.0.1" echo $kind)" $kind
	done
}

server_start
tap_run "$@"
