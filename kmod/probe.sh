#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Print -DHAVE_* for the kernel headers below $1: stable trees port
# interfaces back, so we look instead of comparing versions.
inc=$1/include

# has NAME FILE PATTERN: does the header, its line ends taken out, match?
has()
{
	if tr -s '\n\t ' ' ' < "$inc/$2" 2>/dev/null | grep -q "$3"; then
		printf -- '-DHAVE_%s ' "$1"
	fi
}

has RECVMSG_ADDR_LEN net/sock.h \
	'(\*recvmsg)(struct sock \*sk, struct msghdr \*msg, size_t len, int flags, int \*addr_len)'
has ULP_NET_ADMIN net/tcp.h 'get_info)([^)]*bool net_admin'
has CONST_NET_SYSCTL net/net_namespace.h \
	'register_net_sysctl_sz([^)]*const struct ctl_table \*table'
has CHACHA_STATE crypto/chacha.h 'struct chacha_state {'
