// SPDX-License-Identifier: MIT
/* Values of the configuration: one function a kind. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "conf/conf_impl.h"
#include "kex/kex.h"

/* Pieces of 256 KiB go whole. */
#define RATE_MIN	1024

static void *field(const struct conf_line *line, const struct conf_keyword *kw)
{
	return (char *)line->conf + kw->off;
}

static int parse_yes_no(const char *word, bool *value)
{
	if (!strcasecmp(word, "yes") || !strcasecmp(word, "true"))
		*value = true;
	else if (!strcasecmp(word, "no") || !strcasecmp(word, "false"))
		*value = false;
	else
		return -EINVAL;
	return 0;
}

int conf_parse_flag(struct conf_line *line, const struct conf_keyword *kw)
{
	bool value;
	int err;

	err = conf_need(line, 1, 1);
	if (err)
		return err;
	err = parse_yes_no(line->argv[0], &value);
	if (err)
		return conf_fault(line, "\"%.64s\": say yes or no",
				  line->argv[0]);
	if (!line->taken)
		*(bool *)field(line, kw) = value;
	return 0;
}

/* @arg: struct conf_choice[], ends with a NULL word; the value is an int. */
int conf_parse_choice(struct conf_line *line, const struct conf_keyword *kw)
{
	const struct conf_choice *choice = kw->arg;
	char words[256] = "";
	int err;

	err = conf_need(line, 1, 1);
	if (err)
		return err;
	for (; choice->word; choice++) {
		if (!strcasecmp(line->argv[0], choice->word)) {
			if (!line->taken)
				*(int *)field(line, kw) = choice->value;
			return 0;
		}
		strncat(words, " ", sizeof(words) - strlen(words) - 1);
		strncat(words, choice->word, sizeof(words) - strlen(words) - 1);
	}
	return conf_fault(line, "\"%.64s\": say one of%s", line->argv[0],
			  words);
}

/*
 * Keywords of sshd that turn something on or off which we have only one way:
 * @arg lists the words that say it that way, the first is the usual one.
 */
int conf_parse_only(struct conf_line *line, const struct conf_keyword *kw)
{
	const char *words = kw->arg;
	size_t len;
	int err;

	err = conf_need(line, 1, 1);
	if (err)
		return err;
	while (*words) {
		len = strcspn(words, " ");
		if (!strncasecmp(line->argv[0], words, len) &&
		    !line->argv[0][len])
			return 0;
		words += len;
		words += strspn(words, " ");
	}
	words = kw->arg;
	return conf_fault(
		line,
		"\"%.64s\" is not supported: say %.*s, or remove the line",
		line->argv[0], (int)strcspn(words, " "), words);
}

static int parse_number(const char *word, uint64_t max, uint64_t *value,
			const char **end)
{
	uint64_t n = 0;
	const char *p = word;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (n > (max - (*p - '0')) / 10)
			return -ERANGE;
		n = n * 10 + (*p - '0');
	}
	if (p == word)
		return -EINVAL;
	*value = n;
	*end = p;
	return 0;
}

int conf_parse_count(struct conf_line *line, const struct conf_keyword *kw)
{
	const char *end;
	uint64_t n;
	int err;

	err = conf_need(line, 1, 1);
	if (err)
		return err;
	if (parse_number(line->argv[0], 1000000, &n, &end) || *end)
		return conf_fault(line, "\"%.64s\": say a number up to 1000000",
				  line->argv[0]);
	if (!line->taken)
		*(unsigned int *)field(line, kw) = n;
	return 0;
}

static uint32_t time_unit(char c)
{
	switch (c) {
	case 's':
	case 'S':
		return 1;
	case 'm':
	case 'M':
		return 60;
	case 'h':
	case 'H':
		return 3600;
	case 'd':
	case 'D':
		return 86400;
	case 'w':
	case 'W':
		return 7 * 86400;
	default:
		return 0;
	}
}

/* sshd_config(5) TIME FORMATS: "600", "10m", "1h30m"; at most 2^31 - 1 s */
static int parse_seconds(const char *word, uint32_t *seconds)
{
	uint64_t sum = 0;
	uint64_t n;
	uint32_t unit;

	do {
		if (parse_number(word, INT32_MAX, &n, &word))
			return -EINVAL;
		unit = 1;
		if (*word) {
			unit = time_unit(*word++);
			if (!unit)
				return -EINVAL;
		}
		sum += n * unit;
		if (sum > INT32_MAX)
			return -EINVAL;
	} while (*word);
	*seconds = sum;
	return 0;
}

int conf_parse_time(struct conf_line *line, const struct conf_keyword *kw)
{
	uint32_t seconds = 0;
	int err;

	err = conf_need(line, 1, 1);
	if (err)
		return err;
	if (strcasecmp(line->argv[0], "none") &&
	    parse_seconds(line->argv[0], &seconds))
		return conf_fault(line, "\"%.64s\": say a time: 120, 2m, 1h30m",
				  line->argv[0]);
	if (!line->taken)
		*(uint32_t *)field(line, kw) = seconds;
	return 0;
}

int conf_parse_file(struct conf_line *line, const struct conf_keyword *kw)
{
	char **value = field(line, kw);
	int err;

	err = conf_need(line, 1, 1);
	if (err || line->taken)
		return err;
	free(*value);
	*value = NULL;
	if (!strcasecmp(line->argv[0], "none"))
		return 0;
	*value = conf_absolute(line->argv[0]);
	return *value ? 0 : -ENOMEM;
}

/* A shell will read it: quotes and all. */
int conf_parse_force(struct conf_line *line, const struct conf_keyword *kw)
{
	char **value = field(line, kw);
	int err;

	err = conf_need(line, 1, CONF_ARGS_MAX);
	if (err)
		return err;
	err = conf_check_sftp(line, line->rest);
	if (err || line->taken)
		return err;
	free(*value);
	*value = NULL;
	if (line->argc == 1 && !strcasecmp(line->argv[0], "none"))
		return 0;
	*value = strdup(line->rest);
	return *value ? 0 : -ENOMEM;
}

static int check_chroot(const struct conf_line *line, const char *dir)
{
	if (!conf_has_user_tokens(dir))
		return conf_fault(
			line,
			"\"%.64s\": only %%h, %%u, %%U and %%%% are known",
			dir);
	if (dir[0] != '/' && strncmp(dir, "%h", 2))
		return conf_fault(line, "\"%.64s\": say a name from / on", dir);
	if (geteuid())
		return conf_fault(
			line,
			"needs a server that is run by root; say none, or remove the line");
	return 0;
}

int conf_parse_chroot(struct conf_line *line, const struct conf_keyword *kw)
{
	char **value = field(line, kw);
	bool none;
	int err;

	err = conf_need(line, 1, 1);
	if (err)
		return err;
	none = !strcasecmp(line->argv[0], "none");
	if (!none)
		err = check_chroot(line, line->argv[0]);
	if (err || line->taken)
		return err;
	free(*value);
	*value = none ? NULL : strdup(line->argv[0]);
	return none || *value ? 0 : -ENOMEM;
}

static const enum kex_list *list_of(const struct conf_keyword *kw)
{
	return kw->arg;
}

int conf_parse_names(struct conf_line *line, const struct conf_keyword *kw)
{
	char **value = field(line, kw);
	char *bad = NULL;
	char *names;
	int err;

	err = conf_need(line, 1, 1);
	if (err)
		return err;
	err = kex_check_list(*list_of(kw), line->argv[0], &names, &bad);
	if (err == -EINVAL)
		err = conf_fault(
			line,
			"\"%.64s\" is not known, or nothing is left of the list",
			bad ? bad : line->argv[0]);
	free(bad);
	if (err)
		return err;
	if (line->taken) {
		free(names);
		return 0;
	}
	free(*value);
	*value = names;
	return 0;
}

static int size_shift(char c)
{
	switch (c) {
	case 0:
		return 0;
	case 'k':
	case 'K':
		return 10;
	case 'm':
	case 'M':
		return 20;
	case 'g':
	case 'G':
		return 30;
	default:
		return -EINVAL;
	}
}

static int parse_size(const char *word, uint64_t *bytes)
{
	const char *end;
	uint64_t n;
	int shift;

	if (!strcasecmp(word, "default") || !strcasecmp(word, "none")) {
		*bytes = 0;
		return 0;
	}
	if (parse_number(word, UINT64_MAX >> 31, &n, &end))
		return -EINVAL;
	shift = size_shift(*end);
	if (shift < 0 || (*end && end[1]))
		return -EINVAL;
	*bytes = n << shift;
	return 0;
}

int conf_parse_rekey(struct conf_line *line, const struct conf_keyword *kw)
{
	uint32_t seconds = 0;
	uint64_t bytes;
	int err;

	(void)kw;
	err = conf_need(line, 1, 2);
	if (err)
		return err;
	if (parse_size(line->argv[0], &bytes))
		return conf_fault(line,
				  "\"%.64s\": say default or a size: 500M, 1G",
				  line->argv[0]);
	if (bytes && bytes < 16)
		return conf_fault(line, "\"%.64s\": less than 16 bytes",
				  line->argv[0]);
	if (line->argc == 2 && strcasecmp(line->argv[1], "none") &&
	    parse_seconds(line->argv[1], &seconds))
		return conf_fault(line, "\"%.64s\": say none or a time: 1h",
				  line->argv[1]);
	if (!line->taken) {
		line->conf->rekey_bytes = bytes;
		line->conf->rekey_seconds = seconds;
	}
	return 0;
}

/* From the peer, then to it; one value holds for both. */
int conf_parse_rate(struct conf_line *line, const struct conf_keyword *kw)
{
	uint64_t *value = field(line, kw);
	uint64_t rate[CONF_DIRS];
	int i, err;

	err = conf_need(line, 1, CONF_DIRS);
	if (err)
		return err;
	for (i = 0; i < CONF_DIRS; i++) {
		const char *word = line->argv[i % line->argc];

		if (parse_size(word, &rate[i]) ||
		    (rate[i] < RATE_MIN && strcasecmp(word, "none")))
			return conf_fault(
				line,
				"\"%.64s\": say none, or bytes per second from 1K on: 500K, 20M",
				word);
	}
	if (kw->off == offsetof(struct conf, user_rate) && geteuid() &&
	    (rate[CONF_RX] || rate[CONF_TX]))
		return conf_fault(
			line,
			"needs a server that is run by root; say ConnectionRateLimit, or remove the line");
	if (!line->taken)
		memcpy(value, rate, sizeof(rate));
	return 0;
}

/* "100", or sshd's "start:rate:full" */
int conf_parse_startups(struct conf_line *line, const struct conf_keyword *kw)
{
	struct conf *conf = line->conf;
	uint64_t n[3] = { 0, 100, 0 };
	const char *p;
	int i, err;

	(void)kw;
	err = conf_need(line, 1, 1);
	if (err)
		return err;
	p = line->argv[0];
	for (i = 0; i < 3; i++) {
		if (parse_number(p, 100000, &n[i], &p))
			goto bad;
		if (!*p)
			break;
		if (*p++ != ':' || i == 2)
			goto bad;
	}
	if (i == 0)
		n[2] = n[0];
	else if (i != 2)
		goto bad;
	if (!n[0] || n[2] < n[0] || !n[1] || n[1] > 100)
		goto bad;
	if (!line->taken) {
		conf->max_startups_begin = n[0];
		conf->max_startups_rate = n[1];
		conf->max_startups = n[2];
	}
	return 0;
bad:
	return conf_fault(line,
			  "\"%.64s\": say a number above 0, or start:rate:full",
			  line->argv[0]);
}
