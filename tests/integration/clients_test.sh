#!/bin/bash
# SPDX-License-Identifier: MIT
# Other people's clients: dropbear, PuTTY, paramiko.

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

far=$scratch/far
near=$scratch/near
mkdir "$far" "$near"
ours "$far"
some=$((tcg ? 1 : 4))

has()
{
	command -v "$1" >/dev/null && return 0
	tap_skip "no $1"
	return 1
}

db()
{
	timeout "$hang" dbclient -y -y -i "$scratch/id_db" -p "$port" "$@" \
		2>"$scratch/err"
}

db_ready()
{
	has dbclient && has dropbearconvert || return 1
	[ -e "$scratch/id_db" ] || dropbearconvert openssh dropbear \
		"$scratch/id" "$scratch/id_db" 2>/dev/null
}

test_dropbear()
{
	db_ready || return 0
	tap_is "$(db "$user@127.0.0.1" 'echo hello')" hello
	db "$user@127.0.0.1" 'exit 7'
	tap_is $? 7
	make_data "$near/f" "$some"
	db "$user@127.0.0.1" "cat >$far/f" <"$near/f"
	tap_same "$near/f" "$far/f"
	db "$user@127.0.0.1" "cat $far/f" >"$near/g"
	tap_same "$near/f" "$near/g"
}

putty_ready()
{
	has "$1" && has puttygen || return 1
	[ -e "$scratch/id.ppk" ] ||
		puttygen "$scratch/id" -O private -o "$scratch/id.ppk"
	# PuTTY asks for the host key's fingerprint
	fingerprint=$(ssh-keygen -lf "$scratch/host_ed25519.pub" |
		cut -d' ' -f2)
}

putty()
{
	local tool=$1

	shift
	timeout "$hang" "$tool" -batch -P "$port" -i "$scratch/id.ppk" \
		-hostkey "$fingerprint" "$@" 2>"$scratch/err"
}

test_plink()
{
	putty_ready plink || return 0
	tap_is "$(putty plink "$user@127.0.0.1" 'echo hello')" hello
	putty plink "$user@127.0.0.1" 'exit 7'
	tap_is $? 7
	make_data "$near/f" "$some"
	putty plink "$user@127.0.0.1" "cat >$far/p" <"$near/f"
	tap_same "$near/f" "$far/p"
	putty plink "$user@127.0.0.1" "cat $far/p" >"$near/p"
	tap_same "$near/f" "$near/p"
}

test_psftp()
{
	putty_ready psftp || return 0
	make_data "$near/f" "$some"
	cat >"$scratch/batch" <<-END
		cd $far
		put $near/f ps
		mkdir psdir
		mv ps psdir/ps
		ls psdir
		chmod 600 psdir/ps
		get psdir/ps $near/ps
		rm psdir/ps
		rmdir psdir
	END
	tap_ok psftp putty psftp -b "$scratch/batch" "$user@127.0.0.1"
	tap_same "$near/f" "$near/ps"
}

test_pscp()
{
	local mode

	putty_ready pscp || return 0
	make_data "$near/f" "$some"
	for mode in -sftp -scp; do
		tap_ok "pscp $mode" putty pscp $mode "$near/f" \
			"$user@127.0.0.1:$far/pc$mode"
		tap_same "$near/f" "$far/pc$mode"
		tap_ok "pscp $mode" putty pscp $mode \
			"$user@127.0.0.1:$far/pc$mode" "$near/pc$mode"
		tap_same "$near/f" "$near/pc$mode"
	done
}

test_paramiko()
{
	python3 -c 'import paramiko' 2>/dev/null ||
		{ tap_skip "no paramiko"; return; }
	make_data "$near/f" "$some"
	tap_ok paramiko timeout "$hang" python3 "$here/paramiko_client.py" \
		"$port" "$user" "$scratch/id" "$near/f" "$far"
}

server_start
tap_run "$@"
