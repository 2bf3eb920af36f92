#!/bin/bash
# SPDX-License-Identifier: MIT
# The example of kssh(7) does what it says.

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

example=$KSSH_BUILD/docs/examples/kssh_echo

test_echoes_through_a_channel()
{
	local out

	[ "$KSSH_PATH" = kernel ] || { tap_skip "of the kernel path"; return; }
	head -c 300001 /dev/urandom >"$scratch/data"
	out=$("$example" <"$scratch/data" 2>"$scratch/err" | sum)
	tap_is "$out" "$(sum "$scratch/data")"
	tap_has "$(cat "$scratch/err")" 'client: .*aes.*, sent [0-9]+ bytes'
	tap_is "$("$example" </dev/null 2>/dev/null)" ''
}

test_says_what_is_missing()
{
	local out rc=0

	[ "$(id -u)" = 0 ] || { tap_skip "needs root to give rights up"; return; }
	out=$(echo x | setpriv --bounding-set=-all --inh-caps=-all \
		--ambient-caps=-all --reuid=65534 "$example" 2>&1) || rc=$?
	tap_is "$rc" 1
	tap_has "$out" '^kssh_echo: TCP_ULP "ssh" .*: (Operation not permitted|No such file)'
}

tap_run "$@"
