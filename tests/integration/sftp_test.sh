#!/bin/bash
# SPDX-License-Identifier: MIT
# OpenSSH's sftp and scp.

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck source=tests/integration/transfer.sh
. "$here/transfer.sh"

test_puts_and_gets()
{
	make_data "$near/big" "$mib"
	tap_ok put sftp_batch "put $near/big $far/big"
	tap_same "$near/big" "$far/big"
	tap_ok get sftp_batch "get $far/big $near/back"
	tap_same "$near/big" "$near/back"
}

test_carries_small_and_odd_sizes()
{
	local n batch=''

	for n in 0 1 31 32767 32768 32769 65536 261120 262144 1000003; do
		head -c "$n" /dev/urandom >"$near/s$n"
		batch+="put $near/s$n $far/s$n"$'\n'
		batch+="get $far/s$n $near/b$n"$'\n'
	done
	tap_ok sftp sftp_batch "$batch"
	for n in 0 1 31 32767 32768 32769 65536 261120 262144 1000003; do
		tap_same "$near/s$n" "$far/s$n"
		tap_same "$near/s$n" "$near/b$n"
	done
}

test_takes_many_and_large_requests()
{
	make_data "$near/big" "$mib"
	tap_ok put sftp_batch "put $near/big $far/big2" -R 256 -B 261120
	tap_same "$near/big" "$far/big2"
	tap_ok get sftp_batch "get $far/big2 $near/back2" -R 256 -B 261120
	tap_same "$near/big" "$near/back2"
	tap_ok get sftp_batch "get $far/big2 $near/back3" -R 1 -B 1000000
	tap_same "$near/big" "$near/back3"
	rm -f "$far/big2" "$near"/back[23]
}

test_puts_and_gets_trees()
{
	local i j

	for i in a b "c d" é; do
		mkdir -p "$near/tree/$i/sub"
		for j in 1 2 3 4 5; do
			head -c $((RANDOM * j)) /dev/urandom \
				>"$near/tree/$i/sub/$j"
		done
	done
	tap_ok put sftp_batch "put -R $near/tree $far/"
	tap_ok compare diff -r "$near/tree" "$far/tree"
	tap_ok get sftp_batch "get -R $far/tree $near/tree2"
	tap_ok compare diff -r "$near/tree" "$near/tree2"
}

test_resumes()
{
	make_data "$near/r" 4
	head -c 1500000 "$near/r" >"$far/r"
	ours "$far/r"
	tap_ok reput sftp_batch "reput $near/r $far/r"
	tap_same "$near/r" "$far/r"
	head -c 2500001 "$near/r" >"$near/r2"
	tap_ok reget sftp_batch "reget $far/r $near/r2"
	tap_same "$near/r" "$near/r2"
}

test_lists()
{
	mkdir -p "$far/list"
	touch "$far/list/one" "$far/list/two words"
	ln -sf one "$far/list/link"
	ours "$far/list"
	chmod 640 "$far/list/one"
	sftp_batch "ls -la $far/list" || tap_fail "ls"
	tap_has "$out" '^-rw-r----- .*[ /]one$'
	tap_has "$out" '^l.*[ /]link'
	tap_has "$out" '[ /]two words$'
	sftp_batch "ls -1 $far/list" || tap_fail "ls"
	tap_has "$out" '/link$'
}

test_lists_many()
{
	local n=$((tcg ? 1000 : 5000))

	mkdir "$far/many"
	(cd "$far/many" && seq -f file-%06g "$n" | xargs touch)
	sftp_batch "ls -1 $far/many" || tap_fail "ls"
	tap_is "$(grep -c '/file-' <<<"$out")" "$n"
	rm -rf "$far/many"
}

test_changes_names_and_modes()
{
	echo x >"$far/f"
	ours "$far/f"
	tap_ok all sftp_batch "mkdir $far/d
rename $far/f $far/d/g
chmod 600 $far/d/g
ln -s g $far/d/soft
ln $far/d/g $far/d/hard
cd $far/d
pwd"
	tap_is "$(stat -c %a "$far/d/g")" 600
	tap_is "$(readlink "$far/d/soft")" g
	tap_is "$(stat -c %h "$far/d/g")" 2
	tap_ok all sftp_batch "rm $far/d/soft
rm $far/d/hard
rm $far/d/g
rmdir $far/d"
	[ ! -e "$far/d" ] || tap_fail "the folder is still there"
}

test_copies_on_the_server()
{
	make_data "$far/src" "$((mib / 4))"
	tap_ok copy sftp_batch "copy $far/src $far/dst
cp $far/dst $far/dst2"
	tap_same "$far/src" "$far/dst"
	tap_same "$far/src" "$far/dst2"
	sftp_batch "cp $far/not-here $far/dst" && tap_fail "no error"
	tap_same "$far/src" "$far/dst"
	rm -f "$far/src" "$far/dst" "$far/dst2"
}

test_knows_homes()
{
	local home

	home=$(getent passwd "$user" | cut -d: -f6)
	echo near >"$near/in-home"
	tap_ok put ksh_scp -s "$near/in-home" "R:~$user/kssh-test-home"
	tap_is "$(cat "$home/kssh-test-home")" near
	tap_ok get ksh_scp -s 'R:~/kssh-test-home' "$near/from-home"
	tap_is "$(cat "$near/from-home")" near
	ksh_scp -s 'R:~no-such-user/f' "$near/x" && tap_fail "no error"
	rm -f "$home/kssh-test-home"
}

# A hash that would take hours, by paramiko.
test_goes_on_beside_a_long_request()
{
	python3 -c 'import paramiko' 2>/dev/null ||
		{ tap_skip "no paramiko"; return; }
	truncate -s 4T "$far/endless"
	ours "$far/endless"
	tap_ok paramiko timeout "$hang" python3 "$here/paramiko_long.py" \
		"$port" "$user" "$scratch/id" "$far"
	rm -f "$far/endless"
}

test_replaces_on_rename()
{
	echo old >"$far/old"
	echo new >"$far/new"
	ours "$far/old" "$far/new"
	tap_ok rename sftp_batch "rename $far/new $far/old"
	tap_is "$(cat "$far/old")" new
}

test_keeps_times_and_modes()
{
	head -c 1000 /dev/urandom >"$near/t"
	touch -d '2001-02-03 04:05:06' "$near/t"
	chmod 604 "$near/t"
	tap_ok put sftp_batch "put -p $near/t $far/t"
	tap_is "$(stat -c '%a %Y' "$far/t")" "$(stat -c '%a %Y' "$near/t")"
	tap_ok get sftp_batch "get -p $far/t $near/t2"
	tap_is "$(stat -c '%a %Y' "$near/t2")" "$(stat -c '%a %Y' "$near/t")"
}

test_tells_the_space()
{
	sftp_batch "df $far" || tap_fail "df"
	tap_has "$out" '[0-9]+%'
	sftp_batch "df -hi $far" || tap_fail "df -hi"
}

test_reports_errors()
{
	sftp_batch "get $far/not-here $near/x" && tap_fail "no error"
	tap_has "$out" '[Nn]o such file|not found'
	sftp_batch "ls $far/not-here" && tap_fail "no error"
	sftp_batch "rmdir $far" && tap_fail "no error"
	[ "$(id -u)" = 0 ] || return 0
	echo x >"$near/x"
	sftp_batch "put $near/x /etc/kssh-test" && tap_fail "no error"
	tap_has "$out" '[Pp]ermission denied'
	sftp_batch "get /etc/shadow $near/x" && tap_fail "no error"
	tap_has "$out" '[Pp]ermission denied'
}

test_starts_in_the_home_folder()
{
	sftp_batch pwd || tap_fail pwd
	tap_has "$out" "$(getent passwd "$user" | cut -d: -f6)\$"
}

test_copies_with_scp()
{
	local mode

	make_data "$near/c" $((mib / 4))
	for mode in -s -O; do
		tap_ok "scp $mode" ksh_scp $mode "$near/c" "R:$far/c$mode"
		tap_same "$near/c" "$far/c$mode"
		tap_ok "scp $mode" ksh_scp $mode "R:$far/c$mode" "$near/c$mode"
		tap_same "$near/c" "$near/c$mode"
		rm -f "$far/c$mode" "$near/c$mode"
	done
}

test_copies_trees_with_scp()
{
	local mode

	mkdir -p "$near/ct/x y/z"
	head -c 100000 /dev/urandom >"$near/ct/x y/z/f"
	echo small >"$near/ct/g"
	for mode in -s -O; do
		tap_ok "scp $mode" ksh_scp $mode -rp "$near/ct" "R:$far/ct$mode"
		tap_ok compare diff -r "$near/ct" "$far/ct$mode"
		tap_ok "scp $mode" ksh_scp $mode -r "R:$far/ct$mode" \
			"$near/ct$mode"
		tap_ok compare diff -r "$near/ct" "$near/ct$mode"
	done
}

test_does_not_lose_a_file_that_grows_or_shrinks()
{
	local pid

	make_data "$far/moving" "$mib"
	ours "$far/moving"
	(for _ in 1 2 3 4 5 6; do
		truncate -s 1M "$far/moving"
		head -c 3000000 /dev/zero >>"$far/moving"
	done) &
	pid=$!
	# any outcome but a broken connection
	sftp_batch "-get $far/moving $near/moving
pwd" || tap_fail "the connection broke: $out"
	tap_has "$out" 'Remote working directory'
	wait "$pid"
}

server_start
tap_run "$@"
