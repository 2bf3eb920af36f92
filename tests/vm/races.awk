# SPDX-License-Identifier: GPL-2.0-only
# races.awk: sorts KCSAN's reports in a console log. Those with a function of
# kssh.ko in a stack go to the file RACES, whole, and then how many there were
# of either kind. The log without the others comes out.
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

text ~ / \[kssh\]/ {
	ours = 1
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
	printf "data races: %d with kssh.ko in a stack, %d without\n",
		nr_ours, nr_others >races
}
