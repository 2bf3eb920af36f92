# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What the scripts of this folder share. Sourced, not run.

vm_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$vm_dir/../.." && pwd)
cache=${KSSH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kssh}

say()
{
	printf '  %-7s %s\n' "$1" "$2" >&2
}

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

need_root()
{
	[ "$(id -u)" = 0 ] || die "root is needed: sudo make ..."
}

# What decides the content of the root decides its name.
root_id()
{
	cat "$vm_dir/packages" "$vm_dir/mkroot.sh" | sha256sum | cut -c1-12
}

root_dir()
{
	echo "${KSSH_ROOT:-$cache/root-$(root_id)}"
}

# Holds a lock of the cache until the shell ends.
lock()
{
	local fd

	mkdir -p "$cache"
	exec {fd}>"$cache/.lock-$1"
	if ! flock -n "$fd"; then
		say WAIT "for another run that makes the same ($1)"
		flock "$fd"
	fi
}

# kernels: one line for each kernel of the root: 6.12 6.12.107+deb13-amd64
kernels()
{
	local dir

	for dir in "$(root_dir)"/usr/lib/modules/*/; do
		dir=$(basename "$dir")
		[ -e "$(root_dir)/boot/vmlinuz-$dir" ] || continue
		echo "$(echo "$dir" | cut -d. -f1,2) $dir"
	done | sort -V
}

# kernel_release NAME: the whole release of a kernel named by its series
kernel_release()
{
	kernels | awk -v k="$1" '$1 == k || $2 == k { r = $2 }
		END { if (r) print r; else exit 1 }'
}

# The version of Debian's 6.12, which the sources for the debug kernel match.
source_version()
{
	awk -v RS= '/^Package: linux-headers-6\.12[^ \n]*-amd64\n/ {
		if (match($0, /\nVersion: [^\n]*/))
			v = substr($0, RSTART + 10, RLENGTH - 10)
	} END { if (v) print v; else exit 1 }' \
		"$(root_dir)/var/lib/dpkg/status"
}

source_dir()
{
	echo "$cache/source-$(source_version)"
}

debug_dir()
{
	local id

	id=$(grep '^CONFIG' "$vm_dir/debug.config" | sha256sum | cut -c1-12)
	echo "$cache/debug-$(source_version)-$id"
}
