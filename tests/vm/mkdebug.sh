#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# mkdebug.sh: build the debug kernel (KASAN, lockdep, kmemleak, UBSAN, fault
# injection, KUnit) once into the cache. -n only says whether it is there.
#
# Leaves in the cache: debug-<version>-<hash>/{bzImage,release,build/}, where
# build/ is what a module is built against.

set -eu
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

# What a module needs of the tree, and nothing else: 1.5 GB become 0.1.
keep_build()
{
	local from=$1 to=$2

	mkdir -p "$to/arch" "$to/tools/objtool"
	cp -a "$from"/{Makefile,.config,Module.symvers,System.map} "$to"
	cp -a "$from/include" "$from/scripts" "$to"
	cp -a "$from/tools/objtool/objtool" "$to/tools/objtool"
	(cd "$from" && find arch/x86 -path '*/include/*' -type f -o \
		-path 'arch/x86/*' -name 'Makefile*' -type f -o \
		-path 'arch/x86/*' -name '*.lds' -type f) |
		tar -C "$from" -c -T - | tar -C "$to" -x
	(cd "$from" && find . -name 'Kconfig*' -type f -path './arch/x86/*') |
		tar -C "$from" -c -T - | tar -C "$to" -x
	find "$to" \( -name '*.o' -o -name '.*.cmd' \) -delete
}

configure()
{
	make -s allnoconfig
	scripts/kconfig/merge_config.sh -m .config "$1" >/dev/null
	make -s olddefconfig
	# A line that did not take is a wrong line: say so.
	grep '^CONFIG' "$1" | while IFS= read -r line; do
		case $line in
		*=n) ! grep -q "^${line%=n}=y" .config ;;
		*) grep -qxF "$line" .config ;;
		esac || echo "debug.config: not taken: $line"
	done
}

if [ "${1:-}" = --inside ]; then
	tmp=/cache/tmp.debug
	mkdir -p "$tmp/linux" "$tmp/out"
	tar -C "$tmp/linux" -xf "$2/linux-source.tar.xz" --strip-components=1
	cd "$tmp/linux"
	configure /src/tests/vm/debug.config
	[ "${3:-}" != --config ] || exit 0
	make -s -j"$(nproc)" all
	make -s kernelrelease >"$tmp/out/release"
	cp arch/x86/boot/bzImage "$tmp/out"
	cp .config "$tmp/out/config"
	keep_build "$tmp/linux" "$tmp/out/build"
	exit
fi

need_root
[ -d "$(root_dir)" ] || "$vm_dir/mkroot.sh"
dir=$(debug_dir)
if [ "${1:-}" = -n ]; then
	[ -d "$dir" ] && exit 0
	exit 1
fi
[ -d "$dir" ] && exit
"$vm_dir/mksource.sh"
lock debug
[ -d "$dir" ] && exit
rm -rf "$cache/tmp.debug"
say KERNEL "debug kernel, 15 minutes on two cores, log in $cache/debug.log"
if ! "$vm_dir/inroot" tests/vm/mkdebug.sh --inside \
	"/cache/$(basename "$(source_dir)")" >"$cache/debug.log" 2>&1; then
	tail -n 20 "$cache/debug.log" >&2
	die "the debug kernel does not build, see $cache/debug.log"
fi
mv "$cache/tmp.debug/out" "$dir"
rm -rf "$cache/tmp.debug"
