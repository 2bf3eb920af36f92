// SPDX-License-Identifier: MIT
/*
 * authorized_keys is written by the user, so a process that has the user's
 * rights and no more reads it, and tells what it found.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "monitor/monitor_impl.h"

#define ANS_MATCH	1

/* A network file system that hangs must not hold a login for ever. */
#define LOOKUP_MS	(30 * 1000)

static int put_match(struct buf *out, const struct authkey_match *match)
{
	buf_put_bool(out, match->found);
	buf_put_u32(out, match->flags);
	buf_put_u32(out, match->line);
	buf_put_cstring(out, match->file);
	buf_put_cstring(out, match->complaint);
	buf_put_bool(out, match->command);
	buf_put_cstring(out, match->command ? match->command : "");
	return buf_error(out);
}

static int get_text(struct buf *in, char *to, size_t max)
{
	const uint8_t *p;
	size_t len;
	int err;

	err = buf_get_string(in, &p, &len);
	if (err)
		return err;
	if (len >= max)
		return -EPROTO;
	/* escaped once more: the sender is not trusted */
	log_escape(to, max, p, len);
	return 0;
}

static int get_match(struct buf *in, struct authkey_match *match)
{
	char *command = NULL;
	bool forced;
	int err;

	err = buf_get_bool(in, &match->found);
	if (!err)
		err = buf_get_u32(in, &match->flags);
	if (!err)
		err = buf_get_u32(in, &match->line);
	if (!err)
		err = get_text(in, match->file, sizeof(match->file));
	if (!err)
		err = get_text(in, match->complaint, sizeof(match->complaint));
	if (!err)
		err = buf_get_bool(in, &forced);
	if (!err)
		err = buf_get_cstring(in, &command);
	if (!err)
		err = buf_end(in);
	if (err || !forced) {
		free(command);
		command = NULL;
	}
	match->command = command;
	return err;
}

/* In the child. */
static int search(struct monitor *mon, const uint8_t *blob, size_t len, int fd)
{
	struct authkey_match match = { .found = false };
	struct buf out;
	int err;

	/* the user must not find anything of ours in this process */
	host_keys_free(mon->args->host_keys);
	close(mon->args->tcp_fd);
	close(mon->fd);
	close(mon->log_fd);
	err = account_become(&mon->account);
	if (!err)
		err = authorized_keys_search(&match, mon->conf, &mon->account,
					     blob, len);
	buf_init(&out, MON_MSG_MAX);
	if (!err)
		err = put_match(&out, &match);
	if (!err)
		err = mon_msg_send(fd, 0, ANS_MATCH, &out);
	return err;
}

/* It has said what it had to say, or never will. */
static void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int64_t lookup_deadline(const struct monitor *mon)
{
	int64_t deadline = mon_now_ms() + LOOKUP_MS;

	if (mon->deadline_ms && mon->deadline_ms < deadline)
		return mon->deadline_ms;
	return deadline;
}

int monitor_find_key(struct monitor *mon, const uint8_t *blob, size_t len,
		     struct authkey_match *match)
{
	struct buf in;
	uint8_t type;
	int sv[2];
	pid_t pid;
	int err;

	memset(match, 0, sizeof(*match));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		return -errno;
	pid = fork();
	if (pid < 0) {
		err = -errno;
		close(sv[0]);
		close(sv[1]);
		return err;
	}
	if (!pid) {
		close(sv[0]);
		_exit(search(mon, blob, len, sv[1]) ? 1 : 0);
	}
	close(sv[1]);
	buf_init(&in, MON_MSG_MAX);
	err = mon_msg_recv(sv[0], lookup_deadline(mon), &type, &in);
	reap(pid);
	if (!err && type != ANS_MATCH)
		err = -EPROTO;
	if (!err)
		err = get_match(&in, match);
	if (err) {
		authkey_match_free(match);
		memset(match, 0, sizeof(*match));
		log_error("cannot look into the authorized_keys of %s: %s",
			  mon->account.name, strerror(-err));
	}
	buf_free(&in);
	close(sv[0]);
	return err;
}
