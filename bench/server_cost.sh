#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What does a byte cost the server? Instructions per byte (user and kernel) of
# sftp get, sftp put and exec cat, for each server and data path, with the
# stock OpenSSH client. To be run in the VM with -icount, where a nanosecond of
# CPU time is one instruction:
#
#   tests/vm/run --icount -- bench/server_cost.sh
#
# A server's cost is the CPU time of its cgroup and that of kernel threads
# (workqueues) meanwhile, less the same for an empty file (the login).
#
# Prints one JSON object a line; with -p also one for each function, with the
# part of it that kernel threads have.
usage() {
	cat <<-END
	usage: server_cost.sh [-m MIB] [-c CIPHER] [-s SERVERS] [-w WHAT]
	                      [-r REPEAT] [-p N]

	  -m MIB      size of the file (64)
	  -c CIPHER   as ssh names it (aes128-gcm@openssh.com)
	  -s SERVERS  (openssh,kssh-user,kssh-kernel); kssh-direct is the
	              kernel path with ExecStdio direct
	  -w WHAT     (get,put,cat)
	  -r REPEAT   each so many times (1)
	  -p N        the N functions of the server that cost most
	END
}
set -eu

mib=64 cipher=aes128-gcm@openssh.com repeat=1 top=''
servers=openssh,kssh-user,kssh-kernel ops=get,put,cat
build=${KSSH_BUILD:-build/root}
while getopts m:c:s:w:r:p:h opt; do
	case $opt in
	m) mib=$OPTARG ;;
	c) cipher=$OPTARG ;;
	s) servers=$OPTARG ;;
	w) ops=$OPTARG ;;
	r) repeat=$OPTARG ;;
	p) top=$OPTARG ;;
	h) usage; exit ;;
	*) usage >&2; exit 2 ;;
	esac
done
port=2299
dir=$(mktemp -d /tmp/cost.XXXXXX)
cg=/sys/fs/cgroup
server_pid=

die() {
	echo "server_cost: $*" >&2
	exit 1
}

stop_server() {
	[ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null || true
	[ -z "$server_pid" ] || wait "$server_pid" 2>/dev/null || true
	server_pid=
}

cleanup() {
	stop_server
	rm -rf "$dir"
}
trap cleanup EXIT

prepare() {
	[ -e $cg/cgroup.controllers ] || mount -t cgroup2 none $cg ||
		die "no cgroup2"
	echo +cpu >$cg/cgroup.subtree_control
	mkdir -p $cg/server
	chmod 755 "$dir"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/user"
	mkdir -p ~/.ssh
	chmod 700 ~/.ssh
	cat "$dir/user.pub" >>~/.ssh/authorized_keys
	chmod 600 ~/.ssh/authorized_keys
	head -c "${mib}M" /dev/urandom >"$dir/file"
	: >"$dir/empty"
	mkdir -p /run/sshd
	{
		echo "Port $port"
		echo "ListenAddress 127.0.0.1"
		echo "HostKey $dir/host"
		echo "Subsystem sftp internal-sftp"
	} >"$dir/conf"
}

start_server() {
	local path

	case $1 in
	openssh)
		{
			cat "$dir/conf"
			echo "PermitRootLogin yes"
			echo "UsePAM no"
		} >"$dir/conf.openssh"
		set -- /usr/sbin/sshd -D -e -f "$dir/conf.openssh"
		;;
	kssh-direct)
		set -- "$build/ksshd" -D -e -f "$dir/conf" -o DataPath=kernel \
			-o ExecStdio=direct
		;;
	kssh-*)
		path=${1#kssh-}
		set -- "$build/ksshd" -D -e -f "$dir/conf" -o "DataPath=$path"
		;;
	*) die "unknown server $1" ;;
	esac
	bash -c 'echo $$ >'$cg'/server/cgroup.procs; exec "$@"' server "$@" \
		2>"$dir/log" &
	server_pid=$!
	for _ in $(seq 200); do
		if (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			return
		fi
		sleep 0.1
	done
	cat "$dir/log" >&2
	die "no server on port $port"
}

ssh_opts=(-F /dev/null -i "$dir/user" -o IdentitiesOnly=yes
	-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
	-o LogLevel=ERROR -o "Ciphers=$cipher")

# Run time of all kernel threads, ns.
kthreads() {
	local sum=0 pid stat ns

	for pid in /proc/[0-9]*; do
		read -r stat 2>/dev/null <"$pid/stat" || continue
		# kernel threads: children of kthreadd
		stat=${stat##*) }
		[ "$(cut -d' ' -f2 <<<"$stat")" = 2 ] || continue
		read -r ns _ 2>/dev/null <"$pid/schedstat" || continue
		sum=$((sum + ns))
	done
	echo $sum
}

server_ns() {
	echo $(($(sed -n 's/^usage_usec //p' $cg/server/cpu.stat) * 1000))
}

# One transfer of file $2, which is $dir/file or $dir/empty.
transfer() {
	case $1 in
	get)
		echo "get $2 $dir/got" |
			sftp -q "${ssh_opts[@]}" -P $port -b - root@127.0.0.1 \
				>/dev/null
		;;
	put)
		echo "put $2 $dir/got" |
			sftp -q "${ssh_opts[@]}" -P $port -b - root@127.0.0.1 \
				>/dev/null
		;;
	cat)
		ssh "${ssh_opts[@]}" -p $port root@127.0.0.1 "cat $2" \
			>"$dir/got"
		;;
	esac
	cmp -s "$2" "$dir/got" || die "$1 of $2: the copy differs"
	rm -f "$dir/got"
}

# ns of the server for a transfer
cost() {
	local s0 k0 s1 k1

	k0=$(kthreads)
	s0=$(server_ns)
	transfer "$1" "$2"
	# The last of it may still be ending.
	sleep 0.3
	s1=$(server_ns)
	k1=$(kthreads)
	echo $((s1 - s0)) $((k1 - k0))
}

measure() {
	local what=$1 server=$2 s k s0 k0 bytes=$((mib * 1048576))

	transfer "$what" "$dir/empty"
	read -r s0 k0 <<<"$(cost "$what" "$dir/empty")"
	read -r s k <<<"$(cost "$what" "$dir/file")"
	awk -v what="$what" -v server="$server" -v cipher="$cipher" \
		-v bytes=$bytes -v s="$s" -v k="$k" -v s0="$s0" -v k0="$k0" '
	BEGIN {
		printf "{\"server\": \"%s\", \"what\": \"%s\", ", server, what
		printf "\"cipher\": \"%s\", \"bytes\": %d, ", cipher, bytes
		printf "\"ins_per_byte\": %.3f, ", (s + k - s0 - k0) / bytes
		printf "\"process\": %.3f, ", (s - s0) / bytes
		printf "\"kthreads\": %.3f, ", (k - k0) / bytes
		printf "\"login_ins\": %d}\n", s0 + k0
	}'
}

# Where it goes: samples of the guest's clock, which is instructions, in the
# server's processes and in kernel threads; login and all. A prime, so as not
# to keep step with anything.
period=10007
profile() {
	local recorder

	echo 0 >/proc/sys/kernel/kptr_restrict
	rm -f "$dir/ctl" "$dir/ack"
	mkfifo "$dir/ctl" "$dir/ack"
	perf record -q -a -e cpu-clock -c $period -o "$dir/data" --delay=-1 \
		--control="fifo:$dir/ctl,$dir/ack" -- sleep 1000 \
		2>"$dir/perf" &
	recorder=$!
	exec 8>"$dir/ctl" 9<"$dir/ack"
	echo enable >&8
	read -r _ <&9
	transfer "$1" "$dir/file"
	echo stop >&8
	read -r _ <&9
	wait $recorder || true
	exec 8>&- 9<&-
	perf report -i "$dir/data" --stdio -q --sort comm,dso,symbol \
		-F sample,comm,dso,symbol -t '|' 2>/dev/null |
		awk -F'|' -v bytes=$((mib * 1048576)) -v period=$period '
		{ gsub(/ /, "", $2); gsub(/ /, "", $3) }
		$2 ~ /^(k?sshd-session|sftp-server|cat|k|rcu)/ {
			gsub(/^ *\[.\] | /, "", $4)
			# without a name: the library
			if ($4 ~ /^0x/)
				$4 = $3
			i = $1 * period / bytes
			fn[$4] += i
			if ($2 ~ /^(kworker|ksoft|kth|rcu)/)
				kernel[$4] += i
		}
		END {
			for (f in fn)
				printf "%.4f %.4f %s\n", fn[f], kernel[f], f
		}' | sort -rn | head -n "$top" | while read -r all threads fn; do
			printf '{"server": "%s", "what": "%s", ' "$2" "$1"
			printf '"cipher": "%s", "function": "%s", ' "$cipher" "$fn"
			printf '"of_it": %s, "of_kthreads": %s}\n' "$all" "$threads"
		done
}

prepare
printf '{"bench": "server", "kernel": "%s", "cpu": "%s", "date": "%s", ' \
	"$(uname -r)" "$(sed -n 's/^model name[^:]*: *//p;T;q' /proc/cpuinfo)" \
	"$(date -u +%F)"
printf '"openssh": "%s", "mib": %d, "unit": "instructions per byte"}\n' \
	"$(ssh -V 2>&1 | cut -d, -f1)" "$mib"
for server in ${servers//,/ }; do
	start_server "$server"
	for what in ${ops//,/ }; do
		for _ in $(seq "$repeat"); do
			measure "$what" "$server"
		done
		[ -z "$top" ] || profile "$what" "$server"
	done
	case $server in
	kssh-*)
		path=${server#kssh-}
		grep -q "data path ${path/direct/kernel}" "$dir/log" ||
			die "$server did not take its path: $(cat "$dir/log")"
		;;
	esac
	stop_server
done
