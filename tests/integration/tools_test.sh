#!/bin/bash
# SPDX-License-Identifier: MIT
# What people run over ssh: rsync, tar, git.

# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

far=$scratch/far
near=$scratch/near
mkdir "$far" "$near"
ours "$far"

make_tree()
{
	local i n=$((tcg ? 60 : 300))

	[ ! -d "$near/tree" ] || return 0
	for ((i = 0; i < n; i++)); do
		mkdir -p "$near/tree/$((i % 7))/$((i % 5))"
		head -c $((RANDOM * 3)) /dev/urandom \
			>"$near/tree/$((i % 7))/$((i % 5))/$i"
	done
	ln -s 0/0/0 "$near/tree/link"
	make_data "$near/tree/big" $((mib / 4))
}

test_rsync()
{
	command -v rsync >/dev/null || { tap_skip "no rsync"; return; }
	make_tree
	tap_ok "to the server" timeout "$hang" rsync -a --no-o --no-g \
		-e "$(ssh_command)" "$near/tree" "$user@127.0.0.1:$far/"
	tap_ok compare diff -r "$near/tree" "$far/tree"
	tap_ok "from the server" timeout "$hang" rsync -a --no-o --no-g \
		-e "$(ssh_command)" "$user@127.0.0.1:$far/tree" "$near/back"
	tap_ok compare diff -r "$near/tree" "$near/back/tree"
	# now what has changed only
	printf 'changed' | dd of="$near/tree/big" bs=1 seek=100000 \
		conv=notrunc status=none
	rm -r "$near/tree/3"
	tap_ok "once more" timeout "$hang" rsync -a --no-o --no-g --delete \
		--checksum -e "$(ssh_command)" "$near/tree" \
		"$user@127.0.0.1:$far/"
	tap_ok compare diff -r "$near/tree" "$far/tree"
}

test_tar_pipes()
{
	make_tree
	mkdir -p "$far/tar" "$near/untar"
	ours "$far/tar"
	tar -C "$near" -cf - tree | ksh_ssh "tar -C $far/tar -xf -"
	tap_ok compare diff -r "$near/tree" "$far/tar/tree"
	ksh_ssh "tar -C $far/tar -cf - tree" | tar -C "$near/untar" -xf -
	tap_ok compare diff -r "$near/tree" "$near/untar/tree"
}

test_git()
{
	local url=ssh://$user@127.0.0.1:$port$far/repo.git

	command -v git >/dev/null || { tap_skip "no git"; return; }
	make_tree
	export GIT_SSH_COMMAND GIT_CONFIG_NOSYSTEM=1
	GIT_SSH_COMMAND=$(ssh_command | sed "s/-p $port//")
	git config --global user.name test
	git config --global user.email test@localhost
	git config --global init.defaultBranch main
	git config --global safe.directory '*'
	tap_ok "far repo" ksh_ssh "git init -q --bare $far/repo.git"
	git init -q "$near/repo"
	cp -r "$near/tree" "$near/repo/"
	tap_ok add git -C "$near/repo" add .
	tap_ok commit git -C "$near/repo" commit -qm one
	tap_ok push timeout "$hang" git -C "$near/repo" push -q "$url" \
		HEAD:refs/heads/main
	tap_ok clone timeout "$hang" git clone -q -b main "$url" "$near/clone"
	tap_ok compare diff -r "$near/tree" "$near/clone/tree"
	tap_ok fetch timeout "$hang" git -C "$near/clone" fetch -q
}

server_start
tap_run "$@"
