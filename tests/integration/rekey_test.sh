#!/bin/bash
# SPDX-License-Identifier: MIT
# Key exchanges in the middle of transfers: by the client, the server, both.

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

far=$scratch/far
near=$scratch/near
mkdir "$far" "$near"
ours "$far"
# A key exchange costs much more than 64 KiB of data. KSSH_REKEY_MIB asks for
# more of them, and then it takes what it takes.
some=${KSSH_REKEY_MIB:-$((tcg ? 1 : 4))}
[ "$some" -lt 16 ] || hang=7200

# exchanges FILE: key exchanges after the first, in a client's debug output
exchanges()
{
	local n

	n=$(grep -c 'SSH2_MSG_NEWKEYS sent' "$1")
	echo $((n > 0 ? n - 1 : 0))
}

# both_ways MIB CLIENT-OPTION...: there and back through cat, then one way each
both_ways()
{
	local size=$1

	shift
	make_data "$near/f" "$size"
	ksh_ssh -v -o LogLevel=DEBUG1 "$@" cat <"$near/f" >"$near/g" \
		2>"$near/debug"
	tap_same "$near/f" "$near/g"
	n_echo=$(exchanges "$near/debug")
	ksh_ssh -v -o LogLevel=DEBUG1 "$@" "cat >$far/h" <"$near/f" \
		2>"$near/debug"
	tap_same "$near/f" "$far/h"
	n_up=$(exchanges "$near/debug")
	ksh_ssh -v -o LogLevel=DEBUG1 "$@" "cat $far/h" >"$near/g" \
		2>"$near/debug"
	tap_same "$near/f" "$near/g"
	n_down=$(exchanges "$near/debug")
	rm -f "$near/g" "$far/h"
}

at_least()
{
	[ "$1" -ge "$2" ] || tap_fail "$3: $1 key exchanges, want $2"
}

test_of_the_client_at_64k()
{
	both_ways "$some" -o RekeyLimit=64K
	at_least "$n_echo" $((some * 4)) echo
	at_least "$n_up" $((some * 4)) up
	# in flight are a few hundred KiB when the client asks
	at_least "$n_down" $(((some + 1) / 2)) down
}

test_of_the_client_at_1m()
{
	both_ways "$mib" -o RekeyLimit=1M
	at_least "$n_echo" $((mib / 2)) echo
	at_least "$n_up" $((mib / 2)) up
	at_least "$n_down" $((mib / 4)) down
}

test_by_time()
{
	local rc=0

	ksh_ssh -v -o LogLevel=DEBUG1 -o "RekeyLimit=default 1" \
		'for i in 1 2 3 4; do echo $i; sleep 1; done' \
		>"$near/out" 2>"$near/debug" || rc=$?
	tap_is "$rc" 0
	tap_is "$(cat "$near/out")" "$(printf '1\n2\n3\n4')"
	at_least "$(exchanges "$near/debug")" 1 "by time"
}

test_over_sftp()
{
	make_data "$near/f" "$some"
	tap_ok put ksh_sftp -o RekeyLimit=64K <<<"put $near/f $far/s"
	tap_same "$near/f" "$far/s"
	tap_ok get ksh_sftp -o RekeyLimit=64K <<<"get $far/s $near/s"
	tap_same "$near/f" "$near/s"
}

test_of_a_client_with_many_channels()
{
	local i pids=() control=$scratch/control

	make_data "$near/f" $((some / 2))
	ksh_ssh -M -S "$control" -o RekeyLimit=256K -o ControlPersist=yes -N -f
	for i in 1 2 3; do
		ksh_ssh -S "$control" cat <"$near/f" >"$near/m$i" &
		pids+=($!)
	done
	wait "${pids[@]}"
	for i in 1 2 3; do
		tap_same "$near/f" "$near/m$i"
	done
	ksh_ssh -S "$control" -O exit 2>/dev/null
}

test_of_the_server_at_64k()
{
	server_start "RekeyLimit 64K"
	both_ways "$some"
	# as much as a window may come behind our KEXINIT
	at_least "$n_echo" $(((some + 1) / 2)) echo
	at_least "$n_up" $(((some + 1) / 2)) up
	# and that again between our NEWKEYS and the client's
	at_least "$n_down" $(((some + 2) / 3)) down
	tap_ok put ksh_sftp <<<"put $near/f $far/s2"
	tap_same "$near/f" "$far/s2"
	tap_ok get ksh_sftp <<<"get $far/s2 $near/s2"
	tap_same "$near/f" "$near/s2"
	rm -f "$near/s2" "$far/s2"
}

test_of_both_at_once()
{
	server_start "RekeyLimit 64K"
	both_ways "$some" -o RekeyLimit=64K
	at_least "$n_echo" $((some * 4)) echo
	server_start "RekeyLimit 1M"
	both_ways "$mib" -o RekeyLimit=1M
	at_least "$n_echo" $((mib / 2)) echo
}

test_of_the_server_by_time()
{
	local rc=0

	server_start "RekeyLimit default 1"
	ksh_ssh -v -o LogLevel=DEBUG1 \
		'for i in 1 2 3 4; do echo $i; sleep 1; done' \
		>"$near/out" 2>"$near/debug" || rc=$?
	tap_is "$rc" 0
	tap_is "$(cat "$near/out")" "$(printf '1\n2\n3\n4')"
	at_least "$(exchanges "$near/debug")" 1 "by time"
}

server_start
tap_run "$@"
