// SPDX-License-Identifier: MIT
/* What runs on a channel: what was asked for, or what is forced. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "channel/conn.h"
#include "file/sftp.h"
#include "lib/log.h"

#define STATUS_REFUSED	(1 << 8)	/* of wait(2) */

/* ---- where nothing but SFTP is served ---- */

static void refusal_readable(struct channel *ch, void *arg)
{
	static const char text[] = "Only SFTP is served here.\n";

	(void)arg;
	(void)channel_write(ch, text, sizeof(text) - 1, 0);
	channel_finish(ch, STATUS_REFUSED);
}

static void refusal_closed(struct channel *ch, void *arg)
{
	(void)ch;
	(void)arg;
}

static const struct channel_consumer refusal = {
	.readable = refusal_readable,
	.writable = refusal_readable,
	.closed = refusal_closed,
};

/* ---- SFTP ---- */

/* %h and %d: home, %u: user, %%; the configuration lets no other pass */
static char *expand(const char *pattern, const struct session_args *args)
{
	char *text = NULL;
	size_t len;
	FILE *f;

	f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	for (; *pattern; pattern++) {
		if (*pattern != '%')
			fputc(*pattern, f);
		else if (*++pattern == '%')
			fputc('%', f);
		else
			fputs(*pattern == 'u' ? args->user : args->home, f);
	}
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

/* One that is not there is passed over, as OpenSSH does. */
static bool is_dir(const char *path)
{
	struct stat st;
	int err = stat(path, &st) ? errno : 0;

	if (!err && !S_ISDIR(st.st_mode))
		err = ENOTDIR;
	if (err)
		log_error("sftp: start directory %s: %s", path, strerror(err));
	return !err;
}

static int start_with(struct channel *ch, const struct session_args *args,
		      struct sftp_options *options)
{
	char *dir = NULL;
	int err;

	if (options->start_dir) {
		dir = expand(options->start_dir, args);
		if (!dir)
			return -ENOMEM;
		options->start_dir = is_dir(dir) ? dir : NULL;
	}
	err = sftp_start(ch, options);
	free(dir);
	return err;
}

static int start_sftp(struct channel *ch, const struct session_args *args,
		      const char *command)
{
	struct sftp_options options;
	char why[256];
	char *text;
	int err;

	text = strdup(command);
	if (!text)
		return -ENOMEM;
	err = conf_sftp_options(&options, text, why, sizeof(why));
	if (!err)
		err = start_with(ch, args, &options);
	else
		/* of a key: the configuration's have been looked at */
		log_error("internal-sftp of a key's command: %s", why);
	free(text);
	return err;
}

static int start_forced(struct conn *conn, struct channel *ch,
			const char *forced, const char *command, bool subsystem)
{
	if (!conf_is_sftp(forced))
		return exec_start(conn, ch, forced, command);
	if (subsystem)
		return start_sftp(ch, conn->args, forced);
	log_info("a command or shell was asked for, only SFTP is served");
	channel_set_consumer(ch, &refusal, NULL);
	return 0;
}

const char *conn_forced_command(const struct conn *conn)
{
	const char *forced = conn->args->conf->force_command;

	return forced ? forced : conn->args->forced_command;
}

int conn_start(struct conn *conn, struct channel *ch, const char *command,
	       bool subsystem)
{
	const char *forced = conn_forced_command(conn);

	if (forced)
		return start_forced(conn, ch, forced, command, subsystem);
	if (subsystem && conf_is_sftp(command))
		return start_sftp(ch, conn->args, command);
	return exec_start(conn, ch, command, NULL);
}
