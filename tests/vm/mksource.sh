#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# mksource.sh: fetch Debian's linux-source-6.12 into the cache and take
# checkpatch.pl and its word lists out of it. Done once; prints nothing then.

set -eu
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

# In the root: download to $1, of version $2 if the mirror still has it.
if [ "${1:-}" = --inside ]; then
	cd "$2"
	apt-get -q update
	apt-get -q download "linux-source-6.12=$3" ||
		apt-get -q download linux-source-6.12
	dpkg-deb --fsys-tarfile linux-source-6.12_*.deb |
		tar -xO ./usr/src/linux-source-6.12.tar.xz >linux-source.tar.xz
	rm linux-source-6.12_*.deb
	tar -xf linux-source.tar.xz --strip-components=1 --wildcards \
		'*/scripts/checkpatch.pl' '*/scripts/spelling.txt' \
		'*/scripts/const_structs.checkpatch' '*/scripts/kernel-doc'
	exit
fi

need_root
[ -d "$(root_dir)" ] || "$vm_dir/mkroot.sh"
dir=$(source_dir)
[ -d "$dir" ] && exit
lock source
[ -d "$dir" ] && exit
tmp=$cache/tmp.source
rm -rf "$tmp"
mkdir -p "$tmp"
say FETCH "linux-source-6.12 (checkpatch.pl, debug kernel)"
if ! "$vm_dir/inroot" tests/vm/mksource.sh --inside /cache/tmp.source \
	"$(source_version)" >"$cache/source.log" 2>&1; then
	tail -n 5 "$cache/source.log" >&2
	die "linux-source-6.12 could not be fetched, see $cache/source.log"
fi
mv "$tmp" "$dir"
