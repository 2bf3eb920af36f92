// SPDX-License-Identifier: MIT
/* A line of the configuration: keyword, arguments, quotes, comment. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/conf_impl.h"
#include "lib/log.h"
#include "lib/word.h"

/* "Keyword value" or "Keyword = value" */
static char *cut_keyword(char **pos)
{
	char *word = *pos;
	char *end = word + strcspn(word, " \t=");
	char *next = end;

	while (word_is_blank(*next))
		next++;
	if (*next == '=')
		next++;
	*end = 0;
	*pos = next;
	return word;
}

int conf_split(char *text, char **keyword, char *argv[CONF_ARGS_MAX], int *argc,
	       const char **why)
{
	size_t len = strlen(text);
	char *pos = text;
	int err;

	while (len && strchr(" \t\r\n\f", text[len - 1]))
		text[--len] = 0;
	*keyword = NULL;
	*argc = 0;
	while (word_is_blank(*pos))
		pos++;
	if (!*pos || *pos == '#')
		return 0;
	*keyword = cut_keyword(&pos);
	for (;;) {
		while (word_is_blank(*pos))
			pos++;
		if (!*pos || *pos == '#')
			return 0;
		if (*argc == CONF_ARGS_MAX) {
			*why = "too many arguments";
			return -EINVAL;
		}
		argv[*argc] = pos;
		err = word_cut(&pos, why);
		if (err)
			return err;
		(*argc)++;
	}
}

int conf_fault(const struct conf_line *line, const char *fmt, ...)
{
	const char *sep = line->keyword ? ": " : "";
	const char *keyword = line->keyword ? line->keyword : "";
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (line->file)
		log_error("%s line %u%s%.64s: %s", line->file, line->number,
			  sep, keyword, what);
	else
		log_error("command line%s%.64s: %s", sep, keyword, what);
	return -EINVAL;
}

int conf_need(const struct conf_line *line, int min, int max)
{
	if (line->argc < min)
		return conf_fault(line, "an argument is missing");
	if (line->argc > max)
		return conf_fault(line, "one argument too many: \"%.64s\"",
				  line->argv[max]);
	if (min && !line->argv[0][0])
		return conf_fault(line, "the argument is empty");
	return 0;
}
