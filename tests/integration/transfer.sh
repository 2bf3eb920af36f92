# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Transfers that are stopped halfway. Sourced behind lib.sh.

far=$scratch/far	# what the server sees
near=$scratch/near	# what the client sees
mkdir "$far" "$near"
ours "$far"

# Kbit/s: a client that is to be caught halfway takes three seconds for $mib.
slow=$((mib * 2800))

# sftp_batch COMMANDS [OPTION...]: its output in $out, stderr too
sftp_batch()
{
	local batch=$1 rc=0

	shift
	# Not to a pipe: ssh would make it non-blocking under sftp's hands.
	ksh_sftp "$@" <<<"$batch" >"$scratch/out" 2>&1 || rc=$?
	out=$(<"$scratch/out")
	return $rc
}

# begin COMMAND...: in the background, as $client
begin()
{
	"$@" </dev/null >"$scratch/out" 2>&1 &
	client=$!
}

# begin_sftp COMMANDS
begin_sftp()
{
	ksh_sftp -l "$slow" <<<"$1" >"$scratch/out" 2>&1 &
	client=$!
}

size()
{
	stat -c %s "$1" 2>/dev/null || echo 0
}

# run_rsync ARGUMENT...
run_rsync()
{
	timeout "$hang" rsync -e "$(ssh_command)" "$@"
}

has_begun()
{
	[ -s "$1" ] || ! kill -0 "$client" 2>/dev/null
}

# halt FILE SIZE: stop the client when some of SIZE bytes have come to FILE
halt()
{
	wait_until has_begun "$1" || tap_fail "nothing comes to $1"
	# shellcheck disable=SC2046 # one word a process
	kill -STOP $(tree "$client")
	[ -s "$1" ] && [ "$(size "$1")" -lt "$2" ] ||
		tap_fail "not halfway: $(size "$1") of $2 bytes"
}

# Let the client end; its status, its output in $out.
go_on()
{
	local rc=0

	# shellcheck disable=SC2046 # one word a process
	kill -CONT $(tree "$client")
	wait "$client" || rc=$?
	out=$(<"$scratch/out")
	return $rc
}

# Kill the client, and wait until the server has noticed.
cut_off()
{
	# shellcheck disable=SC2046 # one word a process
	kill -KILL $(tree "$client")
	wait "$client" 2>/dev/null
	server_settled || tap_fail "the server is not as it was: $why"
}

# tap_begins FILE OF: it is the beginning of the other, which may be as long
tap_begins()
{
	cmp -s -n "$(size "$1")" "$1" "$2" && return 0
	tap_fail "$1 is not how $2 begins: $(cmp "$1" "$2" 2>&1)"
	return 1
}
