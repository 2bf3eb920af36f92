// SPDX-License-Identifier: MIT
/* Process titles: written over the arguments, where proc(5) looks. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/title.h"

static struct {
	char *start;
	size_t len;
} area;

/* Strings that follow one another in memory end here. */
static char *end_of(char **list, char *end)
{
	for (; *list && *list == end; list++)
		end += strlen(end) + 1;
	return end;
}

static int copy_list(char **list)
{
	for (; *list; list++) {
		*list = strdup(*list);
		if (!*list)
			return -ENOMEM;
	}
	return 0;
}

int title_init(int argc, char **argv)
{
	char *start = argv[0];
	char *end;

	if (argc < 1)
		return 0;
	end = end_of(argv, start);
	/* the environment stands behind them, and makes the room larger */
	end = end_of(environ, end);
	if (copy_list(argv) || copy_list(environ))
		return -ENOMEM;
	area.start = start;
	area.len = end - start;
	return 0;
}

void title_set(const char *name, const char *fmt, ...)
{
	va_list ap;

	prctl(PR_SET_NAME, name);
	if (!area.len)
		return;
	memset(area.start, 0, area.len);
	va_start(ap, fmt);
	vsnprintf(area.start, area.len, fmt, ap);
	va_end(ap);
}
