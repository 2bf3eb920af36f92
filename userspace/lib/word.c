// SPDX-License-Identifier: MIT
/* Words of a line, with quotes; wildcard patterns. */
#include <errno.h>
#include <string.h>

#include "lib/word.h"

int word_cut(char **pos, const char **why)
{
	char *from = *pos;
	char *to = *pos;
	char quote = 0;

	for (; *from && (quote || !word_is_blank(*from)); from++) {
		if (*from == '\\' && from[1] &&
		    (from[1] == '\\' || from[1] == '"' || from[1] == '\'' ||
		     (!quote && from[1] == ' '))) {
			*to++ = *++from;
		} else if (quote && *from == quote) {
			quote = 0;
		} else if (!quote && (*from == '"' || *from == '\'')) {
			quote = *from;
		} else {
			*to++ = *from;
		}
	}
	if (quote) {
		*why = "a quote is not closed";
		return -EINVAL;
	}
	if (*from)
		from++;
	*to = 0;
	*pos = from;
	return 0;
}

bool word_matches(const char *s, const char *pattern, size_t len)
{
	const char *retry_s = NULL;
	size_t i = 0, star = 0;

	while (*s) {
		if (i < len && pattern[i] == '*') {
			star = i++;
			retry_s = s;
		} else if (i < len && (pattern[i] == '?' || pattern[i] == *s)) {
			i++;
			s++;
		} else if (retry_s) {
			i = star + 1;
			s = ++retry_s;
		} else {
			return false;
		}
	}
	while (i < len && pattern[i] == '*')
		i++;
	return i == len;
}

int word_matches_list(const char *s, const char *list)
{
	bool negated;
	int found = 0;
	size_t len;

	for (; *list; list += len + (list[len] == ',')) {
		len = strcspn(list, ",");
		negated = *list == '!';
		if (!word_matches(s, list + negated, len - negated))
			continue;
		if (negated)
			return -1;
		found = 1;
	}
	return found;
}
