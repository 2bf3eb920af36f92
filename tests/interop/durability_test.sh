#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What a client was told to be on the disk is there after a power cut: sftp's
# put -f, rsync --fsync, dd conv=fsync. A VM stores to a disk and is killed as
# soon as the clients have returned; another VM mounts that disk.
#
# The guest writes nothing back by itself, so what nobody asked to be flushed is
# lost. What the guest has given to the disk stays, flushed or not: this does
# not find a flush of the disk's own cache that is missing.

set -u
cd "$(dirname "$0")/../.." || exit 1

user=durable
declare -A ports=([kernel]=22 [user]=2022)	# of the guest

## In the guest

mount_disk()
{
	modprobe -a virtio_blk ext4 && mkdir /disk && mount "$@" /dev/vda /disk
}

# start PATH
start()
{
	cat >"/etc/ssh/$1" <<-END
		Port ${ports[$1]}
		DataPath $1
		PidFile none
		HostKey /share/host
		Subsystem sftp internal-sftp
	END
	"$KSSH_BUILD/ksshd" -D -e -f "/etc/ssh/$1" &
	until (: <>"/dev/tcp/127.0.0.1/${ports[$1]}") 2>/dev/null; do
		sleep 0.1
	done
}

store()
{
	# Nothing of what is to be lost must be written in passing.
	echo 0 >/proc/sys/vm/dirty_writeback_centisecs
	mount_disk -o commit=1000,noauto_da_alloc || exit
	useradd -d /disk/home -m -s /bin/bash -p '*' $user
	mkdir -m 700 /disk/home/.ssh
	cp /share/id.pub /disk/home/.ssh/authorized_keys
	chown -R $user: /disk/home
	start kernel
	start user
	sync
	touch /share/ready
	sleep infinity
}

check()
{
	mount_disk || exit
	(cd /disk/home && find . -type f ! -path './.*' -exec sha256sum {} +) \
		>/share/sums
	umount /disk
}

case ${1:-} in
--store) store; exit ;;
--check) check; exit ;;
esac

## Outside

n=0 bad=0 vm=''
echo "TAP version 13"
if [ -n "${KSSH_VM:-}" ] || ! command -v mkfs.ext4 >/dev/null; then
	echo "1..0 # SKIP needs mkfs.ext4, and to run VMs"
	exit
fi
# A VM's ksshd is the plain one.
export KSSH_BUILD=build/root
mkdir -p $KSSH_BUILD
share=$(mktemp -d "$PWD/$KSSH_BUILD/durability.XXXXXX")
near=$share/near

kill_vm()
{
	kill -KILL "$(cat "$share/pid")"
	wait "$vm"
	vm=''
}

cleanup()
{
	[ -z "$vm" ] || kill_vm 2>/dev/null
	rm -rf "$share"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# check_ok WHAT COMMAND...
check_ok()
{
	local what=$1

	shift
	if "$@" >"$share/log" 2>&1; then
		echo "ok $((n += 1)) - $what"
	else
		tail -n 20 "$share/log" | sed 's/^/# /'
		echo "not ok $((n += 1)) - $what"
		bad=1
	fi
}

free_port()
{
	local p

	for p in $(shuf -i 20000-32000 -n 20); do
		(: <>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || break
	done
	echo "$p"
}

# boot WHAT OPTION...
boot()
{
	tests/vm/run --timeout 600 --disk "$share/disk" --share "$share" \
		"${@:2}" -- tests/interop/durability_test.sh "$1"
}

prepare()
{
	local i

	make -s -j"$(nproc)" BUILD=$KSSH_BUILD &&
		truncate -s 128M "$share/disk" &&
		mkfs.ext4 -q "$share/disk" &&
		ssh-keygen -q -t ed25519 -N '' -f "$share/host" &&
		ssh-keygen -q -t ed25519 -N '' -f "$share/id" &&
		mkdir -p "$near/tree/deeper" || return
	sed 's/^/durable /' "$share/host.pub" >"$share/known_hosts"
	head -c 8000001 /dev/urandom >"$near/big"
	head -c 100 /dev/urandom >"$near/little"
	for ((i = 0; i < 20; i++)); do
		head -c $((RANDOM * 2)) /dev/urandom >"$near/tree/$i"
		cp "$near/tree/$i" "$near/tree/deeper/$i"
	done
}

start_vm()
{
	boot --store --pid-file "$share/pid" \
		--forward "$kernel:${ports[kernel]}" \
		--forward "$user_port:${ports[user]}" >"$share/vm.log" 2>&1 &
	vm=$!
	until [ -e "$share/ready" ]; do
		kill -0 "$vm" || { cat "$share/vm.log"; return 1; }
		sleep 0.2
	done
}

far_sftp()
{
	timeout 300 sftp -b - "${opts[@]}" -P "$1" "$user@127.0.0.1"
}

far_ssh()
{
	timeout 300 ssh "${opts[@]}" -p "$1" "$user@127.0.0.1" "${@:2}"
}

# What is written over must not come back.
put()
{
	far_sftp "$2" <<-END
		mkdir $1
		put $near/little $1/over
		put -f $near/big $1/over
		put -f $near/little $1/little
		mkdir $1/tree
		put -f -R $near/tree $1
	END
}

run_dd()
{
	far_ssh "$2" "dd of=$1/dd conv=fsync bs=64k" <"$near/big"
}

run_rsync()
{
	timeout 300 rsync --fsync -e "ssh ${opts[*]} -p $2" "$near/big" \
		"$user@127.0.0.1:$1/rsync"
}

# Nobody asks for this to be flushed.
put_unsafe()
{
	far_sftp "$2" <<<"put $near/big $1/unsafe"
}

# survived PATH NAME NEAR
survived()
{
	grep -qxF "$(sha256sum <"$3" | cut -d' ' -f1)  ./$1/$2" "$share/sums"
}

tree_survived()
{
	local file

	while read -r file; do
		survived "$1" "tree/$file" "$near/tree/$file" ||
			{ echo "$file"; return 1; }
	done < <(cd "$near/tree" && find . -type f -printf '%P\n')
}

# The journal was not closed: nothing was unmounted in order.
was_cut_off()
{
	dumpe2fs -h "$share/disk" | grep needs_recovery
}

kernel=$(free_port) user_port=$(free_port)
opts=(-F /dev/null -i "$share/id" -o BatchMode=yes -o IdentitiesOnly=yes
	-o "UserKnownHostsFile=$share/known_hosts" -o HostKeyAlias=durable
	-o ConnectTimeout=60 -o LogLevel=ERROR)
check_ok prepares prepare
check_ok starts start_vm
if [ $bad = 0 ]; then
	for path in kernel user; do
		port=$kernel
		[ $path = kernel ] || port=$user_port
		check_ok "puts by $path" put $path "$port"
		check_ok "writes by dd by $path" run_dd $path "$port"
		check_ok "writes by rsync by $path" run_rsync $path "$port"
	done
	check_ok "puts what may be lost" put_unsafe user "$user_port"
	check_ok "puts one more" far_sftp "$kernel" \
		<<<"put -f $near/little kernel/last"
	kill_vm
	check_ok cut_off was_cut_off
	check_ok "mounts again" boot --check --bare
	for path in kernel user; do
		for name in over dd rsync; do
			check_ok "$path: $name survived" survived $path \
				$name "$near/big"
		done
		check_ok "$path: little survived" survived $path little \
			"$near/little"
		check_ok "$path: tree survived" tree_survived $path
	done
	check_ok "last survived" survived kernel last "$near/little"
	if survived user unsafe "$near/big"; then
		echo "# what nobody asked to be flushed was kept"
	else
		echo "# what nobody asked to be flushed was lost"
	fi
fi
echo "1..$n"
exit $bad
