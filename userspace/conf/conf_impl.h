/* SPDX-License-Identifier: MIT */
/* Inside conf/: a line on its way into struct conf. */
#ifndef KSSH_CONF_CONF_IMPL_H
#define KSSH_CONF_CONF_IMPL_H

#include <stddef.h>
#include "conf/conf.h"
#include "file/sftp.h"

#define CONF_ARGS_MAX	64

/**
 * struct conf_line - a line, or an assignment of the command line
 * @conf: where values go
 * @file: name of the file, NULL for the command line
 * @number: line number
 * @keyword: as it is written there
 * @argv: its arguments, quotes removed
 * @argc: how many
 * @rest: the arguments as they are written
 * @text: all of it, as it is written
 * @peer: whose configuration is made of the lines of Match blocks; NULL: the
 *	file is read
 * @taken: an earlier line has set this keyword: check, but do not store
 */
struct conf_line {
	struct conf *conf;
	const char *file;
	unsigned int number;
	const char *keyword;
	char *argv[CONF_ARGS_MAX];
	int argc;
	const char *rest;
	const char *text;
	const struct conf_peer *peer;
	bool taken;
};

#define CONF_MULTI	(1 << 0)	/* each line adds to those before */
#define CONF_IN_MATCH	(1 << 1)	/* may stand in a Match block */

/**
 * struct conf_keyword - a row of the keyword table
 * @name: keyword, case does not matter
 * @parse: takes the arguments
 * @off: where in struct conf the value goes
 * @arg: for @parse
 * @flags: CONF_*
 */
struct conf_keyword {
	const char *name;
	int (*parse)(struct conf_line *line, const struct conf_keyword *kw);
	size_t off;
	const void *arg;
	unsigned int flags;
};

/* conf.c */
int conf_take_line(struct conf_line *line, const char *text);

/* conf_line.c: words, quotes and comments */
/* Cuts @text; -EINVAL with *why said. *keyword is NULL on an empty line. */
int conf_split(char *text, char **keyword, char *argv[CONF_ARGS_MAX], int *argc,
	       const char **why);
/* One log line; always -EINVAL. */
int conf_fault(const struct conf_line *line, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* -EINVAL, after conf_fault(), unless there are @min to @max arguments. */
int conf_need(const struct conf_line *line, int min, int max);

/* conf_copy.c */
/* Without the Match blocks. 0, and conf_free() is due for @to; or -ENOMEM. */
int conf_copy(struct conf *to, const struct conf *from);

/* conf_match.c */
int conf_parse_match(struct conf_line *line, const struct conf_keyword *kw);
/* Check, and keep, a line of a Match block. */
int conf_match_check(struct conf_line *line, const struct conf_keyword *kw);
void conf_match_free(struct conf_match *match);

/* conf_address.c */
/* @list: as in Match Address; checked by the other. */
bool conf_address_matches(const char *addr, const char *list);
/* 0, or -EINVAL with the item that is faulty in @bad. */
int conf_address_check(const char *list, char *bad, size_t bad_len);

/* conf_sftp.c */
/* 0, or -errno after conf_fault() if it is internal-sftp with bad options */
int conf_check_sftp(const struct conf_line *line, const char *command);

/* conf_value.c: one function a kind of value */
struct conf_choice {
	const char *word;
	int value;
};

int conf_parse_flag(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_choice(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_only(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_count(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_time(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_file(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_names(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_force(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_chroot(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_rekey(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_rate(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_startups(struct conf_line *line, const struct conf_keyword *kw);

/* conf_list.c: keywords that may be given several times */
/* Of a number, or a name of services(5); NULL: neither. Freed by the caller. */
char *conf_port_text(const char *word);
/* Are there no %-tokens but %h, %u, %U and %% in the file name? */
bool conf_has_user_tokens(const char *name);
int conf_parse_port(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_listen(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_host_key(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_auth_keys(struct conf_line *line, const struct conf_keyword *kw);
int conf_parse_accept_env(struct conf_line *line,
			  const struct conf_keyword *kw);
int conf_parse_subsystem(struct conf_line *line, const struct conf_keyword *kw);

/* conf_exec.c */
int conf_parse_exec_stdio(struct conf_line *line,
			  const struct conf_keyword *kw);

#endif
