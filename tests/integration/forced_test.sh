#!/bin/bash
# SPDX-License-Identifier: MIT
# Keys that may do one thing: command="" of authorized_keys.

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

# with_key OPTIONS: the user's key has these options
with_key()
{
	printf '%s %s\n' "$1" "$(cat "$scratch/id.pub")" \
		>"$home/.ssh/authorized_keys"
}

# shellcheck disable=SC2016 # expanded by the command
forced='command="echo forced: $SSH_ORIGINAL_COMMAND"'

test_runs_the_command_of_the_key()
{
	with_key "$forced"
	tap_is "$(ksh_ssh echo mine)" 'forced: echo mine'
	with_key "restrict,$forced"
	tap_is "$(ksh_ssh 'touch /tmp/mine; id')" 'forced: touch /tmp/mine; id'
	tap_is "$(ksh_ssh -T </dev/null)" 'forced:'
}

test_runs_it_for_subsystems_too()
{
	with_key "$forced"
	tap_is "$(ksh_ssh -s sftp)" 'forced: internal-sftp'
}

test_serves_sftp_alone()
{
	local rc=0

	with_key 'command="internal-sftp"'
	echo data >"$scratch/file"
	ksh_sftp <<<"put $scratch/file $home/forced" >/dev/null ||
		tap_fail "sftp does not put"
	tap_same "$scratch/file" "$home/forced"
	ksh_ssh "touch $home/touched" </dev/null >/dev/null 2>&1 || rc=$?
	tap_is "$rc" 1 "status of a command"
	[ ! -e "$home/touched" ] || tap_fail "the client's command ran"
}

test_serves_sftp_with_the_options_of_the_key()
{
	local mark

	with_key 'command="internal-sftp -R"'
	echo data >"$scratch/file"
	ksh_sftp <<<"put $scratch/file $home/refused" >/dev/null 2>&1 &&
		tap_fail "a read-only server took a file"
	[ ! -e "$home/refused" ] || tap_fail "wrote"
	tap_ok ls ksh_sftp <<<"ls $home"
	[ -z "${KSSH_SSHD:-}" ] || return 0
	with_key 'command="internal-sftp -x"'
	mark=$(log_mark)
	ksh_sftp <<<pwd >/dev/null 2>&1 && tap_fail "an unknown option"
	tap_has "$(log_since "$mark")" "internal-sftp of a key's command: .*-x"
}

test_refuses_options_it_does_not_know()
{
	with_key 'from="10.0.0.1"'
	ksh_ssh true 2>/dev/null && tap_fail "from= was ignored"
	with_key 'command="echo x",unheard-of'
	ksh_ssh true 2>/dev/null && tap_fail "an unknown option was ignored"
	with_key 'no-pty'
	tap_is "$(ksh_ssh echo back)" back
}

server_start
tap_run "$@"
