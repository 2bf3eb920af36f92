#!/bin/bash
# SPDX-License-Identifier: MIT
# Peers that break the protocol, in all its layers: see bad_*.py. Names are
# those of the cases there.

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

python3 -c 'import cryptography' 2>/dev/null || {
	echo "1..0 # SKIP no python3-cryptography"
	exit 0
}
if [ "$KSSH_PATH" = kernel ] && [ ! -e /proc/net/kssh_stat ]; then
	echo "1..0 # SKIP no module"
	exit 0
fi
patterns=()
for arg; do
	[ "$arg" = -r ] || patterns+=("$arg")
done
more=()
[ -z "${KSSH_SSHD:-}" ] || more+=(--lax)
# What AddressSanitizer keeps back looks as if it were in use.
! grep -q __asan_init "$KSSH_BUILD/ksshd" || more+=(--sanitizer)

grace=$((tcg ? 6 : 2))
server_start "LoginGraceTime $grace" "MaxStartups 3" "MaxAuthTries 3"
grace_port=$port grace_pid=$server_pid
server_spare
server_start "RekeyLimit 64K" "KexAlgorithms curve25519-sha256"
rekey_port=$port rekey_pid=$server_pid
server_spare
server_start "MaxAuthTries 3" "MaxStartups 100"

python3 -B "$here/badpeer.py" --pid "$server_pid" --pid "$grace_pid" \
	--pid "$rekey_pid" --port "$port" --rekey-port "$rekey_port" \
	--grace-port "$grace_port" --grace "$grace" --user "$user" \
	--key "$scratch/id" --path "$KSSH_PATH" --heavy "$heavy" \
	--ciphers "${KSSH_CIPHERS:-}" "${more[@]}" "${patterns[@]}"
rc=$?
tap_failed=0
server_stop
[ "$tap_failed" = 0 ] || rc=1
exit $rc
