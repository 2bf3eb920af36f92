// SPDX-License-Identifier: MIT
/* Memory of a configuration. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_impl.h"
#include "lib/mem.h"

#define ONE(field)		{ offsetof(struct conf, field), 1, 0 }
#define MANY(first, n, step)	{ offsetof(struct conf, first), n, step }

/* Every char * that a configuration owns. */
static const struct {
	size_t off;
	unsigned int n;
	size_t step;
} strings[] = {
	MANY(ports[0], CONF_LISTEN_MAX, sizeof(char *)),
	MANY(listen[0].host, CONF_LISTEN_MAX, sizeof(struct conf_listen)),
	MANY(listen[0].port, CONF_LISTEN_MAX, sizeof(struct conf_listen)),
	MANY(host_keys[0], CONF_HOST_KEYS_MAX, sizeof(char *)),
	MANY(authorized_keys[0], CONF_AUTHKEYS_MAX, sizeof(char *)),
	MANY(subsystems[0].name, CONF_SUBSYSTEMS_MAX,
	     sizeof(struct conf_subsystem)),
	MANY(subsystems[0].command, CONF_SUBSYSTEMS_MAX,
	     sizeof(struct conf_subsystem)),
	MANY(exec_stdio[0].pattern, CONF_EXEC_STDIO_MAX,
	     sizeof(struct conf_exec_stdio)),
	ONE(ciphers),
	ONE(macs),
	ONE(kex),
	ONE(pid_file),
	ONE(force_command),
	ONE(chroot_directory),
};

static char **string_at(struct conf *conf, size_t row, unsigned int i)
{
	return (char **)((char *)conf + strings[row].off +
			 i * strings[row].step);
}

void conf_free(struct conf *conf)
{
	unsigned int i;
	size_t row;

	for (row = 0; row < ARRAY_SIZE(strings); row++)
		for (i = 0; i < strings[row].n; i++)
			free(*string_at(conf, row, i));
	conf_match_free(&conf->match);
	memset(conf, 0, sizeof(*conf));
}

int conf_copy(struct conf *to, const struct conf *from)
{
	unsigned int i;
	char **text;
	size_t row;
	int err = 0;

	*to = *from;
	memset(&to->match, 0, sizeof(to->match));
	for (i = 0; i < CONF_SUBSYSTEMS_MAX; i++)
		to->subsystems[i].given = false;
	for (row = 0; row < ARRAY_SIZE(strings); row++)
		for (i = 0; i < strings[row].n; i++) {
			text = string_at(to, row, i);
			if (!*text)
				continue;
			/* all that is left of @from goes, so go on */
			*text = strdup(*text);
			if (!*text)
				err = -ENOMEM;
		}
	if (err)
		conf_free(to);
	return err;
}
