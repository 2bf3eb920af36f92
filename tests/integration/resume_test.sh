#!/bin/bash
# SPDX-License-Identifier: MIT
# Transfers that are cut off, and go on where they were.
# VM: once

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/transfer.sh
. "$here/transfer.sh"

bytes=$((mib * 1048576))

# has_begun_in FOLDER [PATTERN]: a file in it, which is $first, has some
has_begun_in()
{
	first=$(find "$1" -type f -name "${2:-*}" -size +0 -print -quit \
		2>/dev/null)
	[ -n "$first" ]
}

# begin_rsync ARGUMENT...
begin_rsync()
{
	# in KiB/s
	begin timeout "$hang" rsync -e "$(ssh_command)" \
		--bwlimit=$((slow / 8)) "$@"
}

test_put()
{
	local command

	make_data "$near/data" "$mib"
	for command in reput "put -a"; do
		begin_sftp "put $near/data $far/put"
		halt "$far/put" $bytes
		cut_off
		tap_begins "$far/put" "$near/data"
		sftp_batch "$command $near/data $far/put" ||
			tap_fail "$command: $out"
		tap_same "$near/data" "$far/put"
		rm "$far/put"
	done
}

test_get()
{
	local command

	make_data "$far/data" "$mib"
	ours "$far/data"
	for command in reget "get -a"; do
		begin_sftp "get $far/data $near/got"
		halt "$near/got" $bytes
		cut_off
		tap_begins "$near/got" "$far/data"
		sftp_batch "$command $far/data $near/got" ||
			tap_fail "$command: $out"
		tap_same "$far/data" "$near/got"
		rm "$near/got"
	done
}

test_get_of_a_tree()
{
	local i

	mkdir "$far/tree"
	for i in 1 2 3 4; do
		head -c $((bytes / 4)) /dev/urandom >"$far/tree/$i"
	done
	ours "$far/tree"
	begin_sftp "get -R $far/tree $near/"
	wait_until has_begun_in "$near/tree" || tap_fail "nothing comes"
	halt "$first" $((bytes / 4 + 1))
	cut_off
	[ "$(find "$near/tree" -type f | wc -l)" -lt 4 ] ||
		tap_fail "not halfway: all files are there"
	# What is there in full is left as it is.
	sftp_batch "get -a -R $far/tree $near/" || tap_fail "get -a -R: $out"
	tap_ok compare diff -r "$near/tree" "$far/tree"
	rm -r "$near/tree" "$far/tree"
}

test_put_by_another_client()
{
	make_data "$near/data" "$mib"
	begin_sftp "put $near/data $far/put"
	halt "$far/put" $bytes
	cut_off
	# What is missing by a shell, as scripts do.
	ksh_ssh "cat >>$far/put" < <(tail -c +$(($(size "$far/put") + 1)) \
		"$near/data")
	tap_same "$near/data" "$far/put"
	rm "$far/put"
}

test_rsync_to_the_server()
{
	command -v rsync >/dev/null || { tap_skip "no rsync"; return; }
	make_data "$near/data" "$mib"
	begin_rsync --inplace "$near/data" "$user@127.0.0.1:$far/sync"
	halt "$far/sync" $bytes
	cut_off
	tap_ok append run_rsync --append-verify "$near/data" \
		"$user@127.0.0.1:$far/sync"
	tap_same "$near/data" "$far/sync"
	rm "$far/sync"
}

test_rsync_partial_to_the_server()
{
	command -v rsync >/dev/null || { tap_skip "no rsync"; return; }
	make_data "$near/data" "$mib"
	begin_rsync --partial "$near/data" "$user@127.0.0.1:$far/sync"
	# It has another name until it is whole.
	wait_until has_begun_in "$far" '.sync.*' || tap_fail "nothing comes"
	halt "$first" $bytes
	cut_off
	# The far rsync keeps what it has when its connection is gone.
	wait_until test -s "$far/sync" || tap_fail "nothing was kept"
	tap_begins "$far/sync" "$near/data"
	tap_ok again run_rsync --partial "$near/data" \
		"$user@127.0.0.1:$far/sync"
	tap_same "$near/data" "$far/sync"
	rm "$far/sync"
}

test_rsync_from_the_server()
{
	local how

	command -v rsync >/dev/null || { tap_skip "no rsync"; return; }
	make_data "$far/data" "$mib"
	ours "$far/data"
	for how in --append-verify --partial; do
		begin_rsync --inplace "$user@127.0.0.1:$far/data" "$near/sync"
		halt "$near/sync" $bytes
		cut_off
		tap_begins "$near/sync" "$far/data"
		tap_ok "$how" run_rsync "$how" "$user@127.0.0.1:$far/data" \
			"$near/sync"
		tap_same "$far/data" "$near/sync"
		rm "$near/sync"
	done
}

server_start
tap_run "$@"
