/* SPDX-License-Identifier: MIT */
/* Words of a line, with quotes; wildcard patterns. */
#ifndef KSSH_LIB_WORD_H
#define KSSH_LIB_WORD_H

#include <stdbool.h>
#include <stddef.h>

static inline bool word_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * Unquote, in place, the word that begins at *pos, and go on to what is behind
 * it. Blanks between quotes, or behind a backslash, belong to it. 0, or
 * -EINVAL with *why said.
 */
int word_cut(char **pos, const char **why);

/*
 * ssh_config(5), PATTERNS: "*" zero or more characters, "?" exactly one. The
 * @len bytes at @pattern are one.
 */
bool word_matches(const char *s, const char *pattern, size_t len);
/*
 * Patterns separated by commas: 1 one of them matches; -1 one that matches
 * begins with "!"; 0 neither.
 */
int word_matches_list(const char *s, const char *list);

#endif
