#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# mkdebug.sh [-n] [FLAVOUR]: build a debug kernel once into the cache. -n only
# says whether it is there. FLAVOUR is debug (KASAN, lockdep, kmemleak, UBSAN,
# fault injection, KUnit) or kcsan (data races).
#
# Leaves in the cache: FLAVOUR-<version>-<hash>/{bzImage,release,build/}, where
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
	flavour_lines "$1" >"../$1.config"
	scripts/kconfig/merge_config.sh -m .config "../$1.config" >/dev/null
	make -s olddefconfig
	# A line that did not take is a wrong line: say so.
	while IFS= read -r line; do
		case $line in
		*=n) ! grep -q "^${line%=n}=y" .config ;;
		*) grep -qxF "$line" .config ;;
		esac || echo "$1.config: not taken: $line"
	done <"../$1.config"
}

if [ "${1:-}" = --inside ]; then
	tmp=/cache/tmp.$2
	mkdir -p "$tmp/linux" "$tmp/out"
	tar -C "$tmp/linux" -xf "$3/linux-source.tar.xz" --strip-components=1
	cd "$tmp/linux"
	configure "$2"
	[ "${4:-}" != --config ] || exit 0
	make -s -j"$(nproc)" all
	make -s kernelrelease >"$tmp/out/release"
	cp arch/x86/boot/bzImage "$tmp/out"
	cp .config "$tmp/out/config"
	keep_build "$tmp/linux" "$tmp/out/build"
	exit
fi

need_root
only_ask=''
[ "${1:-}" != -n ] || { only_ask=1; shift; }
flavour=${1:-debug}
is_flavour "$flavour" || die "no flavour $flavour"
[ -d "$(root_dir)" ] || "$vm_dir/mkroot.sh"
dir=$(debug_dir "$flavour")
if [ -n "$only_ask" ]; then
	[ -d "$dir" ] && exit 0
	exit 1
fi
[ -d "$dir" ] && exit
"$vm_dir/mksource.sh"
lock "$flavour"
[ -d "$dir" ] && exit
rm -rf "$cache/tmp.$flavour"
log=$cache/$flavour.log
say KERNEL "$flavour kernel, 15 minutes on two cores, log in $log"
if ! "$vm_dir/inroot" tests/vm/mkdebug.sh --inside "$flavour" \
	"/cache/$(basename "$(source_dir)")" >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	die "the $flavour kernel does not build, see $log"
fi
mv "$cache/tmp.$flavour/out" "$dir"
rm -rf "$cache/tmp.$flavour"
