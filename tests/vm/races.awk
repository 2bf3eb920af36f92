# SPDX-License-Identifier: GPL-2.0-only
# races.awk: sorts KCSAN's reports in a console log. Those of kssh.ko go to the
# file RACES, whole, and then how many there were of either kind. The log
# without the others comes out.
#
# A race is the module's if one of the two accesses is, or a helper's that it
# called. What TCP and workqueues do to their own state is not, whoever has
# called them, nor what an interrupt or a page fault does that found the module
# at work.
#
#	awk -f races.awk -v races=RACES <console.log

function finish()
{
	inside = 0
	if (!ours) {
		nr_others++
		return
	}
	printf "%s", report
	printf "%s", report >races
	nr_ours++
}

BEGIN {
	nr_ours = nr_others = 0
	printf "" >races
	others = "^ (__|do_|__do_)?(tcp_|inet6?_|softirq|local_bh_|sysvec_"
	others = others "|handle_mm_fault|user_addr_fault|queue_work"
	others = others "|try_to_grab_pending|(mod|queue)_delayed_work)"
	shape = "^( |$|=+$|value changed: |Reported by |CPU: |Hardware name: "
	shape = shape "|race at unknown origin|(read|write|read-write|assert "
	shape = shape "no (writes|accesses)) (.*)to 0x[0-9a-f]+ of )"
}

{
	text = $0
	sub(/^\[ *[0-9.]+\] ?/, "", text)
}

text ~ /^BUG: KCSAN: / {
	if (inside)
		finish()
	inside = 1
	ours = 0
	report = text "\n"
	next
}

# What else is said at that time is not of the report.
!inside || text !~ shape {
	print
	next
}

{
	report = report text "\n"
}

# From the access outwards to whose it is.
/ to 0x[0-9a-f]+ of / {
	known = 0
}

text ~ /^ / && !known {
	if (text ~ / \[kssh\]/)
		ours = known = 1
	else if (text ~ others)
		known = 1
}

text ~ /^=+$/ {
	finish()
}

END {
	# The machine stopped within it: nothing says whose it is.
	if (inside) {
		ours = 1
		finish()
	}
	printf "data races: %d of kssh.ko, %d of others\n",
		nr_ours, nr_others >races
}
