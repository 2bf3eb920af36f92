#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# mkroot.sh: make the Debian 13 root once: tool chain, peers and guest system.
#
# It is made with mmdebstrap from the mirror the machine itself uses (or from
# $KSSH_MIRROR) and named by a hash of this script and of the package list.
# Its kernels are unpacked, not installed: no initramfs, no boot loader.

set -eu
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The Debian archive among the sources of this machine, in either format.
mirror()
{
	local uri

	if [ -n "${KSSH_MIRROR:-}" ]; then
		echo "$KSSH_MIRROR"
		return
	fi
	# shellcheck disable=SC2016 # apt fills these in
	uri=$(apt-get indextargets --format \
		'$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Identifier: Packages' | awk '
		$1 == "Debian" { $1 = ""; $0 = $0 }
		$1 !~ /^cdrom:/ && $2 !~ /-/ && $3 == "main" {
			print ($1 ~ /\/debian\/?$/ ? 0 : 1), $1 }' |
		sort -s -n -k1,1 | awk 'NR == 1 { print $2 }')
	[ -n "$uri" ] || die "no Debian archive in the apt sources here:" \
		"set KSSH_MIRROR to the URI of one"
	echo "$uri"
}

# The tools this machine must have itself.
host_tools()
{
	local need=()

	command -v mmdebstrap >/dev/null || need+=(mmdebstrap)
	if ! [ -e "$keyring" ] || dpkg --compare-versions "$(dpkg-query -W \
		-f '${Version}' debian-archive-keyring 2>/dev/null ||
		echo 0)" lt 2023.3+deb12u2; then
		need+=(debian-archive-keyring)
	fi
	command -v unshare >/dev/null || need+=(util-linux)
	[ ${#need[@]} = 0 ] && return
	command -v apt-get >/dev/null || die "needs Debian, or ${need[*]}"
	say APT "installs ${need[*]} on this machine"
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq update
	apt-get -qq -y install --no-install-recommends "${need[@]}" >/dev/null
}

# Hook of mmdebstrap: the newest release of the series $1, or of the newest
# series if the archive has it no more, in the flavour $2.
newest()
{
	local series=${1//./\\.}

	{
		apt-cache search --names-only '^linux-headers-[0-9.]+\+deb' |
			awk '{ print 0, $1 }'
		apt-cache search --names-only "^linux-headers-$series\\." |
			awk '{ print 1, $1 }'
	} | grep -E "^[01] linux-headers-[0-9.]+\\+deb[0-9]+-$2\$" |
		sort -k1,1n -k2,2V | tail -n 1 | sed 's/.*headers-//'
}

# Unpacks packages $3... into the root $1, in a folder $2 of downloads.
unpack()
{
	local root=$1 tmp=$2 deb

	shift 2
	mkdir -p "$tmp"
	(cd "$tmp" && apt-get -qq -o APT::Sandbox::User=root download "$@")
	for deb in "$tmp"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" \
			--keep-directory-symlink --exclude='./usr/share' \
			--exclude='*/drivers/gpu' --exclude='*/drivers/media' \
			--exclude='*/drivers/infiniband' --exclude='*/sound' \
			--exclude='*/drivers/net/wireless' \
			--exclude='*/drivers/net/ethernet' \
			--exclude='*/drivers/iio' --exclude='*/drivers/scsi' \
			--exclude='*/drivers/usb' --exclude='*/drivers/staging'
	done
	rm -rf "$tmp"
}

# A kernel without what a virtual machine has no use for, and its headers.
# 6.12 is one package, later ones are three.
add_kernel()
{
	local root=$1 rel=$2 pkg pkgs=() abi name

	abi=${rel%-amd64} abi=${abi%-rt} name=${3:-}
	for pkg in "linux-image-$rel" "linux-binary-$rel" \
		"linux-modules-$rel" "linux-headers-$rel" \
		"linux-headers-$abi-common$name" "linux-kbuild-$abi"; do
		apt-cache show "$pkg" >/dev/null 2>&1 && pkgs+=("$pkg")
	done
	unpack "$root" "$root/tmp/kernel" "${pkgs[@]}"
	[ -e "$root/boot/vmlinuz-$rel" ] ||
		cp "$root/usr/lib/modules/$rel/vmlinuz" "$root/boot/vmlinuz-$rel"
	chroot "$root" depmod "$rel"
	apt-cache show "linux-headers-$rel" | awk -v rel="$rel" -v name="$name" '
		$1 == "Version:" { split(rel, v, ".")
			print v[1] "." v[2] name, rel, $2; exit }' \
		>>"$root/etc/kssh-kernels"
}

if [ "${1:-}" = --finish ]; then
	export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG
	for series in 6.12 7.3; do
		add_kernel "$2" "$(newest "$series" amd64)"
	done
	add_kernel "$2" "$(newest 6.12 rt-amd64)" -rt
	mkdir -p "$2/src" "$2/cache" "$2/guest"
	rm -f "$2"/etc/ssh/ssh_host_*
	exit
fi

need_root
root=$(root_dir)
[ -d "$root" ] && exit
lock root
[ -d "$root" ] && exit
host_tools
uri=$(mirror)
tmp=$cache/tmp.root
log=$cache/root.log
rm -rf --one-file-system "$tmp"
opts=()
while IFS= read -r opt; do
	opts+=(--aptopt="$opt")
done < <(apt-config dump | grep -E '^Acquire::(https?|ftp)::Proxy')
say ROOT "Debian 13 root in $root, 3 to 5 minutes"
if ! unshare --mount mmdebstrap --variant=minbase --mode=root --keyring="$keyring" \
	--architectures=amd64 --aptopt='Acquire::Languages "none"' \
	--aptopt='Acquire::Retries "3"' "${opts[@]}" \
	--dpkgopt='path-exclude=/usr/share/doc/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' \
	--dpkgopt='path-exclude=/usr/share/info/*' \
	--include="$(sed 's/#.*//' "$vm_dir/packages" | xargs | tr ' ' ,)" \
	--customize-hook="$vm_dir/mkroot.sh --finish \"\$1\"" \
	"$suite" "$tmp" "deb $uri $suite main" "deb $uri $suite-updates main" \
	"deb $uri $suite-backports main" >"$log" 2>&1; then
	tail -n 8 "$log" >&2
	rm -rf --one-file-system "$tmp"
	die "no root from $uri (set KSSH_MIRROR to a Debian archive" \
		"that has $suite); log in $log"
fi
mv "$tmp" "$root"
