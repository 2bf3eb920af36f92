// SPDX-License-Identifier: MIT
/* Keywords that may be given several times. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "conf/conf_impl.h"
#include "lib/mem.h"

char *conf_absolute(const char *path)
{
	char dir[4096];
	char *out;

	if (path[0] == '/')
		return strdup(path);
	if (!getcwd(dir, sizeof(dir)))
		return NULL;
	if (asprintf(&out, "%s/%s", dir, path) < 0)
		return NULL;
	return out;
}

/* 0 to 65535 (0: the kernel chooses), or a name of services(5); NULL: bad. */
char *conf_port_text(const char *word)
{
	struct servent *serv;
	char text[8];
	char *end;
	unsigned long n;

	if (word[0] >= '0' && word[0] <= '9') {
		errno = 0;
		n = strtoul(word, &end, 10);
		if (*end || errno || n > 65535)
			return NULL;
	} else {
		serv = getservbyname(word, "tcp");
		if (!serv)
			return NULL;
		n = ((serv->s_port & 0xff) << 8) | ((serv->s_port >> 8) & 0xff);
	}
	snprintf(text, sizeof(text), "%lu", n);
	return strdup(text);
}

int conf_parse_port(struct conf_line *line, const struct conf_keyword *kw)
{
	struct conf *conf = line->conf;
	char *port;
	int err;

	(void)kw;
	err = conf_need(line, 1, 1);
	if (err)
		return err;
	port = conf_port_text(line->argv[0]);
	if (!port)
		return conf_fault(line, "\"%.64s\": say a port, 1 to 65535",
				  line->argv[0]);
	/* -p hides what the file says, as in sshd */
	if (line->taken) {
		free(port);
		return 0;
	}
	if (conf->n_ports == CONF_LISTEN_MAX) {
		free(port);
		return conf_fault(line, "more than %d ports", CONF_LISTEN_MAX);
	}
	conf->ports[conf->n_ports++] = port;
	return 0;
}

/*
 * host, IPv4:port, host:port, IPv6, [IPv6]:port. Cuts @word; *port is NULL if
 * none is said.
 */
static int cut_address(char *word, char **host, char **port)
{
	char *colon;

	*host = word;
	*port = NULL;
	if (word[0] == '[') {
		*host = ++word;
		word = strchr(word, ']');
		if (!word)
			return -EINVAL;
		*word++ = 0;
		if (!*word)
			return **host ? 0 : -EINVAL;
		if (*word != ':' || !word[1])
			return -EINVAL;
		*port = word + 1;
		return **host ? 0 : -EINVAL;
	}
	colon = strchr(word, ':');
	if (!colon || strchr(colon + 1, ':'))
		return 0;
	*colon = 0;
	*port = colon + 1;
	return **port ? 0 : -EINVAL;
}

int conf_parse_listen(struct conf_line *line, const struct conf_keyword *kw)
{
	struct conf *conf = line->conf;
	struct conf_listen *entry;
	char shown[65];
	char *host, *port;
	int err;

	(void)kw;
	err = conf_need(line, 1, 1);
	if (err)
		return err;
	snprintf(shown, sizeof(shown), "%s", line->argv[0]);
	if (cut_address(line->argv[0], &host, &port))
		goto bad;
	if (conf->n_listen == CONF_LISTEN_MAX)
		return conf_fault(line, "more than %d addresses",
				  CONF_LISTEN_MAX);
	entry = &conf->listen[conf->n_listen];
	entry->host = NULL;
	entry->port = NULL;
	if (port) {
		entry->port = conf_port_text(port);
		if (!entry->port)
			goto bad;
	}
	if (*host && strcmp(host, "*")) {
		entry->host = strdup(host);
		if (!entry->host) {
			free(entry->port);
			return -ENOMEM;
		}
	}
	conf->n_listen++;
	return 0;
bad:
	return conf_fault(line,
			  "\"%s\": say an address, address:port or [IPv6]:port",
			  shown);
}

int conf_parse_host_key(struct conf_line *line, const struct conf_keyword *kw)
{
	struct conf *conf = line->conf;
	char *path;
	int err;

	(void)kw;
	err = conf_need(line, 1, 1);
	if (err)
		return err;
	if (conf->n_host_keys == CONF_HOST_KEYS_MAX)
		return conf_fault(line, "more than %d host keys",
				  CONF_HOST_KEYS_MAX);
	path = conf_absolute(line->argv[0]);
	if (!path)
		return -ENOMEM;
	conf->host_keys[conf->n_host_keys++] = path;
	return 0;
}

/* Only %h %u %U and %% may stand in a file name. */
bool conf_has_user_tokens(const char *name)
{
	for (; *name; name++) {
		if (*name != '%')
			continue;
		name++;
		if (!*name || !strchr("huU%", *name))
			return false;
	}
	return true;
}

int conf_parse_auth_keys(struct conf_line *line, const struct conf_keyword *kw)
{
	struct conf *conf = line->conf;
	int i, err;

	(void)kw;
	err = conf_need(line, 1, CONF_AUTHKEYS_MAX);
	if (err)
		return err;
	for (i = 0; i < line->argc; i++) {
		if (!conf_has_user_tokens(line->argv[i]))
			return conf_fault(
				line,
				"\"%.64s\": only %%h, %%u, %%U and %%%% are known",
				line->argv[i]);
		if (!line->argv[i][0])
			return conf_fault(line, "an argument is empty");
	}
	if (line->taken)
		return 0;
	while (conf->n_authorized_keys) {
		free(conf->authorized_keys[--conf->n_authorized_keys]);
		conf->authorized_keys[conf->n_authorized_keys] = NULL;
	}
	if (line->argc == 1 && !strcasecmp(line->argv[0], "none"))
		return 0;
	for (i = 0; i < line->argc; i++) {
		conf->authorized_keys[i] = strdup(line->argv[i]);
		if (!conf->authorized_keys[i])
			return -ENOMEM;
		conf->n_authorized_keys++;
	}
	return 0;
}

/* The session takes these, whether the keyword is there or not. */
int conf_parse_accept_env(struct conf_line *line, const struct conf_keyword *kw)
{
	static const char *const names[] = {
		"LANG",
		"LC_*",
		"COLORTERM",
		"NO_COLOR",
	};
	size_t j;
	int i, err;

	(void)kw;
	err = conf_need(line, 1, CONF_ARGS_MAX);
	if (err)
		return err;
	for (i = 0; i < line->argc; i++) {
		for (j = 0; j < ARRAY_SIZE(names); j++)
			if (!strcmp(line->argv[i], names[j]))
				break;
		if (j == ARRAY_SIZE(names))
			return conf_fault(
				line,
				"\"%.64s\" is not supported: only LANG, LC_*, COLORTERM and NO_COLOR are",
				line->argv[i]);
	}
	return 0;
}

/* One word for the shell that runs the subsystem. */
static void put_word(FILE *f, const char *word)
{
	if (*word && !strpbrk(word, " \t\"'\\$`|&;<>()*?[]#~!{}\n")) {
		fputs(word, f);
		return;
	}
	fputc('\'', f);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", f);
		else
			fputc(*word, f);
	}
	fputc('\'', f);
}

static char *join_words(char **argv, int argc)
{
	char *text = NULL;
	size_t len;
	FILE *f;
	int i;

	/* a single argument is a command line, and stays as it is */
	if (argc == 1)
		return strdup(argv[0]);
	f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	for (i = 0; i < argc; i++) {
		if (i)
			fputc(' ', f);
		put_word(f, argv[i]);
	}
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

/* A new one, or another command for one of before Match. */
static int set_subsystem(struct conf *conf, unsigned int i, const char *name,
			 const char *command)
{
	struct conf_subsystem *sub = &conf->subsystems[i];
	char *copy = strdup(command);

	if (!copy)
		return -ENOMEM;
	if (i == conf->n_subsystems)
		sub->name = strdup(name);
	if (!sub->name) {
		free(copy);
		return -ENOMEM;
	}
	if (i == conf->n_subsystems)
		conf->n_subsystems++;
	free(sub->command);
	sub->command = copy;
	sub->given = true;
	return 0;
}

static int take_subsystem(struct conf_line *line, const char *command)
{
	struct conf *conf = line->conf;
	unsigned int i;
	int err;

	err = conf_check_sftp(line, command);
	if (err)
		return err;
	for (i = 0; i < conf->n_subsystems; i++)
		if (!strcmp(conf->subsystems[i].name, line->argv[0]))
			break;
	if (i == CONF_SUBSYSTEMS_MAX)
		return conf_fault(line, "more than %d subsystems",
				  CONF_SUBSYSTEMS_MAX);
	if (i < conf->n_subsystems && conf->subsystems[i].given)
		return 0;
	return set_subsystem(conf, i, line->argv[0], command);
}

int conf_parse_subsystem(struct conf_line *line, const struct conf_keyword *kw)
{
	char *command;
	int err;

	(void)kw;
	err = conf_need(line, 2, CONF_ARGS_MAX);
	if (err)
		return err;
	if (!line->argv[1][0])
		return conf_fault(line, "the command is empty");
	command = join_words(line->argv + 1, line->argc - 1);
	if (!command)
		return -ENOMEM;
	err = take_subsystem(line, command);
	free(command);
	return err;
}
