// SPDX-License-Identifier: MIT
/* Look for a key in the authorized_keys files, as their user. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/authorized_keys.h"
#include "lib/log.h"
#include "lib/mem.h"

/**
 * struct search - a search under way
 * @match: the result
 * @account: whose files
 * @blob: the key
 * @blob_len: its length
 * @path: file that is being read
 * @number: its line
 */
struct search {
	struct authkey_match *match;
	const struct account *account;
	const uint8_t *blob;
	size_t blob_len;
	const char *path;
	uint32_t number;
};

char *authorized_keys_path(const char *pattern, const struct account *account)
{
	char *text = NULL;
	size_t len;
	FILE *f;

	f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	if (pattern[0] != '/' && strncmp(pattern, "%h", 2))
		fprintf(f, "%s/", account->home);
	for (; *pattern; pattern++) {
		if (*pattern != '%') {
			fputc(*pattern, f);
			continue;
		}
		switch (*++pattern) {
		case 'h':
			fputs(account->home, f);
			break;
		case 'u':
			fputs(account->name, f);
			break;
		case 'U':
			fprintf(f, "%u", account->uid);
			break;
		case '%':
			fputc('%', f);
			break;
		default:
			/* the configuration lets no other pass */
			fclose(f);
			free(text);
			return NULL;
		}
	}
	if (fclose(f) || len >= PATH_MAX) {
		free(text);
		return NULL;
	}
	return text;
}

static int check_owner(const struct stat *st, const char *path, uid_t uid,
		       char *why, size_t why_len)
{
	if (st->st_uid && st->st_uid != uid) {
		snprintf(why, why_len, "%s belongs to uid %u", path,
			 st->st_uid);
		return -EPERM;
	}
	if (st->st_mode & 022) {
		snprintf(why, why_len,
			 "%s can be written by others (mode %04o)", path,
			 st->st_mode & 07777);
		return -EPERM;
	}
	return 0;
}

int authorized_keys_check_modes(int fd, const char *path,
				const struct account *account, char *why,
				size_t why_len)
{
	char real[PATH_MAX];
	char home[PATH_MAX];
	struct stat st;
	char *slash;
	int err;

	if (!realpath(path, real) || fstat(fd, &st)) {
		snprintf(why, why_len, "%s: %s", path, strerror(errno));
		return -EPERM;
	}
	if (!realpath(account->home, home))
		home[0] = 0;
	err = check_owner(&st, real, account->uid, why, why_len);
	while (!err && strcmp(real, "/") && strcmp(real, home)) {
		slash = strrchr(real, '/');
		slash[slash == real] = 0;
		if (stat(real, &st)) {
			snprintf(why, why_len, "%s: %s", real, strerror(errno));
			return -EPERM;
		}
		err = check_owner(&st, real, account->uid, why, why_len);
	}
	return err;
}

static void complain(struct search *search, const char *what)
{
	struct authkey_match *match = search->match;

	/* the first is enough for a line in the log */
	if (match->complaint[0])
		return;
	match->line = search->number;
	log_escape(match->file, sizeof(match->file), search->path,
		   strlen(search->path));
	log_escape(match->complaint, sizeof(match->complaint), what,
		   strlen(what));
}

/* Is it this line? -EALREADY: yes, and it may be used. */
static int check_line(struct search *search, const char *line, size_t len)
{
	struct authkey_match *match = search->match;
	struct authorized_key key;
	char what[128];
	int err;

	err = authorized_key_parse(&key, line, len);
	if (err)
		return err == -ENOMEM ? err : 0;
	if (key.blob_len != search->blob_len ||
	    memcmp(key.blob, search->blob, key.blob_len))
		goto out;
	if (key.bad_option[0]) {
		snprintf(what, sizeof(what), "option %s is not supported",
			 key.bad_option);
		complain(search, what);
		goto out;
	}
	match->found = true;
	match->flags = key.flags;
	match->command = key.command;
	key.command = NULL;
	match->line = search->number;
	match->complaint[0] = 0;
	log_escape(match->file, sizeof(match->file), search->path,
		   strlen(search->path));
	err = -EALREADY;
out:
	authorized_key_free(&key);
	return err;
}

/* What is longer than any key is passed over, in bounded memory. */
static int read_lines(struct search *search, FILE *f)
{
	size_t len = 0;
	char *line;
	int err = 0;
	int c;

	line = malloc(AUTHKEY_LINE_MAX + 1);
	if (!line)
		return -ENOMEM;
	search->number = 1;
	do {
		c = getc_unlocked(f);
		if (c != '\n' && c != EOF) {
			if (len <= AUTHKEY_LINE_MAX)
				line[len++] = c;
			continue;
		}
		if (len <= AUTHKEY_LINE_MAX)
			err = check_line(search, line, len);
		len = 0;
		search->number++;
	} while (!err && c != EOF);
	free(line);
	return err;
}

static int read_file(struct search *search, const struct conf *conf)
{
	char why[256] = "";
	struct stat st;
	FILE *f;
	int fd, err;

	search->number = 0;
	/* a FIFO, or a terminal, must not hold us up */
	fd = open(search->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			complain(search, strerror(errno));
		return 0;
	}
	err = fstat(fd, &st) ? -errno : 0;
	if (!err && !S_ISREG(st.st_mode)) {
		complain(search, "not a regular file");
		err = -EINVAL;
	}
	if (!err && conf->strict_modes) {
		err = authorized_keys_check_modes(
			fd, search->path, search->account, why, sizeof(why));
		if (err)
			complain(search, why);
	}
	f = err ? NULL : fdopen(fd, "r");
	if (!f) {
		close(fd);
		return 0;
	}
	err = read_lines(search, f);
	fclose(f);
	return err;
}

int authorized_keys_search(struct authkey_match *match, const struct conf *conf,
			   const struct account *account, const uint8_t *blob,
			   size_t blob_len)
{
	struct search search = {
		.match = match,
		.account = account,
		.blob = blob,
		.blob_len = blob_len,
	};
	unsigned int i;
	char *path;
	int err = 0;

	memset(match, 0, sizeof(*match));
	for (i = 0; !err && i < conf->n_authorized_keys; i++) {
		path = authorized_keys_path(conf->authorized_keys[i], account);
		if (!path)
			return -ENOMEM;
		search.path = path;
		err = read_file(&search, conf);
		free(path);
	}
	return err == -EALREADY ? 0 : err;
}

void authkey_match_free(struct authkey_match *match)
{
	free(match->command);
	match->command = NULL;
}
