// SPDX-License-Identifier: MIT
/*
 * Match: lines that count for some connections only. They are checked when the
 * file is read, kept as they are, and read again for each connection.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/conf_impl.h"
#include "lib/mem.h"
#include "lib/word.h"

/**
 * struct criterion - what a Match line may ask for
 * @name: case does not matter
 * @check: of its value; 0 or -errno after conf_fault()
 * @holds: is it so for this peer?
 */
struct criterion {
	const char *name;
	int (*check)(struct conf_line *line, const char *value);
	bool (*holds)(const struct conf_peer *peer, const char *value);
};

static int check_list(struct conf_line *line, const char *value)
{
	(void)line;
	(void)value;
	return 0;
}

static int check_group(struct conf_line *line, const char *value)
{
	(void)value;
	line->conf->match.by_group = true;
	return 0;
}

static int check_address(struct conf_line *line, const char *value)
{
	char bad[80];

	if (!conf_address_check(value, bad, sizeof(bad)))
		return 0;
	return conf_fault(
		line,
		"\"%s\": say an address, a network (10.1.0.0/16, nothing set behind the prefix) or a pattern",
		bad);
}

static int check_port(struct conf_line *line, const char *value)
{
	char *port = conf_port_text(value);

	if (!port)
		return conf_fault(line, "\"%.64s\": say a port, 1 to 65535",
				  value);
	free(port);
	return 0;
}

static int check_unsupported(struct conf_line *line, const char *value)
{
	(void)value;
	return conf_fault(
		line,
		"this criterion is not supported: say User, Group, Address, LocalAddress, LocalPort or all");
}

static bool user_holds(const struct conf_peer *peer, const char *value)
{
	return word_matches_list(peer->user, value) > 0;
}

/* A group that is excluded weighs more than any that is not. */
static bool group_holds(const struct conf_peer *peer, const char *value)
{
	bool found = false;
	unsigned int i;
	int ret;

	for (i = 0; i < peer->n_groups; i++) {
		ret = word_matches_list(peer->groups[i], value);
		if (ret < 0)
			return false;
		found |= ret;
	}
	return found;
}

static bool address_holds(const struct conf_peer *peer, const char *value)
{
	return conf_address_matches(peer->addr, value);
}

static bool local_address_holds(const struct conf_peer *peer, const char *value)
{
	return conf_address_matches(peer->local_addr, value);
}

static bool local_port_holds(const struct conf_peer *peer, const char *value)
{
	char *port = conf_port_text(value);
	bool same = port && strtoul(port, NULL, 10) == peer->local_port;

	free(port);
	return same;
}

static const struct criterion criteria[] = {
	{ "User", check_list, user_holds },
	{ "Group", check_group, group_holds },
	{ "Address", check_address, address_holds },
	{ "LocalAddress", check_address, local_address_holds },
	{ "LocalPort", check_port, local_port_holds },
	{ "Host", check_unsupported, NULL },
	{ "RDomain", check_unsupported, NULL },
	{ "Invalid-User", check_unsupported, NULL },
	{ "Version", check_unsupported, NULL },
};

static const struct criterion *find_criterion(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(criteria); i++)
		if (strlen(criteria[i].name) == len &&
		    !strncasecmp(criteria[i].name, name, len))
			return &criteria[i];
	return NULL;
}

/* "Name value" or "Name=value" at argv[*i]; on to the next. -errno */
static int next_criterion(struct conf_line *line, int *i,
			  const struct criterion **crit, const char **value)
{
	const char *word = line->argv[(*i)++];
	size_t len = strcspn(word, "=");

	*crit = find_criterion(word, len);
	if (!*crit)
		return conf_fault(
			line,
			"\"%.64s\": say User, Group, Address, LocalAddress, LocalPort or all",
			word);
	if ((*crit)->check == check_unsupported)
		return (*crit)->check(line, NULL);
	if (word[len])
		*value = word + len + 1;
	else
		*value = *i < line->argc ? line->argv[(*i)++] : "";
	if (!**value)
		return conf_fault(line, "%s needs a value", (*crit)->name);
	return 0;
}

/* For line->peer: do all hold? Without one: is the line in order? */
static int test_criteria(struct conf_line *line, bool *hold)
{
	const struct criterion *crit;
	const char *value = "";
	int i = 0;
	int err;

	*hold = true;
	if (line->argc == 1 && !strcasecmp(line->argv[0], "all"))
		return 0;
	while (i < line->argc) {
		if (!strcasecmp(line->argv[i], "all"))
			return conf_fault(line, "all stands alone");
		err = next_criterion(line, &i, &crit, &value);
		if (!err && !line->peer)
			err = crit->check(line, value);
		if (err)
			return err;
		if (line->peer && !crit->holds(line->peer, value))
			*hold = false;
	}
	return 0;
}

static int keep_line(struct conf_match *match, const struct conf_line *line)
{
	struct conf_match_line *lines;

	if (!match->file)
		match->file = strdup(line->file);
	lines = realloc(match->lines, (match->n + 1) * sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	match->lines = lines;
	lines[match->n].number = line->number;
	lines[match->n].text = strdup(line->text);
	if (!match->file || !lines[match->n].text)
		return -ENOMEM;
	match->n++;
	return 0;
}

int conf_parse_match(struct conf_line *line, const struct conf_keyword *kw)
{
	struct conf_match *match = &line->conf->match;
	bool hold;
	int err;

	(void)kw;
	if (!line->file)
		return conf_fault(line, "stands in a file only");
	if (!line->peer) {
		/* what follows belongs to it, even if it is faulty */
		match->open = true;
		match->by_group = false;
	}
	err = conf_need(line, 1, CONF_ARGS_MAX);
	if (!err)
		err = test_criteria(line, &hold);
	if (err)
		return err;
	if (!line->peer)
		return keep_line(match, line);
	match->open = hold;
	return 0;
}

int conf_match_check(struct conf_line *line, const struct conf_keyword *kw)
{
	struct conf *conf = line->conf;
	struct conf scratch;
	int err;

	if (!(kw->flags & CONF_IN_MATCH))
		return conf_fault(
			line,
			"cannot depend on user or address: put it before the first Match");
	/* how often one may try must not tell who has an account */
	if (conf->match.by_group &&
	    kw->off == offsetof(struct conf, max_auth_tries))
		return conf_fault(
			line, "cannot depend on Group: say User or Address");
	err = conf_copy(&scratch, conf);
	if (err)
		return err;
	line->conf = &scratch;
	err = kw->parse(line, kw);
	line->conf = conf;
	conf_free(&scratch);
	return err ? err : keep_line(&conf->match, line);
}

void conf_match_free(struct conf_match *match)
{
	while (match->n)
		free(match->lines[--match->n].text);
	free(match->lines);
	free(match->file);
	memset(match, 0, sizeof(*match));
}

int conf_for_peer(struct conf *conf, const struct conf *base,
		  const struct conf_peer *peer)
{
	const struct conf_match *match = &base->match;
	unsigned int i;
	int err;

	err = conf_copy(conf, base);
	if (err)
		return err;
	/* what holds for some comes before what holds for all */
	memset(conf->seen, 0, sizeof(conf->seen));
	for (i = 0; !err && i < match->n; i++) {
		struct conf_line line = {
			.conf = conf,
			.file = match->file,
			.number = match->lines[i].number,
			.peer = peer,
		};

		err = conf_take_line(&line, match->lines[i].text);
	}
	if (err)
		conf_free(conf);
	return err;
}
