#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# DKMS builds and installs the module, and the kernel finds it by itself.
# Natively up to the installed file; in a VM (tests/run -k 6.12 dkms_test, some
# minutes) also loaded.

set -u
cd "$(dirname "$0")/../.." || exit 1

release=$(uname -r)
if [ -z "${KSSH_VM:-}" ]; then
	release=$(awk '$1 == "6.12" { print $2 }' /etc/kssh-kernels)
fi
n=0 bad=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# check WHAT COMMAND...
check()
{
	local what=$1

	shift
	if "$@" >"$log" 2>&1; then
		echo "ok $((n += 1)) - $what"
	else
		sed 's/^/# /' "$log" | tail -n 20
		echo "not ok $((n += 1)) - $what"
		bad=1
	fi
}

installed()
{
	dkms status -k "$release" kssh/"$version" | grep -q installed &&
		[ "$(modinfo -k "$release" -n kssh)" = \
			"$(ls "/lib/modules/$release"/updates/dkms/kssh.ko*)" ]
}

has_alias()
{
	modprobe -S "$release" -R tcp-ulp-ssh | grep -qx kssh
}

# Whoever attaches the ULP first need not load anything.
loads_by_attaching()
{
	rmmod kssh && python3 -c '
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
client.setsockopt(socket.IPPROTO_TCP, 31, b"ssh")' &&
		grep -q ^kssh /proc/modules
}

loads_by_modprobe()
{
	rmmod kssh && modprobe kssh && grep -q ^kssh /proc/modules
}

gone()
{
	! dkms status kssh/"$version" | grep -q . &&
		! modinfo -k "$release" kssh
}

echo "TAP version 13"
make -s dkms DESTDIR='' >"$log" 2>&1
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' /usr/src/kssh-*/dkms.conf)
check adds dkms add "kssh/$version"
check builds dkms build -k "$release" "kssh/$version"
check installs dkms install -k "$release" "kssh/$version"
check is_found installed
check is_known_as_ulp has_alias
if [ -n "${KSSH_VM:-}" ]; then
	check loads_by_attaching loads_by_attaching
	check loads_by_modprobe loads_by_modprobe
fi
check removes dkms remove "kssh/$version" --all
check leaves_nothing gone
echo "1..$n"
exit $bad
