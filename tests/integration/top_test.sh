#!/bin/bash
# SPDX-License-Identifier: MIT
# kssh-top sees what passes through the module, and what it says when it cannot.

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

top_cmd=$KSSH_BUILD/kssh-top

watched()
{
	[ "$(wc -l <"$scratch/top")" -gt "$1" ]
}

# top_watch COMMAND...: what kssh-top says meanwhile in $scratch/top
top_watch()
{
	local pid

	"$top_cmd" --batch -i 0.2 "${top_opt[@]}" >"$scratch/top" \
		2>"$scratch/top.err" &
	pid=$!
	# a header, or the first total, says that it is attached
	wait_until watched 0 || tap_fail "$(cat "$scratch/top.err")"
	"$@"
	wait_until watched $(($(wc -l <"$scratch/top") + 3))
	kill "$pid"
	wait "$pid" 2>/dev/null
}

# sum_of COLUMN: over the lines of connections of our server
sum_of()
{
	awk -v n="$1" -v port=":$port\$" '
		$2 ~ port { sum += $n } END { print sum + 0 }' "$scratch/top"
}

send_and_fetch()
{
	got=$(ksh_ssh -o RekeyLimit=64K cat <"$scratch/data" | sum)
}

test_shows_what_a_connection_moves()
{
	local got='' size=1000000

	[ -z "${KSSH_SSHD:-}" ] || { tap_skip "stock server"; return; }
	[ -e /proc/net/kssh_stat ] || { tap_skip "no module"; return; }
	head -c $size /dev/urandom >"$scratch/data"
	top_opt=()
	top_watch send_and_fetch
	tap_is "$got" "$(sum "$scratch/data")"
	if [ "$KSSH_PATH" = user ]; then
		tap_is "$(sum_of 4)" 0 "nothing of the user path"
		return
	fi
	[ "$(sum_of 4)" -gt $size ] || tap_fail "tx: $(cat "$scratch/top")"
	[ "$(sum_of 5)" -gt $size ] || tap_fail "rx: $(cat "$scratch/top")"
	[ "$(sum_of 6)" -ge 30 ] || tap_fail "packets: $(cat "$scratch/top")"
	[ "$(sum_of 10)" -ge 4 ] || tap_fail "rekeys: $(cat "$scratch/top")"
	tap_has "$(head -n 1 "$scratch/top")" '^time +local +remote +tx-bytes'
	tap_has "$(tail -n 1 "$scratch/top")" ' total '
}

test_speaks_json()
{
	[ -z "${KSSH_SSHD:-}" ] || { tap_skip "stock server"; return; }
	[ -e /proc/net/kssh_stat ] || { tap_skip "no module"; return; }
	top_opt=(--json)
	top_watch ksh_ssh true
	python3 - "$KSSH_PATH" "$port" "$scratch/top" <<-'END' ||
		import json, sys
		path, port, name = sys.argv[1:]
		lines = [json.loads(line) for line in open(name)]
		conns = [l for l in lines if l["local"].endswith(":" + port)]
		assert any(l["local"] == "total" for l in lines)
		assert sum(l["rx_packets"] for l in conns) > 0 or path == "user"
	END
		tap_fail "$(tail -n 3 "$scratch/top")"
}

test_says_what_is_missing()
{
	local out rc=0

	if [ ! -e /proc/net/kssh_stat ]; then
		[ -x "$top_cmd" ] || { tap_skip "not built here"; return; }
		out=$("$top_cmd" -n 1 2>&1) || rc=$?
		tap_is "$rc" 1
		tap_is "$out" "kssh-top: kssh.ko is not loaded: modprobe kssh"
		return
	fi
	out=$(setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all \
		--reuid=65534 "$top_cmd" -n 1 2>&1) || rc=$?
	tap_is "$rc" 1
	tap_has "$out" '^kssh-top: not permitted .*: run it as root$'
	rc=0
	out=$("$top_cmd" -i nothing 2>&1) || rc=$?
	tap_is "$rc" 1
	tap_has "$out" '^kssh-top: -i nothing: not a number'
}

[ -n "${KSSH_SSHD:-}" ] || server_start
tap_run "$@"
