// SPDX-License-Identifier: MIT
/* Opening, requests and closing of channels, RFC 4254 5 and 6. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "channel/conn.h"
#include "lib/log.h"
#include "lib/mem.h"

/* RFC 4254 5.1 */
#define SSH_OPEN_ADMINISTRATIVELY_PROHIBITED	1
#define SSH_OPEN_UNKNOWN_CHANNEL_TYPE		3
#define SSH_OPEN_RESOURCE_SHORTAGE		4

struct channel *conn_channel(struct conn *conn, uint32_t local_id)
{
	struct channel *ch;

	if (local_id >= CONN_CHANNELS_MAX)
		return NULL;
	ch = conn->channels[local_id];
	return ch && !ch->close_rcvd ? ch : NULL;
}

static int open_failure(struct conn *conn, uint32_t remote_id, uint32_t reason,
			const char *text)
{
	struct buf msg;

	buf_init(&msg, 256);
	buf_put_u8(&msg, SSH_MSG_CHANNEL_OPEN_FAILURE);
	buf_put_u32(&msg, remote_id);
	buf_put_u32(&msg, reason);
	buf_put_cstring(&msg, text);
	buf_put_cstring(&msg, "");
	return conn_send_buf(conn, &msg);
}

static int open_confirmation(struct conn *conn, const struct channel *ch)
{
	struct buf msg;

	buf_init(&msg, 64);
	buf_put_u8(&msg, SSH_MSG_CHANNEL_OPEN_CONFIRMATION);
	buf_put_u32(&msg, ch->remote_id);
	buf_put_u32(&msg, ch->local_id);
	buf_put_u32(&msg, CONN_WINDOW);
	buf_put_u32(&msg, CONN_MAX_PACKET);
	return conn_send_buf(conn, &msg);
}

/* Once a connection: the peer can ask for more without end. */
static void log_shortage(struct conn *conn, const char *what, int err)
{
	if (!conn->shortage_logged)
		log_error("cannot %s for %s: %s", what, conn->args->user,
			  strerror(-err));
	conn->shortage_logged = true;
}

/*
 * Round robin, so that an id just closed is not used again at once. Channels
 * whose consumer outlives them count: each may be a command that runs on.
 */
static int free_id(struct conn *conn, uint32_t *id)
{
	const struct channel *ch;
	unsigned int i, used = 0;

	for (ch = conn->lingering; ch; ch = ch->next)
		used++;
	for (i = 0; i < CONN_CHANNELS_MAX; i++)
		used += !!conn->channels[i];
	if (used >= CONN_CHANNELS_MAX)
		return -ENOSPC;
	while (conn->channels[conn->next_id % CONN_CHANNELS_MAX])
		conn->next_id++;
	*id = conn->next_id++ % CONN_CHANNELS_MAX;
	return 0;
}

/*
 * RFC 4254 5.1: string channel type, uint32 sender channel, uint32 initial
 * window size, uint32 maximum packet size
 */
int conn_channel_open(struct conn *conn, struct buf *msg)
{
	static const char session[] = "session";
	struct conn_channel_params params;
	const uint8_t *type;
	struct channel *ch;
	size_t len;
	int err;

	if (buf_get_string(msg, &type, &len) ||
	    buf_get_u32(msg, &params.remote_id) ||
	    buf_get_u32(msg, &params.remote_window) ||
	    buf_get_u32(msg, &params.remote_max_packet))
		return -EPROTO;
	/* A sender of no bytes at all could never be answered. */
	if (!params.remote_max_packet)
		return -EPROTO;
	if (len != sizeof(session) - 1 || memcmp(type, session, len))
		return open_failure(conn, params.remote_id,
				    SSH_OPEN_UNKNOWN_CHANNEL_TYPE,
				    "unknown channel type");
	if (conn->no_more_sessions)
		return open_failure(conn, params.remote_id,
				    SSH_OPEN_ADMINISTRATIVELY_PROHIBITED,
				    "no more sessions were asked for");
	if (free_id(conn, &params.local_id))
		return open_failure(conn, params.remote_id,
				    SSH_OPEN_RESOURCE_SHORTAGE,
				    "too many channels");
	err = conn->path->open_channel(conn, &params, &ch);
	if (err) {
		log_shortage(conn, "open a channel", err);
		return open_failure(conn, params.remote_id,
				    SSH_OPEN_RESOURCE_SHORTAGE,
				    "no resources for a channel");
	}
	ch->conn = conn;
	ch->local_id = params.local_id;
	ch->remote_id = params.remote_id;
	conn->channels[ch->local_id] = ch;
	return open_confirmation(conn, ch);
}

/* ---- requests ---- */

/*
 * A request's data, parsed by its handler. 0 done; -EPROTO malformed; any
 * other: refused, the channel goes on.
 */
typedef int (*request_fn)(struct conn *conn, struct channel *ch,
			  struct buf *msg);

static int start_command(struct conn *conn, struct channel *ch,
			 const char *command, bool subsystem)
{
	int err;

	if (ch->consumer)
		return -EALREADY;
	ch->subsystem = subsystem;
	err = conn_start(conn, ch, command, subsystem);
	if (err)
		log_shortage(conn, "start a command", err);
	return err;
}

/* RFC 4254 6.5: string "shell", boolean want reply, and no more */
static int request_shell(struct conn *conn, struct channel *ch, struct buf *msg)
{
	if (buf_end(msg))
		return -EPROTO;
	return start_command(conn, ch, NULL, false);
}

/* RFC 4254 6.5: "string command" */
static int request_exec(struct conn *conn, struct channel *ch, struct buf *msg)
{
	char *command = NULL;
	int err = -EPROTO;

	if (!buf_get_cstring(msg, &command) && !buf_end(msg))
		err = start_command(conn, ch, command, false);
	free(command);
	return err;
}

static const char *find_subsystem(const struct conf *conf, const char *name)
{
	unsigned int i;

	for (i = 0; i < conf->n_subsystems; i++)
		if (!strcmp(conf->subsystems[i].name, name))
			return conf->subsystems[i].command;
	return NULL;
}

/* RFC 4254 6.5: "string subsystem name" */
static int request_subsystem(struct conn *conn, struct channel *ch,
			     struct buf *msg)
{
	const char *command;
	char *name = NULL;

	if (buf_get_cstring(msg, &name) || buf_end(msg)) {
		free(name);
		return -EPROTO;
	}
	command = find_subsystem(conn->args->conf, name);
	free(name);
	if (!command)
		return -ENOENT;
	return start_command(conn, ch, command, true);
}

/* What OpenSSH's packages accept; nothing that changes how programs load. */
static bool env_is_accepted(const char *name)
{
	return !strcmp(name, "LANG") || !strncmp(name, "LC_", 3) ||
	       !strcmp(name, "COLORTERM") || !strcmp(name, "NO_COLOR");
}

static int add_env(struct channel *ch, const char *name, const char *value)
{
	char *var;

	if (ch->consumer || ch->n_env == CHANNEL_ENV_MAX ||
	    strlen(name) + strlen(value) > CHANNEL_ENV_LEN)
		return -ENOSPC;
	if (!ch->env)
		ch->env = calloc(CHANNEL_ENV_MAX, sizeof(*ch->env));
	if (!ch->env || asprintf(&var, "%s=%s", name, value) < 0)
		return -ENOMEM;
	ch->env[ch->n_env++] = var;
	return 0;
}

/* RFC 4254 6.4: "string variable name, string variable value" */
static int request_env(struct conn *conn, struct channel *ch, struct buf *msg)
{
	char *name = NULL, *value = NULL;
	int err = -EPERM;

	(void)conn;
	if (buf_get_cstring(msg, &name) || buf_get_cstring(msg, &value) ||
	    buf_end(msg))
		err = -EPROTO;
	else if (env_is_accepted(name) && !strchr(name, '='))
		err = add_env(ch, name, value);
	free(name);
	free(value);
	return err;
}

/* RFC 4254 6.9: "string signal name (without the "SIG" prefix)" */
static int request_signal(struct conn *conn, struct channel *ch,
			  struct buf *msg)
{
	const uint8_t *name;
	size_t len;

	if (buf_get_string(msg, &name, &len) || buf_end(msg))
		return -EPROTO;
	/* what the client did not choose to run it may not disturb either */
	if (conn_forced_command(conn) || ch->subsystem)
		return -EPERM;
	return exec_signal(ch, (const char *)name, len);
}

static const struct {
	const char *name;
	request_fn fn;
} requests[] = {
	{ "exec", request_exec },
	{ "subsystem", request_subsystem },
	{ "shell", request_shell },
	{ "env", request_env },
	{ "signal", request_signal },
};

static request_fn find_request(const uint8_t *name, size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(requests); i++)
		if (len == strlen(requests[i].name) &&
		    !memcmp(name, requests[i].name, len))
			return requests[i].fn;
	return NULL;
}

/* RFC 4254 5.4: uint32 recipient channel, string request type, boolean want
 * reply, data
 */
int conn_channel_request(struct conn *conn, struct buf *msg)
{
	uint8_t reply[5] = { SSH_MSG_CHANNEL_SUCCESS };
	const struct channel_consumer *before;
	struct channel *ch;
	const uint8_t *name;
	bool want_reply;
	request_fn fn;
	uint32_t id;
	size_t len;
	int err = -EOPNOTSUPP;

	if (buf_get_u32(msg, &id) || buf_get_string(msg, &name, &len) ||
	    buf_get_bool(msg, &want_reply))
		return -EPROTO;
	ch = conn_channel(conn, id);
	if (!ch)
		return -EPROTO;
	before = ch->consumer;
	fn = find_request(name, len);
	if (fn && !ch->finishing)
		err = fn(conn, ch, msg);
	if (err == -EPROTO)
		return err;
	if (err)
		reply[0] = SSH_MSG_CHANNEL_FAILURE;
	kssh_put_be32(reply + 1, ch->remote_id);
	/* RFC 4254 5.4: no reply once CHANNEL_CLOSE was sent */
	if (want_reply && !ch->close_sent &&
	    conn_send(conn, reply, sizeof(reply)))
		return -ECONNRESET;
	/* Input may have come before there was a consumer. */
	if (ch->consumer != before)
		channel_notify_readable(ch);
	return 0;
}

/* ---- closing ---- */

/* RFC 4254 6.10, names without "SIG" */
static const struct {
	int number;
	const char *name;
} signals[] = {
	{ SIGABRT, "ABRT" }, { SIGALRM, "ALRM" }, { SIGFPE, "FPE" },
	{ SIGHUP, "HUP" },   { SIGILL, "ILL" },	  { SIGINT, "INT" },
	{ SIGKILL, "KILL" }, { SIGPIPE, "PIPE" }, { SIGQUIT, "QUIT" },
	{ SIGSEGV, "SEGV" }, { SIGTERM, "TERM" }, { SIGUSR1, "USR1" },
	{ SIGUSR2, "USR2" },
};

static const char *signal_name(int number)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++)
		if (signals[i].number == number)
			return signals[i].name;
	return "SIG@openssh.com";
}

static void put_exit_status(struct buf *msg, int status)
{
	if (WIFSIGNALED(status)) {
		buf_put_cstring(msg, "exit-signal");
		buf_put_bool(msg, false);
		buf_put_cstring(msg, signal_name(WTERMSIG(status)));
		buf_put_bool(msg, WCOREDUMP(status));
		buf_put_cstring(msg, "");
		buf_put_cstring(msg, "");
	} else {
		buf_put_cstring(msg, "exit-status");
		buf_put_bool(msg, false);
		buf_put_u32(msg, WEXITSTATUS(status));
	}
}

int conn_channel_status(struct channel *ch)
{
	struct buf msg;

	if (ch->status == CHANNEL_NO_STATUS || ch->status_sent)
		return 0;
	ch->status_sent = true;
	buf_init(&msg, 256);
	buf_put_u8(&msg, SSH_MSG_CHANNEL_REQUEST);
	buf_put_u32(&msg, ch->remote_id);
	put_exit_status(&msg, ch->status);
	return conn_send_buf(ch->conn, &msg);
}

static int send_close(struct channel *ch)
{
	uint8_t msg[5] = { SSH_MSG_CHANNEL_CLOSE };

	ch->close_sent = true;
	kssh_put_be32(msg + 1, ch->remote_id);
	return conn_send(ch->conn, msg, sizeof(msg));
}

static void unlink_lingering(struct channel *ch)
{
	struct channel **p = &ch->conn->lingering;

	while (*p && *p != ch)
		p = &(*p)->next;
	if (*p)
		*p = ch->next;
}

void conn_channel_finished(struct channel *ch)
{
	if (!ch->conn) {
		ch->ops->detach(ch);
		return;
	}
	/* The slot stays until both have sent CHANNEL_CLOSE. */
	if (ch->close_sent && !ch->close_rcvd)
		return;
	if (!ch->close_sent && !conn_channel_status(ch))
		send_close(ch);
	if (!ch->close_rcvd) {
		ch->ops->detach(ch);
		return;
	}
	if (ch->conn->channels[ch->local_id] == ch)
		ch->conn->channels[ch->local_id] = NULL;
	unlink_lingering(ch);
	channel_release(ch);
}

/*
 * RFC 4254 5.3: "Upon receiving this message, a party MUST send back an
 * SSH_MSG_CHANNEL_CLOSE unless it has already sent this message"
 */
int conn_channel_close(struct conn *conn, struct buf *msg)
{
	struct channel *ch;
	uint32_t id;

	if (buf_get_u32(msg, &id) || buf_end(msg))
		return -EPROTO;
	ch = conn_channel(conn, id);
	if (!ch)
		return -EPROTO;
	ch->close_rcvd = true;
	/* Only its exit status is missing: PuTTY closes at EOF, and wants it. */
	if (ch->consumer && ch->eof_asked && !ch->close_sent) {
		ch->ops->peer_closed(ch);
		return 0;
	}
	conn->channels[id] = NULL;
	if (!ch->close_sent && send_close(ch))
		return -ECONNRESET;
	if (!ch->consumer) {
		channel_release(ch);
		return 0;
	}
	/* What has arrived still goes to the consumer: data, then EOF. */
	ch->next = conn->lingering;
	conn->lingering = ch;
	ch->ops->peer_closed(ch);
	/* Whoever waits to send need not: it goes nowhere. */
	channel_notify_writable(ch);
	return 0;
}

void conn_end_channels(struct conn *conn)
{
	struct channel *ch;
	unsigned int i;

	for (i = 0; i < CONN_CHANNELS_MAX; i++) {
		ch = conn->channels[i];
		conn->channels[i] = NULL;
		if (ch)
			channel_end(ch);
	}
	while (conn->lingering) {
		ch = conn->lingering;
		conn->lingering = ch->next;
		channel_end(ch);
	}
}

bool conn_has_backlog(const struct conn *conn)
{
	return conn->backlog || buf_len(&conn->held);
}

void conn_backlog_gone(struct conn *conn)
{
	struct channel *ch;
	unsigned int i;

	for (i = 0; i < CONN_CHANNELS_MAX && !conn_has_backlog(conn); i++) {
		ch = conn->channels[i];
		if (!ch || !ch->after_backlog)
			continue;
		ch->after_backlog = false;
		channel_notify_writable(ch);
	}
}
