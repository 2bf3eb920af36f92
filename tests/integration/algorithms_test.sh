#!/bin/bash
# SPDX-License-Identifier: MIT
# Every key exchange, host key, cipher and MAC with OpenSSH's client, and which
# of them go which way.

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

kexs="mlkem768x25519-sha256 curve25519-sha256 curve25519-sha256@libssh.org
	ecdh-sha2-nistp256"
hostkeys="ssh-ed25519 ecdsa-sha2-nistp256 rsa-sha2-256 rsa-sha2-512"
gcm="aes128-gcm@openssh.com aes256-gcm@openssh.com"
chacha=chacha20-poly1305@openssh.com
ctr="aes128-ctr aes192-ctr aes256-ctr"
macs="hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com
	hmac-sha2-256 hmac-sha2-512"

# Each with each: some bytes both ways, and a rekey in between.
combination()
{
	local what="$*" got opt=()

	while [ $# -gt 1 ]; do
		opt+=(-o "$1=$2")
		shift 2
	done
	got=$(ksh_ssh "${opt[@]}" -o RekeyLimit=64K cat <"$scratch/data" | sum)
	tap_is "$got" "$data_sum" "$what"
}

data_ready()
{
	head -c 300001 /dev/urandom >"$scratch/data"
	data_sum=$(sum "$scratch/data")
}

test_key_exchanges_and_host_keys()
{
	local kex key

	data_ready
	for kex in $kexs; do
		for key in $hostkeys; do
			[ "$heavy" = 1 ] || [ "$key" = ssh-ed25519 ] ||
				[ "$kex" = curve25519-sha256 ] || continue
			combination KexAlgorithms "$kex" \
				HostKeyAlgorithms "$key" \
				Ciphers aes256-gcm@openssh.com
		done
	done
}

test_ciphers_and_macs()
{
	local cipher mac first=1

	data_ready
	for cipher in $gcm $chacha; do
		combination Ciphers "$cipher"
	done
	for cipher in $ctr; do
		for mac in $macs; do
			[ "$heavy" = 1 ] || [ -n "$first" ] ||
				[ "${mac%%-etm*}" = "$mac" ] || continue
			combination Ciphers "$cipher" MACs "$mac"
		done
		first=''
	done
}

test_refuses_what_it_does_not_offer()
{
	local out rc=0

	[ -z "${KSSH_SSHD:-}" ] || { tap_skip "stock server"; return; }
	out=$(ksh_ssh -v -o Ciphers=aes128-cbc true 2>&1) || rc=$?
	tap_is "$rc" 255
	tap_has "$out" 'no matching cipher'
	rc=0
	out=$(ksh_ssh -v -o KexAlgorithms=diffie-hellman-group14-sha256 \
		true 2>&1) || rc=$?
	tap_is "$rc" 255
	tap_has "$out" 'no matching key exchange'
}

# Compression is offered by the client, and not taken.
test_agrees_on_no_compression()
{
	[ -z "${KSSH_SSHD:-}" ] || { tap_skip "stock server"; return; }
	tap_is "$(ksh_ssh -C -o Compression=yes echo on)" on
}

test_obeys_the_configured_algorithms()
{
	local out rc=0

	[ -z "${KSSH_SSHD:-}" ] || { tap_skip "stock server"; return; }
	server_start "Ciphers aes256-gcm@openssh.com" \
		"KexAlgorithms ecdh-sha2-nistp256"
	out=$(ksh_ssh -v -o LogLevel=DEBUG1 true 2>&1)
	tap_has "$out" 'kex: algorithm: ecdh-sha2-nistp256'
	tap_has "$out" 'client->server cipher: aes256-gcm@openssh.com'
	out=$(ksh_ssh -o Ciphers=aes128-gcm@openssh.com true 2>&1) || rc=$?
	tap_is "$rc" 255
	server_start
}

## Which path

paths_of()
{
	log_since "$1" | sed -n 's/.*\(data path [a-z]*\) for.*/\1/p'
}

test_auto_takes_the_kernel_where_it_can()
{
	local mark want="data path user" cipher

	[ -z "${KSSH_SSHD:-}" ] || { tap_skip "stock server"; return; }
	[ ! -e /proc/net/kssh_stat ] || want="data path kernel"
	any_path=1
	server_start "DataPath auto"
	for cipher in aes128-gcm@openssh.com $chacha aes256-ctr; do
		mark=$(log_mark)
		tap_is "$(ksh_ssh -o Ciphers="$cipher" echo on)" on
		tap_is "$(paths_of "$mark")" "$want" "$cipher"
		[ "$want" = "data path kernel" ] ||
			tap_has "$(log_since "$mark")" \
				'data path user .*\(..*\)' "a reason"
	done
	server_stop
	any_path=''
	server_start
}

# DataPath kernel does not fall back: it says why it cannot.
test_kernel_only_needs_the_module()
{
	local mark rc=0

	[ -z "${KSSH_SSHD:-}" ] || { tap_skip "stock server"; return; }
	any_path=1
	server_start "DataPath kernel"
	mark=$(log_mark)
	ksh_ssh true 2>/dev/null || rc=$?
	if [ -e /proc/net/kssh_stat ]; then
		tap_is "$rc" 0
		tap_is "$(paths_of "$mark")" "data path kernel"
	else
		tap_is "$rc" 255
		tap_has "$(log_since "$mark")" \
			'(data path|kernel|module|ulp|ULP)' "a reason"
		tap_lacks "$(log_since "$mark")" 'data path user for'
	fi
	server_stop
	any_path=''
	server_start
}

server_start
tap_run "$@"
