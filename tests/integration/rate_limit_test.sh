#!/bin/bash
# SPDX-License-Identifier: MIT
# ConnectionRateLimit and UserRateLimit. How fast the machine is does not
# matter: what is asserted is that nothing is faster than it may be.
# VM: once

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck source=tests/integration/transfer.sh
. "$here/transfer.sh"

make_data "$near/data" 2
make_data "$far/data" 2
ours "$far/data"

now_ms()
{
	date +%s%3N
}

# takes MS COMMAND...: succeeds, in that time or more
takes()
{
	local least=$1 from took

	shift
	from=$(now_ms)
	"$@" || tap_fail "$*: status $?"
	took=$(($(now_ms) - from))
	[ "$took" -ge "$least" ] || tap_fail "$*: $took ms, want $least"
}

cat_up()
{
	ksh_ssh "cat >$far/$1" <"$near/data"
}

cat_down()
{
	ksh_ssh "cat $far/data" >"$near/$1"
}

put()
{
	ksh_sftp <<<"put $near/data $far/$1" >/dev/null
}

get()
{
	ksh_sftp <<<"get $far/data $near/$1" >/dev/null
}

# A piece of 512 KiB at most is not paid for when the client has it.
test_holds_a_connection_back()
{
	server_start "ConnectionRateLimit 1M"
	takes 1300 cat_up a
	tap_same "$near/data" "$far/a"
	takes 1300 put b
	tap_same "$near/data" "$far/b"
	takes 1300 cat_down c
	tap_same "$far/data" "$near/c"
	takes 1300 get d
	tap_same "$far/data" "$near/d"
}

# At 16K this would take longer than a client may here.
test_leaves_the_other_direction_alone()
{
	server_start "ConnectionRateLimit none 16K"
	tap_ok up cat_up a
	tap_same "$near/data" "$far/a"
	server_start "ConnectionRateLimit 16K none"
	tap_ok down cat_down b
	tap_same "$far/data" "$near/b"
}

test_does_not_let_stderr_pass()
{
	server_start "ConnectionRateLimit 1M"
	takes 1300 ksh_ssh "cat $far/data >&2" 2>"$near/e"
	tap_same "$far/data" "$near/e"
}

test_tells_the_status_of_a_command()
{
	server_start "ConnectionRateLimit 64K"
	tap_is "$(status_of ksh_ssh 'cat >/dev/null; exit 7')" 7
	tap_is "$(printf 'a\nb\n' | ksh_ssh 'wc -l')" 2
}

two_at_once()
{
	local pids=()

	cat_up a &
	pids+=($!)
	cat_up b &
	pids+=($!)
	wait "${pids[@]}"
}

needs_root()
{
	[ "$(id -u)" != 0 ] || return 0
	tap_skip "not root"
	return 1
}

test_holds_all_connections_of_a_user_back()
{
	needs_root || return 0
	server_start "UserRateLimit 2M"
	takes 1300 two_at_once
	tap_same "$near/data" "$far/a"
	tap_same "$near/data" "$far/b"
	tap_is "$(stat -c '%a %u' /run/ksshd-rate)" '700 0'
	tap_is "$(stat -c '%a %u' /run/ksshd-rate/7001)" '600 0'
}

test_is_of_a_user_that_matches()
{
	needs_root || return 0
	match=("Match User $user" "ConnectionRateLimit 1M")
	server_start "ConnectionRateLimit 16K"
	match=()
	takes 1300 cat_up a
	tap_same "$near/data" "$far/a"
}

test_lets_each_channel_have_its_turn()
{
	local control=$scratch/control a b size

	server_start "ConnectionRateLimit 1M"
	rm -f "$far"/[ab]
	ksh_ssh -M -S "$control" -o ControlPersist=yes -N -f
	ksh_ssh -S "$control" "cat >$far/a" <"$near/data" &
	a=$!
	ksh_ssh -S "$control" "cat >$far/b" <"$near/data" &
	b=$!
	wait -n "$a" "$b"
	size=$(cat "$far/a" "$far/b" | wc -c)
	# one has all of its 2 MiB
	[ "$size" -gt $((5 << 19)) ] ||
		tap_fail "the slower has only $((size - (2 << 20)))"
	wait "$a" "$b"
	tap_same "$near/data" "$far/a"
	tap_same "$near/data" "$far/b"
	ksh_ssh -S "$control" -O exit 2>/dev/null
}

test_keeps_the_sockets_from_a_direct_command()
{
	server_start "ExecStdio direct" "ConnectionRateLimit 1M"
	# shellcheck disable=SC2016 # expanded by the far shell
	tap_has "$(ksh_ssh 'readlink /proc/$$/fd/1')" pipe
}

test_ends_with_a_client_that_is_held()
{
	server_start "ConnectionRateLimit 4K"
	rm -f "$far/a"
	begin cat_up a
	halt "$far/a" $((2 << 20))
	cut_off
}

tap_run "$@"
