#!/bin/bash
# SPDX-License-Identifier: MIT
# What goes wrong with files in the middle of a transfer: the client is told,
# and the connection goes on.
# VM: once

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/transfer.sh
. "$here/transfer.sh"

alive='Remote working directory'

# tap_says WORDS put|get NEAR FAR: what the server says, which OpenSSH hides
tap_says()
{
	local words=$1 said

	shift
	python3 -c 'import paramiko' 2>/dev/null || return 0
	said=$(timeout "$hang" python3 "$here/paramiko_fault.py" "$port" \
		"$user" "$scratch/id" "$@" 2>&1)
	tap_is "$said" "$words" "$*"
}

# mount_on FOLDER OPTION...
mount_on()
{
	mkdir -p "$1"
	tap_ok mount mount "${@:2}" "$1"
}

# Can a disk be made of a file?
has_images()
{
	if [ -z "${KSSH_VM:-}" ]; then
		tap_skip "for a machine of its own"
	elif ! command -v mkfs.ext4 >/dev/null; then
		tap_skip "no mkfs.ext4"
	else
		modprobe -a loop ext4 quota_v2 2>/dev/null
		[ ! -e /dev/loop-control ] || return 0
		tap_skip "no loop devices"
	fi
	return 1
}

unmount()
{
	# A command may end after its connection.
	wait_until umount "$1" 2>/dev/null || tap_fail "$1 stays in use"
}

test_tells_of_a_full_disk()
{
	local mode

	[ "$(id -u)" = 0 ] || { tap_skip "needs root to mount"; return; }
	make_data "$near/big" 4
	head -c 100000 "$near/big" >"$near/little"
	mount_on "$far/small" -t tmpfs -o size=2m,mode=755,uid=7001 tmpfs
	sftp_batch "-put $near/big $far/small/big
pwd
rm $far/small/big
put $near/little $far/small/little" || tap_fail "the connection ends"
	tap_has "$out" 'write remote .*: Failure'
	tap_has "$out" "$alive"
	tap_same "$near/little" "$far/small/little"
	tap_says "No space left on device" put "$near/big" "$far/small/big"
	rm "$far/small/big"
	for mode in -s -O; do
		out=$(ksh_scp $mode "$near/big" "R:$far/small/big" 2>&1) &&
			tap_fail "scp $mode: no error"
		tap_has "$out" 'Failure|No space left on device' "scp $mode"
		rm "$far/small/big"
	done
	out=$(ksh_ssh "cat >$far/small/big" <"$near/big" 2>&1)
	tap_is $? 1 "status of cat"
	tap_has "$out" 'No space left on device' cat
	unmount "$far/small"
}

test_tells_of_a_full_disk_to_rsync()
{
	command -v rsync >/dev/null || { tap_skip "no rsync"; return; }
	[ "$(id -u)" = 0 ] || { tap_skip "needs root to mount"; return; }
	# Larger than what is sent before the far end is gone: a sender that
	# has sent all may take that for a broken connection.
	truncate -s 256M "$near/big"
	mount_on "$far/small" -t tmpfs -o size=2m,mode=755,uid=7001 tmpfs
	timeout "$hang" rsync -e "$(ssh_command)" "$near/big" \
		"$user@127.0.0.1:$far/small/" >"$scratch/out" 2>&1
	# An error in file I/O; its words rsync loses at times, over any sshd.
	tap_is $? 11 "status of rsync"
	rm "$near/big"
	unmount "$far/small"
}

# As a quota would, and what is run gets the signal as it should.
test_tells_of_a_limit_of_size()
{
	make_data "$near/big" 4
	ulimit -S -f 2048
	server_start
	ulimit -S -f unlimited
	sftp_batch "-put $near/big $far/limit
pwd
rm $far/limit
put $near/big $far/limit.2" && tap_fail "no error"
	tap_has "$out" 'write remote .*: Failure'
	tap_has "$out" "$alive"
	tap_says "File too large" put "$near/big" "$far/limit"
	tap_begins "$far/limit" "$near/big"
	tap_is "$(size "$far/limit")" 2097152
	out=$(ksh_ssh "head -c 3000000 /dev/zero >$far/limit; echo \$?" \
		2>/dev/null)
	tap_is "$out" $((128 + 25)) "status of head, by SIGXFSZ"
	rm -f "$far"/limit*
	server_start
}

test_tells_of_a_read_that_fails()
{
	local pid as=()

	grep -qs '[1-3]' /proc/sys/kernel/yama/ptrace_scope &&
		{ tap_skip "Yama keeps memory from others"; return; }
	[ "$(id -u)" != 0 ] ||
		as=(setpriv --reuid 7001 --regid 7001 --clear-groups)
	# Nothing is mapped at 0, and reading there is EIO.
	"${as[@]}" sleep 1000 &
	pid=$!
	# Before it is the user's, its memory is nobody else's.
	wait_until grep -q sleep "/proc/$pid/comm"
	sftp_batch "-get /proc/$pid/mem $near/mem
pwd" || tap_fail "the connection ends"
	tap_has "$out" 'read remote .*: Failure'
	tap_has "$out" "$alive"
	tap_says "Input/output error" get "$near/mem" "/proc/$pid/mem"
	kill "$pid"
	wait "$pid" 2>/dev/null
}

# A disk of which the second half is gone, and nothing is in the page cache.
test_tells_of_a_disk_that_fails()
{
	local image=$scratch/image

	has_images || return 0
	truncate -s 32M "$image"
	mkfs.ext4 -q -F -O ^has_journal "$image"
	mount_on "$far/disk" -o loop "$image"
	make_data "$far/disk/file" 24
	umount "$far/disk"
	mount_on "$far/disk" -o loop,ro "$image"
	truncate -s 16M "$image"
	sftp_batch "-get $far/disk/file $near/file
pwd
ls -l $far/disk" || tap_fail "the connection ends"
	tap_has "$out" 'read remote .*: Failure'
	tap_has "$out" "$alive"
	tap_says "Input/output error" get "$near/file" "$far/disk/file"
	out=$(ksh_ssh "cat $far/disk/file" 2>&1 >/dev/null)
	tap_is $? 1 "status of cat"
	tap_has "$out" 'Input/output error' cat
	unmount "$far/disk"
	rm "$image" "$near/file"
}

# Nothing comes from a disk for a while, and hundreds of READs wait for it.
test_waits_for_no_other_disk()
{
	local image=$scratch/image name=kssh-still loop want

	has_images || return 0
	python3 -c 'import paramiko' 2>/dev/null ||
		{ tap_skip "no paramiko"; return; }
	command -v dmsetup >/dev/null || { tap_skip "no dmsetup"; return; }
	modprobe -q dm-mod
	export DM_DISABLE_UDEV=1
	truncate -s 32M "$image"
	loop=$(losetup -f --show "$image")
	tap_ok dmsetup dmsetup create "$name" --table \
		"0 $((32 * 2048)) linear $loop 0"
	mkfs.ext4 -q -F -O ^has_journal "/dev/mapper/$name"
	mount_on "$far/disk" "/dev/mapper/$name"
	make_data "$far/disk/file" 16
	make_data "$far/other" 4
	want="$(sum <"$far/other") other
4194304 new
$(sum <"$far/disk/file") still"
	unmount "$far/disk"
	mount_on "$far/disk" -o ro "/dev/mapper/$name"
	out=$(timeout "$hang" python3 "$here/paramiko_stall.py" "$port" \
		"$user" "$scratch/id" "$far/disk/file" "$far/other" \
		"$far/new" "$name" 2>&1)
	tap_is "$out" "$want" "what was read, in this order"
	dmsetup resume "$name"
	tap_same "$far/other" "$far/new.2"
	unmount "$far/disk"
	tap_ok remove dmsetup remove "$name"
	losetup -d "$loop"
	rm "$image" "$far/other" "$far/new.2"
}

test_tells_of_a_quota()
{
	local image=$scratch/image

	has_images || return 0
	truncate -s 32M "$image"
	mkfs.ext4 -q -F -O ^has_journal,quota "$image"
	mount_on "$far/disk" -o loop,usrquota "$image"
	mkdir -m 777 "$far/disk/home"
	tap_ok quota python3 "$here/set_quota.py" \
		"$(findmnt -n -o SOURCE "$far/disk")" "$(id -u "$user")" 2048
	make_data "$near/big" 4
	head -c 100000 "$near/big" >"$near/little"
	sftp_batch "-put $near/big $far/disk/home/big
pwd
rm $far/disk/home/big
put $near/little $far/disk/home/little" || tap_fail "the connection ends"
	tap_has "$out" 'write remote .*: Failure'
	tap_has "$out" "$alive"
	tap_same "$near/little" "$far/disk/home/little"
	tap_says "Disk quota exceeded" put "$near/big" "$far/disk/home/big"
	unmount "$far/disk"
	rm "$image"
}

test_goes_on_when_modes_change()
{
	local n=$((mib * 1048576))

	make_data "$near/big" "$mib"
	mkdir "$far/modes"
	ours "$far/modes"
	begin_sftp "put $near/big $far/modes/put"
	halt "$far/modes/put" $n
	chmod 000 "$far/modes/put" "$far/modes"
	go_on || tap_fail "put: $out"
	chmod 755 "$far/modes"
	chmod 644 "$far/modes/put"
	tap_same "$near/big" "$far/modes/put"
	begin_sftp "get $far/modes/put $near/got
-get $far/modes/put $near/again
-put $near/big $far/modes/again
pwd"
	halt "$near/got" $n
	chmod 000 "$far/modes/put"
	chmod 555 "$far/modes"
	go_on || tap_fail "get: $out"
	tap_same "$near/big" "$near/got"
	tap_has "$out" "$alive"
	[ "$(id -u)" = 0 ] || return 0
	tap_is "$(grep -c 'Permission denied' <<<"$out")" 2 "$out"
	[ ! -e "$near/again" ] || tap_fail "got what is not to be read"
}

test_goes_on_when_the_folder_goes()
{
	local i first n=$((mib * 1048576 / 8))

	mkdir "$near/tree"
	for i in 1 2 3 4 5 6 7 8; do
		head -c $n /dev/urandom >"$near/tree/$i"
	done
	begin_sftp "-put -R $near/tree $far/
pwd
mkdir $far/other"
	# The first one that the client's readdir() gives.
	first=$(find "$near/tree" -type f -printf '%f\n' -quit)
	halt "$far/tree/$first" $((n + 1))
	[ "$(find "$far/tree" -type f | wc -l)" -lt 8 ] ||
		tap_fail "not halfway: all files are there"
	rm -r "$far/tree"
	go_on || tap_fail "the connection ends"
	tap_has "$out" 'No such file'
	tap_has "$out" "$alive"
	[ -d "$far/other" ] || tap_fail "mkdir was not done"
	[ ! -e "$far/tree" ] || tap_fail "it is there again"
	rm -r "$far/other" "$near/tree"
}

test_goes_on_when_a_file_shrinks()
{
	local n=$((mib * 1048576))

	make_data "$near/big" "$mib"
	cp "$near/big" "$far/shrinks"
	ours "$far/shrinks"
	begin_sftp "-get $far/shrinks $near/shrunk
pwd
get $far/shrinks $near/again"
	halt "$near/shrunk" $n
	truncate -s 100001 "$far/shrinks"
	go_on || tap_fail "the connection ends"
	tap_has "$out" "$alive"
	[ "$(size "$near/shrunk")" -lt $n ] || tap_fail "all of it was got"
	tap_begins "$near/shrunk" "$near/big"
	tap_same "$far/shrinks" "$near/again"
	rm "$far/shrinks" "$near/shrunk" "$near/again"
}

test_goes_on_when_a_file_grows()
{
	local n=$((mib * 1048576))

	make_data "$far/grows" "$mib"
	ours "$far/grows"
	begin_sftp "get $far/grows $near/grown
pwd"
	halt "$near/grown" $n
	head -c 1000001 /dev/urandom >>"$far/grows"
	go_on || tap_fail "get: $out"
	tap_has "$out" "$alive"
	[ "$(size "$near/grown")" -ge $n ] || tap_fail "less than it had"
	tap_begins "$near/grown" "$far/grows"
	rm "$far/grows" "$near/grown"
}

test_goes_on_when_a_file_goes()
{
	local n=$((mib * 1048576))

	make_data "$near/big" "$mib"
	cp "$near/big" "$far/goes"
	ours "$far/goes"
	begin_sftp "get $far/goes $near/gone
-get $far/goes $near/again
pwd"
	halt "$near/gone" $n
	rm "$far/goes"
	go_on || tap_fail "get: $out"
	tap_same "$near/big" "$near/gone"
	tap_has "$out" 'not found|No such file'
	tap_has "$out" "$alive"
	rm "$near/gone"
}

test_does_not_wait_for_the_reader_of_a_fifo()
{
	local fd

	make_data "$near/big" 4
	mkfifo "$far/fifo"
	ours "$far/fifo"
	sftp_batch "-put $near/big $far/fifo
pwd" || tap_fail "the connection ends"
	tap_has "$out" 'Failure'
	tap_has "$out" "$alive"
	exec {fd}<>"$far/fifo"
	sftp_batch "-put $near/big $far/fifo
pwd" || tap_fail "the connection ends"
	tap_has "$out" 'write remote .*: Failure'
	tap_has "$out" "$alive"
	tap_says "Resource temporarily unavailable" put "$near/big" "$far/fifo"
	exec {fd}<&-
	rm "$far/fifo"
}

server_start
tap_run "$@"
