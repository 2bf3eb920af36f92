#!/bin/bash
# SPDX-License-Identifier: MIT
#
# How much of what TCP could do does one upload channel reach, over a long way?
# netem delays the loopback of the VM; with -icount its clock is virtual, and
# the machine's pace does not matter:
#
#   tests/vm/run --icount --timeout 3000 -- bench/rtt.sh
#
# Each server takes `ssh host 'cat >/dev/null' <file`, the time of an empty file
# (the login) taken off; "tcp" is the same over a plain connection. One JSON
# object a line.
usage() {
	cat <<-END
	usage: rtt.sh [-m MIB] [-r RTTS] [-b MBIT] [-s SERVERS] [-c CIPHER]

	  -m MIB      size of the file (128)
	  -r RTTS     round trips in ms (0,20,100,300)
	  -b MBIT     the line's rate, megabits a second; without one the CPU,
	              which encrypts for both ends, is the limit where it is near
	  -s SERVERS  (tcp,openssh,kssh-user,kssh-kernel)
	  -c CIPHER   as ssh names it (aes128-gcm@openssh.com)
	END
}
set -eu

mib=128 rtts=0,20,100,300 servers=tcp,openssh,kssh-user,kssh-kernel
cipher=aes128-gcm@openssh.com mbit=0 line=()
while getopts m:r:b:s:c:h opt; do
	case $opt in
	m) mib=$OPTARG ;;
	r) rtts=$OPTARG ;;
	b) mbit=$OPTARG line=(rate "${OPTARG}mbit") ;;
	s) servers=$OPTARG ;;
	c) cipher=$OPTARG ;;
	h) usage; exit ;;
	*) usage >&2; exit 2 ;;
	esac
done
build=${KSSH_BUILD:-build/root}
port=2298
dir=$(mktemp -d /tmp/rtt.XXXXXX)
server_pid=

die() {
	echo "rtt: $*" >&2
	exit 1
}

stop_server() {
	[ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null || true
	[ -z "$server_pid" ] || wait "$server_pid" 2>/dev/null || true
	server_pid=
}

cleanup() {
	stop_server
	tc qdisc del dev lo root 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT

prepare() {
	# It is the receiver that is measured: the sender's buffer is no limit.
	echo 4096 16384 $((64 << 20)) >/proc/sys/net/ipv4/tcp_wmem
	modprobe sch_netem || die "no sch_netem"
	chmod 755 "$dir"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/user"
	mkdir -p ~/.ssh /run/sshd
	chmod 700 ~/.ssh
	cat "$dir/user.pub" >>~/.ssh/authorized_keys
	chmod 600 ~/.ssh/authorized_keys
	head -c "${mib}M" /dev/zero >"$dir/file"
	: >"$dir/empty"
	printf '%s\n' "Port $port" "ListenAddress 127.0.0.1" \
		"HostKey $dir/host" >"$dir/conf"
}

# A server that reads to the end and says so.
tcp_server() {
	exec python3 -c '
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    conn, _ = server.accept()
    while conn.recv(1 << 18):
        pass
    conn.send(b"x")
    conn.close()' $port
}

start_server() {
	case $1 in
	tcp) tcp_server & ;;
	openssh)
		/usr/sbin/sshd -D -e -f "$dir/conf" -o PermitRootLogin=yes \
			-o UsePAM=no 2>"$dir/log" &
		;;
	kssh-*)
		"$build/ksshd" -D -e -f "$dir/conf" \
			-o "DataPath=${1#kssh-}" 2>"$dir/log" &
		;;
	*) die "unknown server $1" ;;
	esac
	server_pid=$!
	for _ in $(seq 200); do
		if (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			return
		fi
		sleep 0.1
	done
	die "no server on port $port"
}

upload() {
	if [ "$1" = tcp ]; then
		python3 -c '
import socket, sys
conn = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
with open(sys.argv[2], "rb") as file:
    while data := file.read(32768):
        conn.sendall(data)
conn.shutdown(socket.SHUT_WR)
conn.recv(1)' $port "$2"
	else
		ssh -F /dev/null -i "$dir/user" -o IdentitiesOnly=yes \
			-o StrictHostKeyChecking=no -o LogLevel=ERROR \
			-o UserKnownHostsFile=/dev/null -o Ciphers="$cipher" \
			-p $port root@127.0.0.1 'cat >/dev/null' <"$2"
	fi
}

# Milliseconds of an upload.
elapsed() {
	local begun

	begun=$(date +%s%N)
	upload "$1" "$2"
	echo $((($(date +%s%N) - begun) / 1000000))
}

# The login: the middle one of five uploads of nothing.
login_ms() {
	for _ in 1 2 3 4 5; do
		elapsed "$1" "$dir/empty"
	done | sort -n | sed -n 3p
}

prepare
printf '{"bench": "rtt", "kernel": "%s", "date": "%s", "openssh": "%s", ' \
	"$(uname -r)" "$(date -u +%F)" "$(ssh -V 2>&1 | cut -d, -f1)"
printf '"cipher": "%s", "mbit": %d}\n' "$cipher" "$mbit"
python3 -c "import socket"
for rtt in ${rtts//,/ }; do
	tcp_rate=
	for server in ${servers//,/ }; do
		start_server "$server"
		tc qdisc replace dev lo root netem limit 100000 \
			delay "$((rtt * 500))us" "${line[@]}"
		# what is read for the first time is waited for
		upload "$server" "$dir/empty"
		login=$(login_ms "$server")
		all=$(elapsed "$server" "$dir/file")
		tc qdisc del dev lo root
		stop_server
		rate=$((mib * 1000000 / (all - login + 1)))
		[ "$server" != tcp ] || tcp_rate=$rate
		awk -v server="$server" -v rtt="$rtt" -v ms=$((all - login)) \
			-v mib="$mib" -v rate=$rate -v tcp="${tcp_rate:-0}" '
		BEGIN {
			printf "{\"server\": \"%s\", \"rtt_ms\": %d, ", server, rtt
			printf "\"mib\": %d, \"ms\": %d, ", mib, ms
			printf "\"mib_per_s\": %.2f", rate / 1000
			if (tcp)
				printf ", \"of_tcp\": %.3f", rate / tcp
			print "}"
		}'
	done
done
