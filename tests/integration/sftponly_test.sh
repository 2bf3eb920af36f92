#!/bin/bash
# SPDX-License-Identifier: MIT
# Users who get SFTP and nothing else: ForceCommand, ChrootDirectory, Match,
# and the options of internal-sftp.
# VM: once

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

if [ "$(id -u)" != 0 ]; then
	echo "1..0 # SKIP needs root"
	exit 0
fi

# The scratch folder is below /tmp, where no chroot may be.
mount -t tmpfs -o mode=755 none /mnt
trap 'cleanup; umount -l /mnt' EXIT

box=kssh-box	# lives in a box
jail=/mnt/jail/$box
plain=$user	# may do anything

make_box()
{
	echo "$box:x:7002:7002::/in:/usr/sbin/nologin" >>/etc/passwd
	echo "$box:*:20000:0:99999:7:::" >>/etc/shadow
	printf '%s\n' "$box:x:7002:" "boxes:x:7003:other,$box" >>/etc/group
	mkdir -p "$jail/in" "$jail/pub"
	chown 7002:7002 "$jail/in"
	echo inside >"$jail/pub/file"
	ln -s /etc/passwd "$jail/pub/passwd"
	ln -s ../../../../etc/passwd "$jail/pub/up"
	cp "$scratch/id.pub" /mnt/keys
	chmod 644 /mnt/keys
}
make_box

# In place: what is mounted is this very file.
set_shell()
{
	local text

	text=$(sed "/^$box:/s,[^:]*\$,$1," /etc/passwd)
	printf '%s\n' "$text" >/etc/passwd
}

keys="AuthorizedKeysFile /mnt/keys"

# serve LINE...: with these lines for the user of the box
serve()
{
	match=("Match User $box" "$@")
	server_start "$keys"
	user=$box
}

# What the batch prints, with its errors.
batch()
{
	ksh_sftp <<<"$1" 2>&1
}

test_boxed_user_puts_and_gets()
{
	serve "ChrootDirectory /mnt/jail/%u" "ForceCommand internal-sftp"
	make_data "$scratch/file" "$mib"
	tap_has "$(batch pwd)" 'directory: /in$'
	tap_ok put batch "put $scratch/file"
	tap_same "$scratch/file" "$jail/in/file"
	tap_is "$(stat -c %u:%g "$jail/in/file")" 7002:7002
	tap_ok get batch "get file $scratch/back"
	tap_same "$scratch/file" "$scratch/back"
	tap_ok "get from /pub" batch "get /pub/file $scratch/inside"
	tap_is "$(cat "$scratch/inside")" inside
	rm -f "$scratch/back"
	tap_ok scp ksh_scp R:/in/file "$scratch/back"
	tap_same "$scratch/file" "$scratch/back"
	tap_has "$(batch "ls -ln /pub")" 'file'
	# nobody but root writes to the box itself
	batch "mkdir /new" >/dev/null && tap_fail "wrote to the root"
	rm -f "$jail/in/file"
}

test_boxed_user_cannot_leave()
{
	local name

	serve "ChrootDirectory $jail" "ForceCommand internal-sftp"
	tap_has "$(batch $'cd ..\ncd ..\ncd ../..\npwd')" 'directory: /$'
	tap_is "$(batch $'cd ../..\nls -1' | grep -v '^sftp>' | tr '\n' ' ')" \
		'in pub '
	batch "symlink /etc/passwd own" >/dev/null ||
		tap_fail "cannot make a link"
	for name in /etc/passwd ../../../etc/passwd /pub/passwd /pub/up own; do
		rm -f "$scratch/stolen"
		batch "get $name $scratch/stolen" >/dev/null &&
			tap_fail "got $name"
		[ ! -s "$scratch/stolen" ] || tap_fail "$name has content"
	done
	rm -f "$jail/in/own"
}

test_commands_and_shells_are_told_that_there_is_only_sftp()
{
	local out rc

	serve "ForceCommand internal-sftp"
	for command in "touch /mnt/jail/$box/in/ran" ''; do
		rc=0
		# shellcheck disable=SC2086 # no word for the shell
		out=$(ksh_ssh -T $command </dev/null) || rc=$?
		tap_has "$out" '[Oo]nly'
		tap_is "$rc" 1 "status"
	done
	[ ! -e "$jail/in/ran" ] || tap_fail "the client's command ran"
	ksh_scp -O "$scratch/conf" R:/tmp 2>/dev/null &&
		tap_fail "scp without SFTP went through"
	tap_has "$(ksh_ssh -T id 2>&1 || :; batch pwd)" 'working directory'
}

test_other_subsystems_are_sftp_too()
{
	match=("Match User $box" "ForceCommand internal-sftp")
	server_start "$keys" "Subsystem other /bin/false"
	user=$box
	tap_has "$(ksh_sftp -s other <<<pwd 2>&1)" 'working directory'
}

test_read_only_servers_refuse_writes()
{
	serve "ForceCommand internal-sftp -R -d $jail/in"
	echo data >"$jail/in/have"
	echo new >"$scratch/new"
	tap_ok get batch "get have $scratch/have"
	tap_same "$jail/in/have" "$scratch/have"
	tap_has "$(batch "put $scratch/new have")" '[Pp]ermission denied'
	tap_has "$(batch "put $scratch/new other")" '[Pp]ermission denied'
	batch "mkdir d" >/dev/null && tap_fail "mkdir"
	batch "rm have" >/dev/null && tap_fail "rm"
	batch "chmod 777 have" >/dev/null && tap_fail "chmod"
	batch "rename have had" >/dev/null && tap_fail "rename"
	tap_is "$(cat "$jail/in/have")" data
	rm -f "$jail/in/have"
}

test_listed_requests_are_refused()
{
	serve "ForceCommand internal-sftp -P remove,posix-rename,rename -d $jail/in"
	echo data >"$scratch/file"
	tap_ok put batch "put $scratch/file"
	tap_has "$(batch "rm file")" '[Pp]ermission denied'
	tap_has "$(batch "rename file moved")" '[Pp]ermission denied'
	tap_same "$scratch/file" "$jail/in/file"
	rm -f "$jail/in/file"
}

test_only_listed_requests_are_served()
{
	serve "ForceCommand internal-sftp -p open,close,read,fstat,stat,lstat,realpath -d $jail/in"
	echo data >"$jail/in/file"
	tap_ok get batch "get file $scratch/file"
	tap_same "$scratch/file" "$jail/in/file"
	tap_has "$(batch ls)" '[Pp]ermission denied'
	batch "put $scratch/file other" >/dev/null && tap_fail "put"
	batch "rm file" >/dev/null && tap_fail "rm"
	tap_is "$(cat "$jail/in/file")" data
	rm -f "$jail/in/file"
}

test_umask_makes_the_mode()
{
	serve "ForceCommand internal-sftp -u 027 -d $jail/in"
	echo data >"$scratch/file"
	chmod 666 "$scratch/file"
	tap_ok put batch $'mkdir d\nput '"$scratch/file"
	tap_is "$(stat -c %a "$jail/in/file")" 640
	tap_is "$(stat -c %a "$jail/in/d")" 750
	rm -rf "$jail/in/file" "$jail/in/d"
}

test_starts_where_it_is_told_to()
{
	match=()
	server_start "$keys" "Subsystem other internal-sftp -d /mnt/jail/%u/in"
	user=$box
	tap_has "$(ksh_sftp -s other <<<pwd)" "directory: $jail/in\$"
	server_start "$keys" "Subsystem other internal-sftp -d /mnt/none"
	tap_has "$(ksh_sftp -s other <<<pwd)" 'directory: /'
}

# refuses MARK PATTERN: no session, and one line that tells why
refuses()
{
	batch pwd >/dev/null && tap_fail "served: $2"
	tap_is "$(log_since "$1" | grep -c "$2")" 1 "lines of '$2'"
}

test_unsafe_boxes_are_refused()
{
	[ -z "${KSSH_SSHD:-}" ] || { tap_skip "lines of ours"; return; }
	serve "ChrootDirectory /mnt/jail/%u"
	chmod 775 /mnt/jail
	refuses "$(log_mark)" "/mnt/jail can be written by group or others"
	chmod 755 /mnt/jail
	chown 7002 "$jail"
	refuses "$(log_mark)" "$jail belongs to uid 7002, not to root"
	chown 0 "$jail"
	mv "$jail" "$jail.away"
	refuses "$(log_mark)" "$jail: No such file"
	echo >"$jail"
	refuses "$(log_mark)" "$jail is not a directory"
	rm "$jail"
	ln -s "$jail.away" "$jail"
	tap_ok "a link of root" batch pwd
	rm "$jail"
	mv "$jail.away" "$jail"
	tap_ok "as it was" batch pwd
}

# says USER: which block has taken the user
says()
{
	user=$1 ksh_ssh x
}

test_match_chooses_by_user_and_group()
{
	set_shell /bin/bash
	match=("Match User nobody,!$box,kssh-b*" "ForceCommand echo negated"
		"Match Group boxes" "ForceCommand echo group"
		"Match User *,!$box" "ForceCommand echo user")
	server_start "$keys"
	tap_is "$(says "$box")" group
	tap_is "$(says "$plain")" user
	set_shell /usr/sbin/nologin
}

test_match_chooses_by_address_and_port()
{
	match=("Match Address 10.0.0.0/8,192.0.2.*" "ForceCommand echo far"
		"Match LocalPort 1" "ForceCommand echo port"
		"Match LocalAddress 127.0.0.2" "ForceCommand echo other"
		"Match Address 127.0.0.0/8,!127.0.0.9 LocalAddress 127.0.0.1"
		"ForceCommand echo near")
	server_start "$keys" "ForceCommand echo all"
	tap_is "$(says "$plain")" near
	match=("Match Address 127.0.0.0/8,!127.0.0.1" "ForceCommand echo near")
	server_start "$keys" "ForceCommand echo all"
	tap_is "$(says "$plain")" all
}

test_match_chooses_keys_and_how_often_to_try()
{
	[ -f "$scratch/wrong" ] || new_key ed25519 "$scratch/wrong"
	match=("Match User $plain" "MaxAuthTries 1"
		"Match User nobody-here" "MaxAuthTries 1"
		"Match User $box" "AuthorizedKeysFile /mnt/none")
	server_start "$keys"
	user=$plain
	tap_has "$(ksh_ssh -o IdentityFile="$scratch/wrong" true 2>&1)" \
		'[Tt]oo many authentication failures'
	user=nobody-here
	tap_has "$(ksh_ssh -o IdentityFile="$scratch/wrong" true 2>&1)" \
		'[Tt]oo many authentication failures'
	user=$box
	tap_has "$(ksh_ssh -o IdentityFile="$scratch/wrong" true 2>&1)" 'Permission denied'
}

test_forced_command_wins_over_that_of_a_key()
{
	printf 'command="echo key" %s\n' "$(cat "$scratch/id.pub")" \
		>/mnt/forced
	match=("Match User $plain" "AuthorizedKeysFile /mnt/forced")
	# shellcheck disable=SC2016 # expanded by the command
	server_start "$keys" \
		'ForceCommand printf "%s\n" "server:  $SSH_ORIGINAL_COMMAND"'
	tap_is "$(says "$plain")" 'server:  x'
	server_start "$keys" "ForceCommand none"
	tap_is "$(says "$plain")" key
}

# faulty LINE PATTERN: ksshd -t tells it in one line
faulty()
{
	local out

	printf '%s\n' "HostKey $scratch/host_ed25519" "Match User none" "$1" \
		>"$scratch/faulty"
	out=$("$KSSH_BUILD/ksshd" -t -f "$scratch/faulty" 2>&1) &&
		tap_fail "taken: $1"
	out=$(grep '^error: ' <<<"$out")
	tap_is "$(wc -l <<<"$out")" 1 "lines for $1"
	tap_has "$out" "faulty line 3: $2"
}

test_faults_are_found_before_the_start()
{
	faulty "ForceCommand internal-sftp -x" "ForceCommand: .*-x"
	faulty "ForceCommand internal-sftp -P nothing" "ForceCommand: .*nothing"
	faulty "Subsystem sftp internal-sftp -u 8" "Subsystem: .*umask"
	faulty "ChrootDirectory here" "ChrootDirectory: "
	faulty "Match Host x" "Match: "
	faulty "Port 22" "Port: "
}

test_ordinary_users_cannot_have_boxes()
{
	local out

	printf '%s\n' "ChrootDirectory /mnt/jail" >"$scratch/boxed"
	chmod 644 "$scratch/boxed"
	out=$(setpriv --reuid 7001 --regid 7001 --clear-groups \
		"$KSSH_BUILD/ksshd" -t -f "$scratch/boxed" 2>&1) &&
		tap_fail "taken"
	tap_has "$out" 'boxed line 1: ChrootDirectory: needs .* root'
}

tap_run "$@"
