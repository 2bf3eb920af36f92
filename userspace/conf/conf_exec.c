// SPDX-License-Identifier: MIT
/* ExecStdio: which commands get the channel's sockets. */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_impl.h"

static int add(struct conf *conf, bool direct, const char *pattern)
{
	struct conf_exec_stdio *rule = &conf->exec_stdio[conf->n_exec_stdio];

	rule->pattern = strdup(pattern);
	if (!rule->pattern)
		return -ENOMEM;
	rule->direct = direct;
	conf->n_exec_stdio++;
	return 0;
}

int conf_parse_exec_stdio(struct conf_line *line, const struct conf_keyword *kw)
{
	struct conf *conf = line->conf;
	bool direct;
	int i, err;

	(void)kw;
	err = conf_need(line, 1, CONF_ARGS_MAX);
	if (err)
		return err;
	direct = !strcmp(line->argv[0], "direct");
	if (!direct && strcmp(line->argv[0], "pipe"))
		return conf_fault(line, "\"%.64s\": say pipe or direct",
				  line->argv[0]);
	if (conf->n_exec_stdio + line->argc > CONF_EXEC_STDIO_MAX)
		return conf_fault(line, "more than %d patterns",
				  CONF_EXEC_STDIO_MAX);
	if (line->argc == 1)
		return add(conf, direct, "*");
	for (i = 1; i < line->argc && !err; i++)
		err = add(conf, direct, line->argv[i]);
	return err;
}

bool conf_exec_direct(const struct conf *conf, const char *command)
{
	unsigned int i;

	for (i = 0; i < conf->n_exec_stdio; i++)
		if (!fnmatch(conf->exec_stdio[i].pattern, command, 0))
			return conf->exec_stdio[i].direct;
	return false;
}
