# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the tests of this folder share: a server, clients, TAP. Sourced, not run.
#
#	#!/bin/bash
#	. "$(dirname "$0")/lib.sh"
#	test_says_hello() { tap_is "$(ksh_ssh echo hello)" hello; }
#	tap_run "$@"
#
# Each function test_NAME is a test, each call of tap_* in it an assertion.
# What the environment may say:
#
#	KSSH_PATH	kernel or user: the data path that is tested
#	KSSH_BUILD	where ksshd is (build)
#	KSSH_HEAVY	0: leave out what takes long; 1: all. Default: all, but not
#			under emulation
#	KSSH_SSHD	a stock sshd to test instead, to check the tests
#	KSSH_KEEP	keep the scratch folder

set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
KSSH_PATH=${KSSH_PATH:-user}
KSSH_BUILD=${KSSH_BUILD:-build}
case $KSSH_BUILD in
/*) ;;
*) KSSH_BUILD=$top/$KSSH_BUILD ;;
esac
export KSSH_PATH KSSH_BUILD

# A network and files of our own: nothing outside is reached or changed. In a
# VM all is our own anyway.
if [ "$(id -u)" = 0 ] && [ -z "${KSSH_TEST_NS:-}" ]; then
	export KSSH_TEST_NS=1
	# In a chroot / need not be a mount; who made it has made it private.
	ns=(--mount --propagation private)
	unshare "${ns[@]}" true 2>/dev/null ||
		ns=(--mount --propagation unchanged)
	[ -n "${KSSH_VM:-}" ] || ns+=(--net)
	exec unshare "${ns[@]}" "${BASH:-bash}" "$0" "$@"
fi
[ "$(id -u)" != 0 ] || ip link set lo up

tcg=0
if grep -q 'QEMU TCG' /proc/cpuinfo 2>/dev/null; then
	tcg=1
fi
heavy=${KSSH_HEAVY:-$((!tcg))}
export KSSH_TCG=$tcg
# How much is transferred where much is to be transferred.
mib=$((tcg ? 8 : 64))

# A guard against hanging, in seconds.
hang=$((tcg ? 300 : 60))

## TAP

tap_failed=0
tap_skip=''
tap_bad=0

tap_note()
{
	printf '%s\n' "$*" | cut -c1-300 | sed 's/^/# /'
}

tap_fail()
{
	tap_failed=1
	tap_note "$*"
}

# tap_ok WHAT CMD...: the command succeeds
tap_ok()
{
	local what=$1 out rc=0

	shift
	out=$("$@" 2>&1) || rc=$?
	[ "$rc" = 0 ] && return 0
	tap_fail "$what: status $rc"
	[ -z "$out" ] || tap_note "$(tail -n 5 <<<"$out")"
	return 1
}

# tap_is GOT WANT [WHAT]
tap_is()
{
	[ "$1" = "$2" ] && return 0
	tap_fail "${3:-value}: got '$1', want '$2'"
	return 1
}

# tap_has TEXT PATTERN [WHAT]: the text has a line that the ERE matches
tap_has()
{
	grep -Eq -- "$2" <<<"$1" && return 0
	tap_fail "${3:-text}: no '$2' in: $(head -n 5 <<<"$1")"
	return 1
}

# tap_lacks TEXT PATTERN [WHAT]
tap_lacks()
{
	grep -Eq -- "$2" <<<"$1" || return 0
	tap_fail "${3:-text}: '$2' in: $(grep -E -- "$2" <<<"$1" | head -n 3)"
	return 1
}

# tap_same FILE FILE
tap_same()
{
	cmp -s "$1" "$2" && return 0
	tap_fail "$1 and $2 differ: $(cmp "$1" "$2" 2>&1)"
	return 1
}

# tap_skip REASON: for a test to return with
tap_skip()
{
	tap_skip=$1
	return 0
}

# Wait until the command succeeds; the time is no assertion, only a guard.
wait_until()
{
	local left=$((hang * 20))

	until "$@"; do
		[ $((left -= 1)) -gt 0 ] || return 1
		sleep 0.05
	done
}

tap_one()
{
	local name=$1 number=$2 mark start=$SECONDS

	tap_failed=0 tap_skip=''
	mark=$(log_mark)
	"test_$name" </dev/null
	server_settled || tap_fail "the server is not as it was: $why"
	[ $((SECONDS - start)) -lt 3 ] ||
		tap_note "$name: $((SECONDS - start)) s"
	if [ "$tap_failed" != 0 ]; then
		tap_note "log:"
		log_since "$mark" | tail -n "${KSSH_LOG_TAIL:-8}" |
			cut -c1-200 | sed 's/^/#   /'
		echo "not ok $number - $name"
		tap_bad=1
	elif [ -n "$tap_skip" ]; then
		echo "ok $number - $name # SKIP $tap_skip"
	else
		echo "ok $number - $name"
	fi
}

# tap_select [[-r] PATTERN...]: tests of these names, or all, in their order
tap_select()
{
	local name pattern
	local -a patterns=()

	for pattern; do
		[ "$pattern" = -r ] || patterns+=("$pattern")
	done
	while read -r name; do
		for pattern in "${patterns[@]:-*}"; do
			# shellcheck disable=SC2053 # it is a pattern
			[[ $name != $pattern ]] || { echo "$name"; break; }
		done
	done < <(sed -n 's/^test_\([a-z0-9_]*\)()$/\1/p' "$0")
}

# tap_run [[-r] PATTERN...]: the tests of these names, or all in their order
tap_run()
{
	local -a names
	local name n=0

	mapfile -t names < <(tap_select "$@")
	[ ${#names[@]} -gt 0 ] || { echo "Bail out! no such test"; exit 2; }
	echo "TAP version 13"
	if [ "$KSSH_PATH" = kernel ] && [ ! -e /proc/net/kssh_stat ]; then
		echo "1..0 # SKIP no module"
		exit 0
	fi
	echo "1..$((${#names[@]} + 1))"
	for name in "${names[@]}"; do
		tap_one "$name" $((n += 1))
	done
	tap_failed=0
	server_stop
	if [ "$tap_failed" != 0 ]; then
		echo "not ok $((n + 1)) - leaves_nothing_behind"
		tap_bad=1
	else
		echo "ok $((n + 1)) - leaves_nothing_behind"
	fi
	exit $tap_bad
}

## Scratch folder, users, keys

scratch=$(mktemp -d /tmp/kssh-test.XXXXXX)
chmod 755 "$scratch"
home=$scratch/home
mkdir "$home" "$home/.ssh" "$scratch/etc"

cleanup()
{
	trap - EXIT INT TERM
	server_kill
	if [ -n "${KSSH_KEEP:-}" ]; then
		echo "# kept: $scratch"
	else
		chmod -R u+rwX "$scratch" 2>/dev/null
		rm -rf "$scratch"
	fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A user of our own, in files that only we see.
make_user()
{
	local file

	for file in passwd shadow group; do
		cp -p "/etc/$file" "$scratch/etc/$file"
	done
	echo "kssh-test:x:7001:7001:test:$home:/bin/bash" >>"$scratch/etc/passwd"
	echo "kssh-test:*:20000:0:99999:7:::" >>"$scratch/etc/shadow"
	echo "kssh-test:x:7001:" >>"$scratch/etc/group"
	for file in passwd shadow group; do
		mount --bind "$scratch/etc/$file" "/etc/$file"
	done
	user=kssh-test
	chown -R 7001:7001 "$home"
}

if [ "$(id -u)" = 0 ]; then
	make_user
else
	user=$(id -un)
fi

# Our command's environment must not leak into what is tested.
unset SSH_AUTH_SOCK DISPLAY
export HOME="$scratch/client"
mkdir -p "$HOME/.ssh"
chmod 700 "$HOME/.ssh"

new_key()
{
	ssh-keygen -q -t "$1" ${3:+-b "$3"} -N '' -C '' -f "$2"
}

make_keys()
{
	new_key ed25519 "$scratch/host_ed25519"
	new_key ecdsa "$scratch/host_ecdsa" 256
	if [ "$tcg" = 0 ]; then
		new_key rsa "$scratch/host_rsa" 3072
	else
		new_key rsa "$scratch/host_rsa" 2048
	fi
	new_key ed25519 "$scratch/id"
	cp "$scratch/id.pub" "$home/.ssh/authorized_keys"
	[ "$(id -u)" != 0 ] || chown 7001:7001 "$home/.ssh/authorized_keys"
	chmod 700 "$home/.ssh"
	cat "$scratch"/host_*.pub | sed 's/^/* /' >"$scratch/known_hosts"
}
make_keys

## The server

server_pid=''
server_log=''
server_n=0
start_conns=0
logged=0
port=0
spare=()	# "pid log processes descriptors" of other servers

# Match blocks, for the end of the configuration.
match=()

# conf_write FILE PORT LINE...: our lines first, they win
conf_write()
{
	local file=$1 at=$2 key

	shift 2
	{
		printf '%s\n' "$@"
		echo "ListenAddress 127.0.0.1:$at"
		for key in ed25519 ecdsa rsa; do
			echo "HostKey $scratch/host_$key"
		done
		if [ "$(id -u)" = 0 ]; then
			echo "AuthorizedKeysFile .ssh/authorized_keys"
		else
			echo "AuthorizedKeysFile $home/.ssh/authorized_keys"
		fi
		echo "PidFile none"
		echo "Subsystem sftp internal-sftp"
		if [ -n "${KSSH_SSHD:-}" ]; then
			echo "LogLevel DEBUG1"
			echo "UsePAM no"
			echo "MaxStartups 100"
			echo "PerSourcePenalties no"
			echo "MaxSessions 64"
		else
			echo "LogLevel VERBOSE"
			echo "DataPath $KSSH_PATH"
		fi
		[ ${#match[@]} = 0 ] || printf '%s\n' "${match[@]}"
	} | awk -v stock="${KSSH_SSHD:-}" '
		tolower($1) == "datapath" && (stock || seen++) { next }
		{ print }' >"$file"
}

port_open()
{
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

server_ready()
{
	kill -0 "$1" 2>/dev/null || return 0
	port_open "$port"
}

# server_start LINE...: (re)start with these lines of configuration
server_start()
{
	local tries

	[ -z "$server_pid" ] || server_stop
	for tries in 1 2 3 4 5; do
		port=$((20000 + RANDOM % 12000))
		conf_write "$scratch/conf" "$port" "$@"
		server_log=$scratch/log.$((server_n += 1))
		if [ -n "${KSSH_SSHD:-}" ]; then
			mkdir -p /run/sshd
			"$KSSH_SSHD" -D -e -f "$scratch/conf" \
				2>"$server_log" &
		else
			"$KSSH_BUILD/ksshd" -D -e -f "$scratch/conf" \
				2>"$server_log" &
		fi
		server_pid=$!
		wait_until server_ready "$server_pid" || :
		if kill -0 "$server_pid" 2>/dev/null; then
			server_base
			return 0
		fi
		wait "$server_pid"
		server_pid=''
		grep -q 'in use' "$server_log" || break
	done
	: "$tries"
	tap_fail "the server does not start: $(tail -n 5 "$server_log")"
	return 1
}

# tree PID: the process and all below it
tree()
{
	local pid

	echo "$1"
	for pid in $(cat "/proc/$1/task"/*/children 2>/dev/null); do
		tree "$pid"
	done
}

count_tree()
{
	tree "$1" | wc -l
}

count_fds()
{
	find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l
}

# What the idle server has, once our first look at its port is over.
base_same()
{
	local now

	now="$(count_tree "$server_pid") $(count_fds "$server_pid")"
	[ "$now" = "$base" ] || { base=$now; sleep 0.1; return 1; }
}

server_base()
{
	base=''
	sleep 0.1
	wait_until base_same || :
	base_tree=${base% *} base_fds=${base#* }
	[ ${#spare[@]} -gt 0 ] || start_conns=$(stat_get KsshConns)
}

stat_get()
{
	awk -v name="$1" '$1 == name { print $2; found = 1 }
		END { if (!found) print 0 }' /proc/net/kssh_stat 2>/dev/null ||
		echo 0
}

is_settled()
{
	[ -n "$server_pid" ] || return 0
	why="it has ended"
	kill -0 "$server_pid" 2>/dev/null || return 1
	why="$(count_tree "$server_pid") processes, were $base_tree"
	[ "$(count_tree "$server_pid")" -le "$base_tree" ] || return 1
	why="$(count_fds "$server_pid") descriptors, were $base_fds"
	[ "$(count_fds "$server_pid")" -le "$base_fds" ] || return 1
	why="KsshCurrConn $(stat_get KsshCurrConn)"
	[ "$(stat_get KsshCurrConn)" = 0 ] || return 1
}

# Nothing of a connection stays: no process, no descriptor, no kernel state.
server_settled()
{
	local hang=${settle:-30}

	why=''
	is_settled || wait_until is_settled
}

log_mark()
{
	[ -n "$server_log" ] || { echo 0; return; }
	wc -c <"$server_log"
}

log_since()
{
	[ -z "$server_log" ] || tail -c "+$(($1 + 1))" "$server_log"
}

# Every connection went over the path it should have.
check_path()
{
	local other

	[ -z "${KSSH_SSHD:-}" ] && [ -n "$server_log" ] || return 0
	[ -z "${any_path:-}" ] || return 0
	other=$([ "$KSSH_PATH" = kernel ] && echo user || echo kernel)
	tap_lacks "$(cat "$server_log")" "data path $other " "log"
	logged=$((logged + $(grep -c "data path kernel " "$server_log")))
}

# The module has served the connections that the servers' logs speak of, and
# maybe some whose peer was gone before it could be told which path it is.
check_conns()
{
	[ "$KSSH_PATH" = kernel ] && [ -z "${KSSH_SSHD:-}${any_path:-}" ] ||
		return 0
	local conns=$(($(stat_get KsshConns) - start_conns))

	[ "$conns" -ge "$logged" ] ||
		tap_fail "$conns connections of the module, $logged in the logs"
}

# No report of a sanitizer, no crash.
check_log()
{
	[ -n "$server_log" ] || return 0
	tap_lacks "$(cat "$server_log")" \
		'Sanitizer|runtime error|killed by signal (4|6|7|11)\b|assert' \
		"log"
}

# The server goes on beside the next one that is started.
server_spare()
{
	spare+=("$server_pid $server_log $base_tree $base_fds")
	server_pid=''
}

server_stop()
{
	local one

	logged=0
	server_stop_one
	for one in "${spare[@]}"; do
		read -r server_pid server_log base_tree base_fds <<<"$one"
		server_stop_one
	done
	spare=()
	check_conns
}

server_stop_one()
{
	[ -n "$server_pid" ] || return 0
	server_settled || tap_fail "the server is not as it was: $why"
	check_path
	check_log
	kill "$server_pid" 2>/dev/null
	wait "$server_pid" 2>/dev/null
	server_pid=''
}

server_kill()
{
	local pid pids

	for pid in $server_pid "${spare[@]%% *}"; do
		pids=$(tree "$pid")
		# shellcheck disable=SC2086 # one word a process
		kill -9 $pids 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	server_pid='' spare=()
}

## Clients

ssh_options()
{
	opts=(-F /dev/null -i "$scratch/id" -o IdentitiesOnly=yes
		-o BatchMode=yes -o StrictHostKeyChecking=yes
		-o UserKnownHostsFile="$scratch/known_hosts"
		-o GlobalKnownHostsFile=/dev/null -o LogLevel=ERROR
		-o ConnectTimeout="$hang" -o UpdateHostKeys=no
		-o KnownHostsCommand=none -o IdentityAgent=none)
}
ssh_options

# ksh_ssh [OPTION...] COMMAND: OpenSSH's client, host and user are put in
# before the first word that is no option of ours.
ksh_ssh()
{
	local -a more=()

	while [ $# -gt 0 ]; do
		case $1 in
		-o | -S | -O | -e | -m | -c | -R | -L | -W)
			more+=("$1" "$2")
			shift
			;;
		-*) more+=("$1") ;;
		*) break ;;
		esac
		shift
	done
	timeout "$hang" ssh "${more[@]}" "${opts[@]}" -p "$port" \
		"$user@127.0.0.1" "$@"
}

# ksh_sftp [OPTION...]: the batch is read from standard input
ksh_sftp()
{
	timeout "$hang" sftp "$@" "${opts[@]}" -P "$port" -b - \
		"$user@127.0.0.1"
}

# ksh_scp [OPTION...] FROM TO: R: stands for the server
ksh_scp()
{
	local -a args=()
	local arg

	for arg; do
		case $arg in
		R:*) args+=("$user@127.0.0.1:${arg#R:}") ;;
		*) args+=("$arg") ;;
		esac
	done
	timeout "$hang" scp -q "${opts[@]}" -P "$port" "${args[@]}"
}

# status_of COMMAND...: its status; what it says is in $scratch/out and err
status_of()
{
	local rc=0

	"$@" >"$scratch/out" 2>"$scratch/err" || rc=$?
	echo "$rc"
}

# For rsync -e and the like
ssh_command()
{
	echo "ssh ${opts[*]} -p $port"
}

# ours FILE...: for a file the user is to read or write
ours()
{
	[ "$(id -u)" != 0 ] || chown -R 7001:7001 "$@"
}

sum()
{
	sha256sum <"${1:-/dev/stdin}" | cut -d' ' -f1
}

# make_data FILE MIB
make_data()
{
	head -c $(($2 * 1048576)) /dev/urandom >"$1"
	chmod 644 "$1"
}
