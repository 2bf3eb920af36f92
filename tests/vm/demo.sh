#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only

usage()
{
	cat <<-END
	usage: tests/vm/demo.sh [-k KERNEL] [-m MIB] [--tcg]
	The main job: a VM with kssh.ko and ksshd; stock OpenSSH clients in the
	guest, and on this side of a forwarded port, put and get a file of MIB
	(256) and a tree of files with sftp, scp, tar and rsync, both ends under
	RekeyLimit 16M. All that arrives is compared by its checksum. At the end:
	what went through the kernel, and OK or the first thing that failed.
	END
}

set -eu
# shellcheck source=tests/vm/lib.sh
. "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/lib.sh"

user=demo
limit=16M
: "${KSSH_DEMO_MIB:=256}"

## Both sides: a client's work. $where it is, $host and $port of the server,
## $keys with the client's key, $work to work in.

first_failure=''

# step WHAT COMMAND...: shows that it runs, then how it went
step()
{
	local what=$1 start=$SECONDS rc=0

	shift
	[ -z "$first_failure" ] || return 0
	printf '  %-6s %-52s' "$where" "$what"
	# in the background, or the shell would pass over what fails inside
	(set -e -o pipefail; "$@") >"$work/log" 2>&1 &
	wait $! || rc=$?
	if [ "$rc" = 0 ]; then
		printf 'ok   %3d s\n' $((SECONDS - start))
		return 0
	fi
	first_failure="$where: $what"
	printf 'FAILED (%d)\n' "$rc"
	tail -n 15 "$work/log" | sed 's/^/    /'
}

client_options()
{
	opts=(-i "$keys/id" -o "UserKnownHostsFile=$keys/known_hosts"
		-o BatchMode=yes -o IdentitiesOnly=yes -o ConnectTimeout=60
		-o "HostKeyAlias=kssh-demo" -o "RekeyLimit=$limit")
	# on the other side what the client likes best, chacha20-poly1305
	[ "$where" != guest ] || opts+=(-o "Ciphers=aes128-gcm@openssh.com")
	far=/home/$user/$where
}

far_shell()
{
	timeout 600 ssh "${opts[@]}" -p "$port" "$user@$host" "$@"
}

far_sftp()
{
	timeout 600 sftp "${opts[@]}" -P "$port" -b - "$user@$host"
}

far_scp()
{
	timeout 600 scp "${opts[@]}" -P "$port" "$@"
}

far_rsync()
{
	timeout 600 rsync -a -e "ssh ${opts[*]} -p $port" "$@"
}

# Checksums of a tree: of every file, and where links lead.
manifest()
{
	(cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum &&
		find . -type l -printf '%p -> %l\n' | sort)
}

same_tree()
{
	[ -n "$(manifest "$1")" ]
	diff <(manifest "$1") <(manifest "$2")
}

same_file()
{
	[ "$(sha256sum <"$1")" = "$(sha256sum <"$2")" ]
}

# far_same_tree NEAR FAR: the far side reckons its checksums itself
far_same_tree()
{
	far_shell "$(declare -f manifest); manifest $2" >"$work/far.sums"
	manifest "$1" | diff - "$work/far.sums"
}

sftp_file()
{
	far_sftp <<-END
		put $work/file $far/file
		get $far/file $work/file.back
	END
	[ "$(far_shell "sha256sum <$far/file")" = "$(sha256sum <"$work/file")" ]
	same_file "$work/file" "$work/file.back"
	rm "$work/file.back"
}

sftp_tree()
{
	far_sftp <<-END
		mkdir $far/sftp
		put -R $work/tree $far/sftp
		get -R $far/sftp/tree $work/tree.back
	END
	far_same_tree "$work/tree" "$far/sftp/tree"
	same_tree "$work/tree" "$work/tree.back"
	rm -r "$work/tree.back"
}

scp_file()
{
	far_scp "$1" "$work/file" "$user@$host:$far/file$1"
	far_scp "$1" "$user@$host:$far/file$1" "$work/file.back"
	same_file "$work/file" "$work/file.back"
	far_shell "rm $far/file$1"
	rm "$work/file.back"
}

scp_tree()
{
	far_scp -rp "$work/tree" "$user@$host:$far/scp"
	far_same_tree "$work/tree" "$far/scp"
	far_scp -rp "$user@$host:$far/scp" "$work/tree.back"
	same_tree "$work/tree" "$work/tree.back"
	rm -r "$work/tree.back"
}

tar_tree()
{
	mkdir "$work/untar"
	tar -C "$work" -cf - tree |
		far_shell "mkdir $far/tar && tar -C $far/tar -xf -"
	far_same_tree "$work/tree" "$far/tar/tree"
	far_shell "tar -C $far/tar -cf - tree" | tar -C "$work/untar" -xf -
	same_tree "$work/tree" "$work/untar/tree"
	rm -r "$work/untar"
}

rsync_tree()
{
	far_rsync "$work/tree/" "$user@$host:$far/rsync"
	far_same_tree "$work/tree" "$far/rsync"
	far_rsync "$user@$host:$far/rsync/" "$work/tree.back"
	same_tree "$work/tree" "$work/tree.back"
	rm -r "$work/tree.back"
}

make_work()
{
	local i

	head -c "${KSSH_DEMO_MIB}M" /dev/urandom >"$work/file"
	mkdir "$work/tree"
	cp -r /usr/include/linux /usr/include/openssl "$work/tree"
	for i in "a b" é; do
		mkdir "$work/tree/$i"
		head -c $((1 + RANDOM * 40)) /dev/urandom >"$work/tree/$i/$i"
	done
	: >"$work/tree/empty"
}

describe_work()
{
	printf '%d MiB in one file, %d files of %d KiB in a tree' \
		"$KSSH_DEMO_MIB" "$(find "$work/tree" -type f | wc -l)" \
		"$(du -sk "$work/tree" | cut -f1)"
}

transfers()
{
	local mib=$KSSH_DEMO_MIB

	client_options
	step "mkdir over ssh" far_shell "mkdir $far"
	step "sftp put, get: $mib MiB" sftp_file
	step "sftp put -R, get -R: tree" sftp_tree
	step "scp there and back: $mib MiB" scp_file -s
	step "scp -O there and back: $mib MiB" scp_file -O
	step "scp -rp there and back: tree" scp_tree
	step "tar | ssh tar, ssh tar | tar: tree" tar_tree
	step "rsync -a there and back: tree" rsync_tree
	step "clean up over ssh" far_shell "rm -r $far"
}

## In the guest: the server, and a client beside it.

stat_of()
{
	awk -v name="$1" '$1 == name { print $2 }' /proc/net/kssh_stat
}

start_server()
{
	useradd -m -s /bin/bash -p '*' $user
	mkdir -m 700 /home/$user/.ssh
	ssh-keygen -q -t ed25519 -N '' -C kssh-demo -f "$keys/id"
	ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
	cp "$keys/id.pub" /home/$user/.ssh/authorized_keys
	chown -R $user: /home/$user/.ssh
	echo "kssh-demo $(cat /etc/ssh/ssh_host_ed25519_key.pub)" \
		>"$keys/known_hosts"
	cat >/etc/ssh/ksshd_config <<-END
		Port 22
		RekeyLimit $limit
		DataPath kernel
		LogLevel VERBOSE
		Subsystem sftp internal-sftp
	END
	"$KSSH_BUILD/ksshd" -t
	"$KSSH_BUILD/ksshd" -D -e 2>/tmp/ksshd.log &
	server=$!
	for _ in {1..100}; do
		(: <>/dev/tcp/127.0.0.1/22) 2>/dev/null && return
		sleep 0.1
	done
	cat /tmp/ksshd.log
	return 1
}

# What the kernel did: from its counters and the server's log.
show_kernel()
{
	local name

	echo "Data path of each connection, as ksshd logged it:"
	grep -o 'data path .*' /tmp/ksshd.log | sed -E 's/ port [0-9]+//' |
		sort | uniq -c
	echo "/proc/net/kssh_stat:"
	for name in Conns Channels TxBytes RxBytes TxChannelBytes \
		RxChannelBytes TxPackets RxPackets Rekeys BadMac Protocol; do
		printf '  %-20s %14d\n' "Kssh$name" "$(stat_of "Kssh$name")"
	done
}

# Each of the file's eight trips was the kernel's, and keys changed often.
check_kernel()
{
	local bytes=$((KSSH_DEMO_MIB * 1048576)) dir

	if grep 'data path user' /tmp/ksshd.log; then
		echo "not all went through the kernel"
		return 1
	fi
	for dir in TxChannelBytes RxChannelBytes; do
		[ "$(stat_of "Kssh$dir")" -ge $((bytes * 6)) ] || {
			echo "Kssh$dir: less than was moved"
			return 1
		}
	done
	[ "$KSSH_DEMO_MIB" -lt 16 ] ||
		[ "$(stat_of KsshRekeys)" -ge $((KSSH_DEMO_MIB / 4)) ] || {
		echo "KsshRekeys: RekeyLimit $limit was not kept"
		return 1
	}
}

guest()
{
	where=guest host=127.0.0.1 port=22 keys=/share/keys work=/tmp/demo
	mkdir "$keys" "$work"
	echo "Linux $(uname -r), $(tr -d '\0' </sys/class/dmi/id/sys_vendor
		), kssh.ko loaded: $(grep -c '^kssh ' /proc/modules)"
	start_server
	make_work
	echo "guest: $(describe_work); $(ssh -V 2>&1)"
	transfers
	echo "${first_failure:-ready}" >/share/guest.tmp
	mv /share/guest.tmp /share/guest
	[ -n "$first_failure" ] || until [ -e /share/outside ]; do
		sleep 0.2
	done
	[ -n "$first_failure" ] || first_failure=$(cat /share/outside)
	show_kernel
	[ -n "$first_failure" ] || step "all of it through the kernel" \
		check_kernel
	kill $server
	echo "$first_failure" >/share/end
}

## Outside: the VM, and a client beyond the forwarded port.

free_port()
{
	local p

	for p in $(shuf -i 20000-32000 -n 20); do
		(: <>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || break
	done
	echo "$p"
}

outside()
{
	local vm

	where=host host=127.0.0.1 port=$(free_port)
	share=$(mktemp -d "$top/build/root/demo.XXXXXX")
	trap 'rm -rf "$share"' EXIT
	keys=$share/keys work=$share/work
	mkdir "$work"
	tests/vm/run --kernel "$kernel" --timeout 3000 --mem 3G \
		--ssh-port "$port" --share "$share" "${options[@]}" -- \
		tests/vm/demo.sh --guest &
	vm=$!
	while kill -0 $vm 2>/dev/null && ! [ -e "$share/guest" ]; do
		sleep 0.2
	done
	if [ "$(cat "$share/guest" 2>/dev/null)" = ready ]; then
		make_work
		echo "host: $(describe_work); $(ssh -V 2>&1)"
		transfers
		echo "$first_failure" >"$share/outside.tmp"
		mv "$share/outside.tmp" "$share/outside"
	fi
	wait $vm || first_failure="the VM: see above"
	[ ! -s "$share/end" ] || first_failure=$(cat "$share/end")
	[ -e "$share/end" ] || : "${first_failure:=the VM: no end}"
	[ -z "$first_failure" ] || {
		echo "FAILED: $first_failure"
		exit 1
	}
	echo OK
}

if [ "${1:-}" = --guest ]; then
	guest
	exit
fi
kernel=6.12 options=()
while [ $# -gt 0 ]; do
	case $1 in
	-k) kernel=$2; shift ;;
	-m) export KSSH_DEMO_MIB=$2; shift ;;
	--tcg) options+=(--tcg) ;;
	-h | --help) usage; exit ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
if [ -z "${KSSH_IN_ROOT:-}" ]; then
	export KSSH_DEMO_MIB
	exec "$vm_dir/inroot" tests/vm/demo.sh -k "$kernel" "${options[@]}"
fi
cd "$top"
say BUILD "ksshd, build/root"
make -s -j"$(nproc)" BUILD=build/root
outside
