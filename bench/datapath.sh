#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What does a byte cost in the data path, on kSSH's channel sockets, on kTLS and
# on plain TCP? Instructions per byte; to be run in the VM with -icount:
#
#   tests/vm/run --icount --timeout 3000 -- bench/datapath.sh
#   tests/vm/run --icount -- bench/datapath.sh -p kssh,ktls -c aes128-gcm \
#	-s 32768 -n 1 -o sendfile,recv
#   tests/vm/run --icount -- bench/datapath.sh --profile 25 -p kssh \
#	-c aes128-gcm -s 32768 -n 1 -o recv
#
# --profile N, before the other options, which must name one row, shows the N
# functions that cost most: perf samples the guest's clock, which is
# instructions, and the samples of each process share what the row has cost it.
# The other options are those of datapath: -h shows them. How costs are charged
# stands in bench/datapath.c. Prints a JSON object a line, and a table.
set -eu

build=${KSSH_BUILD:-build/root}
datapath=$build/bench/datapath

die() {
	echo "datapath: $*" >&2
	exit 1
}

# A prime, so as not to keep step with anything.
period=10007

profile() {
	local top=$1 dir row

	shift
	dir=$(mktemp -d /tmp/datapath.XXXXXX)
	row=$("$datapath" "$@" 2>/dev/null)
	echo "$row"
	[ "$(wc -l <<<"$row")" = 1 ] || die "--profile is of one row"
	echo 0 >/proc/sys/kernel/kptr_restrict
	mkfifo "$dir/ctl" "$dir/ack"
	perf record -q -a -e cpu-clock -c $period -o "$dir/data" --delay=-1 \
		--control="fifo:$dir/ctl,$dir/ack" -- \
		"$datapath" -C "$dir/ctl,$dir/ack" "$@" >"$dir/out" 2>&1 ||
		die "perf: $(cat "$dir/out")"
	perf report -i "$dir/data" --stdio -q --sort comm,symbol \
		-F sample,comm,symbol -t '|' >"$dir/report" 2>/dev/null
	show "$top" "$row" "$dir/report"
	rm -rf "$dir"
}

# Lines of the report: samples|comm|[k] function. The end that is measured and
# kernel threads each share their cost among their samples; the peer is left out.
show() {
	awk -F'|' -v row="$2" '
	function field(name,  text) {
		text = row
		if (!sub(".*\"" name "\": \"?", "", text))
			return ""
		sub("[\",}].*", "", text)
		return text
	}
	function trim(text) {
		gsub(/^ +| +$/, "", text)
		return text
	}
	BEGIN {
		measured = field("op") ~ /^send/ ? "sender" : "receiver"
		if (field("op") ~ /\+/)
			measured = "sender|receiver"
	}
	{
		comm = trim($2)
		if (comm ~ /^(k|rcu|migration)/)
			comm = "kthreads"
		else if (comm !~ "^(" measured ")$")
			next
		fn = trim($3)
		sub(/^\[.\] /, "", fn)
		n[comm] += $1
		by[comm, fn] += $1
	}
	END {
		for (key in by) {
			split(key, part, SUBSEP)
			comm = part[1]
			cost = by[key] / n[comm] * field(comm)
			all[part[2]] += cost
			if (comm == "kthreads")
				kthreads[part[2]] += cost
			samples += by[key]
			total += cost
		}
		printf "9 %.4f 0 all, %d samples\n", total, samples
		for (fn in all)
			printf "1 %.4f %.4f %s\n", all[fn], kthreads[fn], fn
	}' "$3" | sort -k1,1r -k2,2rn | head -n $(($1 + 1)) | awk '
	BEGIN { print "#     i/B  of kthreads" }
	{
		printf "# %7.4f  %11.4f  ", $2, $3
		$1 = $2 = $3 = ""
		sub(/^ +/, "")
		print
	}'
}

[ -x "$datapath" ] || die "no $datapath: make in-root T=tests"
case " $* " in
*" -h "*) exec "$datapath" -h ;;
esac
limits=/proc/sys/net/kssh/conn_window_max
[ -e $limits ] || die "kssh.ko is not loaded: tests/vm/run --icount -- $0"
# Windows are no part of what is measured: they are as large as they get.
echo $((0xffffffff)) >$limits

# where kTLS is no module, or is not asked for, that is no fault
modprobe -q tls || :
if [ "${1:-}" = --profile ]; then
	[ $# -ge 2 ] || die "--profile N"
	shift
	profile "$@"
else
	printf '{"bench": "datapath", "kernel": "%s", "cpu": "%s", ' \
		"$(uname -r)" "$(sed -n 's/^model name[^:]*: *//p;T;q' \
			/proc/cpuinfo)"
	printf '"date": "%s", "unit": "instructions per byte"}\n' \
		"$(date -u +%F)"
	exec "$datapath" "$@"
fi
