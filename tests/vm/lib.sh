# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # used by those who source this
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

# One line for each kernel of the root: series, release, Debian's version.
kernels()
{
	cat "$(root_dir)/etc/kssh-kernels"
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
	kernels | awk '$1 == "6.12" { print $3 }'
}

source_dir()
{
	echo "$cache/source-$(source_version)"
}

# The kernels that are not Debian's, but built by mkdebug.sh.
flavours='debug kcsan'

is_flavour()
{
	case " $flavours " in
	*" $1 "*) ;;
	*) return 1 ;;
	esac
}

# flavour_lines FLAVOUR: the lines of its configuration, over allnoconfig
flavour_lines()
{
	grep -h '^CONFIG' "$vm_dir/base.config" "$vm_dir/$1.config"
}

# debug_dir FLAVOUR
debug_dir()
{
	local id

	id=$(flavour_lines "$1" | sha256sum | cut -c1-12)
	echo "$cache/$1-$(source_version)-$id"
}
