// SPDX-License-Identifier: MIT
/* "internal-sftp" and its options, which are those of sftp-server(8). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_impl.h"
#include "lib/word.h"

#define NAME		"internal-sftp"
#define WORDS_MAX	32

/**
 * struct parser - options under way
 * @options: the result
 * @allowed: of -p
 * @has_allowed: -p was there
 * @why: what is wrong, for the caller
 * @why_len: room there
 */
struct parser {
	struct sftp_options *options;
	uint64_t allowed;
	bool has_allowed;
	char *why;
	size_t why_len;
};

bool conf_is_sftp(const char *command)
{
	size_t len = sizeof(NAME) - 1;

	return !strncmp(command, NAME, len) &&
	       (!command[len] || word_is_blank(command[len]));
}

static int parse_requests(struct parser *p, const char *list, uint64_t *bits)
{
	uint64_t bit;
	size_t len;

	for (; *list; list += len + (list[len] == ',')) {
		len = strcspn(list, ",");
		bit = sftp_request_bit(list, len);
		if (!bit) {
			snprintf(p->why, p->why_len,
				 "\"%.*s\" is not a request of SFTP",
				 len > 64 ? 64 : (int)len, list);
			return -EINVAL;
		}
		*bits |= bit;
	}
	return 0;
}

static int parse_umask(struct parser *p, const char *value)
{
	unsigned long mask;
	char *end;

	mask = strtoul(value, &end, 8);
	if (*value < '0' || *value > '7' || *end || mask > 0777) {
		snprintf(p->why, p->why_len,
			 "umask \"%.64s\": say an octal number up to 777",
			 value);
		return -EINVAL;
	}
	p->options->umask = mask;
	p->options->has_umask = true;
	return 0;
}

static int parse_start_dir(struct parser *p, const char *value)
{
	const char *percent = value;

	for (; (percent = strchr(percent, '%')); percent += 2)
		if (!percent[1] || !strchr("hdu%", percent[1])) {
			snprintf(
				p->why, p->why_len,
				"\"%.64s\": only %%d, %%h, %%u and %%%% are known",
				value);
			return -EINVAL;
		}
	p->options->start_dir = value;
	return 0;
}

static int parse_log(struct parser *p, char option, const char *value)
{
	int n = option == 'l' ? conf_log_level(value) : conf_facility(value);

	if (n < 0) {
		snprintf(p->why, p->why_len, "-%c \"%.64s\" is not known",
			 option, value);
		return -EINVAL;
	}
	if (option == 'l')
		p->options->log_level = n;
	return 0;
}

static int parse_value(struct parser *p, char option, const char *value)
{
	switch (option) {
	case 'd':
		return parse_start_dir(p, value);
	case 'f':
	case 'l':
		return parse_log(p, option, value);
	case 'P':
		return parse_requests(p, value, &p->options->refused);
	case 'p':
		p->has_allowed = true;
		return parse_requests(p, value, &p->allowed);
	default:
		return parse_umask(p, value);
	}
}

/* -e: the log is where the server's is. */
static bool take_flag(struct parser *p, char option)
{
	if (option == 'R')
		p->options->read_only = true;
	return option == 'R' || option == 'e';
}

/* One word: flags, and perhaps an option with its value behind it or @next. */
static int parse_word(struct parser *p, const char *word, const char *next,
		      bool *next_used)
{
	char option;

	*next_used = false;
	if (*word != '-' || !word[1]) {
		snprintf(p->why, p->why_len, "\"%.64s\" is not an option",
			 word);
		return -EINVAL;
	}
	while ((option = *++word)) {
		if (take_flag(p, option))
			continue;
		if (!strchr("dflPpu", option)) {
			snprintf(p->why, p->why_len,
				 "option -%c is not supported", option);
			return -EINVAL;
		}
		*next_used = !word[1];
		if (word[1])
			return parse_value(p, option, word + 1);
		if (next && *next)
			return parse_value(p, option, next);
		snprintf(p->why, p->why_len, "option -%c needs a value",
			 option);
		return -EINVAL;
	}
	return 0;
}

static int split(struct parser *p, char *text, const char *words[WORDS_MAX],
		 int *n)
{
	const char *what = "too many options";
	int err = 0;

	for (*n = 0; !err; (*n)++) {
		while (word_is_blank(*text))
			text++;
		/* the shell would take it for a comment, too */
		if (!*text || *text == '#')
			return 0;
		if (*n == WORDS_MAX)
			break;
		words[*n] = text;
		err = word_cut(&text, &what);
	}
	snprintf(p->why, p->why_len, "%s", what);
	return -EINVAL;
}

int conf_sftp_options(struct sftp_options *options, char *command, char *why,
		      size_t why_len)
{
	struct parser p = {
		.options = options,
		.why = why,
		.why_len = why_len,
	};
	const char *words[WORDS_MAX];
	bool next_used = false;
	int i, n, err;

	memset(options, 0, sizeof(*options));
	options->log_level = LOG_LEVEL_ERROR;
	err = split(&p, command, words, &n);
	for (i = 1; !err && i < n; i += 1 + next_used)
		err = parse_word(&p, words[i], i + 1 < n ? words[i + 1] : NULL,
				 &next_used);
	if (p.has_allowed)
		options->refused |= ~p.allowed;
	return err;
}

int conf_check_sftp(const struct conf_line *line, const char *command)
{
	struct sftp_options options;
	char why[256];
	char *text;
	int err;

	if (!conf_is_sftp(command))
		return 0;
	text = strdup(command);
	if (!text)
		return -ENOMEM;
	err = conf_sftp_options(&options, text, why, sizeof(why));
	if (err)
		err = conf_fault(line, "internal-sftp: %s", why);
	free(text);
	return err;
}
