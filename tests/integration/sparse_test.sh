#!/bin/bash
# SPDX-License-Identifier: MIT
# Holes that a client leaves, and room that it asks for.
# VM: once

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck source=tests/integration/transfer.sh
. "$here/transfer.sh"

# 64 KiB, a hole of 8 MiB, 64 KiB
head -c 65536 /dev/urandom >"$near/holes"
truncate -s 8M "$near/holes"
head -c 65536 /dev/urandom >>"$near/holes"

kib()
{
	du -k "$1" | cut -f1
}

# tap_kib LEAST MOST FILE: so much of the disk it has
tap_kib()
{
	local has

	has=$(kib "$3")
	[ "$has" -ge "$1" ] && [ "$has" -le "$2" ] ||
		tap_fail "$3 has $has KiB, want $1 to $2"
}

has_rsync()
{
	command -v rsync >/dev/null && return 0
	tap_skip "no rsync"
	return 1
}

test_rsync_leaves_holes()
{
	has_rsync || return 0
	tap_ok up run_rsync -S "$near/holes" "$user@127.0.0.1:$far/up"
	tap_same "$near/holes" "$far/up"
	tap_kib 128 1024 "$far/up"
	tap_ok down run_rsync -S "$user@127.0.0.1:$far/up" "$near/down"
	tap_same "$near/holes" "$near/down"
	tap_kib 128 1024 "$near/down"
}

test_rsync_has_its_room_before_it_writes()
{
	has_rsync || return 0
	tap_ok up run_rsync --preallocate "$near/holes" \
		"$user@127.0.0.1:$far/room"
	tap_same "$near/holes" "$far/room"
	tap_kib 8192 9000 "$far/room"
}

test_sftp_leaves_holes()
{
	python3 -c 'import paramiko' 2>/dev/null ||
		{ tap_skip "no paramiko"; return; }
	tap_ok paramiko timeout "$hang" python3 "$here/paramiko_sparse.py" \
		"$port" "$user" "$scratch/id" "$far"
	tap_kib 4 256 "$far/gap"
	tap_is "$(stat -c %s "$far/gap")" $(((8 << 20) + 1))
	tap_kib 0 256 "$far/long"
	tap_is "$(stat -c %s "$far/long")" $((8 << 20))
}

test_sftp_reads_holes()
{
	cp --sparse=always "$near/holes" "$far/holes"
	ours "$far/holes"
	tap_ok get ksh_sftp <<<"get $far/holes $near/got"
	tap_same "$near/holes" "$near/got"
}

server_start
tap_run "$@"
