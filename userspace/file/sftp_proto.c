// SPDX-License-Identifier: MIT
/*
 * SFTP frames: from the bytes of a channel to a request's handler and back.
 *
 * Requests are handled one at a time and in order. One that lies whole in the
 * input is handled there; one that came in pieces is assembled, but of a WRITE
 * only the header: its data goes to the file as it comes. Small answers gather
 * a little. When the channel takes none, soon no input is taken either, and
 * the peer's window closes behind it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "core/core.h"
#include "file/sftp.h"
#include "file/sftp_server.h"
#include "lib/log.h"
#include "lib/mem.h"

#define WRITE_REST_LEN		12	/* offset and length of the data */

/* wait(2) status of a server that gave up */
#define STATUS_FAILED		(255 << 8)

/**
 * struct request - what to do with a request
 * @name: for the log
 * @fn: its handler
 * @writes: changes files: refused by a read-only server
 */
struct request {
	const char *name;
	sftp_fn fn;
	bool writes;
};

/* The bits of requests in a mask are their numbers; extensions come above. */
#define REQUEST_BITS	SFTP_EXTENSION_BIT0

static const struct request requests[] = {
	[SSH_FXP_OPEN] = { "open", sftp_open, false }, /* looks itself */
	[SSH_FXP_CLOSE] = { "close", sftp_close, false },
	[SSH_FXP_READ] = { "read", sftp_read, false },
	[SSH_FXP_WRITE] = { "write", sftp_write, true },
	[SSH_FXP_LSTAT] = { "lstat", sftp_lstat, false },
	[SSH_FXP_FSTAT] = { "fstat", sftp_fstat, false },
	[SSH_FXP_SETSTAT] = { "setstat", sftp_setstat, true },
	[SSH_FXP_FSETSTAT] = { "fsetstat", sftp_fsetstat, true },
	[SSH_FXP_OPENDIR] = { "opendir", sftp_opendir, false },
	[SSH_FXP_READDIR] = { "readdir", sftp_readdir, false },
	[SSH_FXP_REMOVE] = { "remove", sftp_remove, true },
	[SSH_FXP_MKDIR] = { "mkdir", sftp_mkdir, true },
	[SSH_FXP_RMDIR] = { "rmdir", sftp_rmdir, true },
	[SSH_FXP_REALPATH] = { "realpath", sftp_realpath, false },
	[SSH_FXP_STAT] = { "stat", sftp_stat, false },
	[SSH_FXP_RENAME] = { "rename", sftp_rename, true },
	[SSH_FXP_READLINK] = { "readlink", sftp_readlink, false },
	[SSH_FXP_SYMLINK] = { "symlink", sftp_symlink, true },
	/* has a table of its own */
	[SSH_FXP_EXTENDED] = { "extended", sftp_extended, false },
};

static const struct request *find_request(uint8_t type)
{
	if (type >= ARRAY_SIZE(requests) || !requests[type].fn)
		return NULL;
	return &requests[type];
}

static bool is_refused(const struct sftp *sftp, uint8_t type)
{
	return type < REQUEST_BITS && (sftp->refused >> type & 1);
}

uint64_t sftp_request_bit(const char *name, size_t len)
{
	const char *have;
	size_t i;

	for (i = 0; i < REQUEST_BITS && i < ARRAY_SIZE(requests); i++) {
		have = requests[i].name;
		if (have && strlen(have) == len && !memcmp(have, name, len))
			return 1ULL << i;
	}
	return sftp_extension_bits(name, len);
}

/* ---- answers ---- */

static void begin_reply(struct sftp *sftp, uint8_t type)
{
	struct buf *buf = &sftp->reply;

	if (!buf_error(buf))
		buf->len = buf->off + sftp->reply_len;
	buf_put_u32(buf, 0);
	buf_put_u8(buf, type);
}

void sftp_reply_begin(struct sftp *sftp, uint8_t type, uint32_t req_id)
{
	begin_reply(sftp, type);
	buf_put_u32(&sftp->reply, req_id);
}

void sftp_reply_patch(struct sftp *sftp, size_t pos, uint32_t v)
{
	struct buf *buf = &sftp->reply;

	if (!buf_error(buf))
		kssh_put_be32(buf->data + buf->off + sftp->reply_len + pos, v);
}

void sftp_reply_trim(struct sftp *sftp, size_t n)
{
	if (!buf_error(&sftp->reply))
		sftp->reply.len -= n;
}

int sftp_reply_end(struct sftp *sftp)
{
	int err = buf_error(&sftp->reply);

	if (err)
		return err;
	sftp_reply_patch(sftp, 0, buf_len(&sftp->reply) - sftp->reply_len - 4);
	sftp->reply_len = buf_len(&sftp->reply);
	return SFTP_ANSWERED;
}

unsigned int sftp_tx_flags(struct sftp *sftp)
{
	const uint8_t *p;
	ssize_t n;

	if (!sftp->input_left) {
		n = channel_peek(sftp->ch, &p);
		sftp->input_left = n > 0;
		sftp->input_none = n == -EAGAIN;
	}
	if (sftp->input_left)
		sftp->held = true;
	return sftp->input_left ? CHANNEL_MORE : 0;
}

/* Make room for answers again. Little memory stays with an idle server. */
static void empty(struct buf *buf)
{
	if (buf->cap > SFTP_REPLY_MAX)
		buf_free(buf);
	else
		buf_reset(buf);
}

int sftp_push_replies(struct sftp *sftp, unsigned int flags)
{
	int err;

	if (!sftp->reply_len)
		return 0;
	err = channel_write(sftp->ch, buf_data(&sftp->reply), sftp->reply_len,
			    flags);
	if (err)
		return err;
	empty(&sftp->reply);
	sftp->reply_len = 0;
	sftp->gathered = 0;
	if (flags & CHANNEL_MORE)
		sftp->held = true;
	return 0;
}

/* Nothing can be taken: let all answers go. */
static int go_idle(struct sftp *sftp)
{
	int err = sftp_push_replies(sftp, 0);

	if (!err && sftp->held) {
		sftp->held = false;
		channel_flush(sftp->ch);
	}
	return err;
}

/* 0: the next request may be taken; -EAGAIN: not yet; other -errno: dead */
static int push_output(struct sftp *sftp)
{
	int err;

	if (sftp->read.active) {
		err = sftp_push_replies(sftp, CHANNEL_MORE);
		if (!err)
			err = sftp_read_go(sftp);
		if (err)
			return err;
	}
	err = sftp_aio_push(sftp);
	if (err)
		return err;
	if (sftp->job.step) {
		/* It may take long: nobody is to wait for it. */
		err = go_idle(sftp);
		if (!err || err == -EAGAIN)
			err = sftp_job_go(sftp);
		if (err)
			return err;
	}
	if (sftp->reply_len < SFTP_GATHER_OUT &&
	    sftp->gathered < SFTP_GATHER_IN)
		return 0;
	err = sftp_push_replies(sftp, 0);
	if (err == -EAGAIN && sftp->reply_len < SFTP_BACKLOG_MAX)
		return 0;
	return err;
}

/* ---- requests ---- */

/*
 * draft 4: "The server responds with a SSH_FXP_VERSION packet, supplying the
 * lowest of its own and the client's version number."
 */
static int handle_init(struct sftp *sftp, struct buf *req)
{
	uint32_t version;
	int err;

	if (buf_get_u32(req, &version) || !version)
		return -EPROTO;
	sftp->version = version < SFTP_VERSION ? version : SFTP_VERSION;
	begin_reply(sftp, SSH_FXP_VERSION);
	buf_put_u32(&sftp->reply, sftp->version);
	if (sftp->version >= 3)
		sftp_extensions_put(sftp);
	err = sftp_reply_end(sftp);
	return err == SFTP_ANSWERED ? 0 : err;
}

/* The umask is the process's, and so that of its other channels. */
static int call_with_umask(struct sftp *sftp, sftp_fn fn, uint32_t req_id,
			   struct buf *req)
{
	mode_t before = umask(sftp->umask);
	int err = fn(sftp, req_id, req);

	umask(before);
	return err;
}

static int call_handler(struct sftp *sftp, uint8_t type, uint32_t req_id,
			struct buf *req)
{
	const struct request *request = find_request(type);

	if (!request)
		return -ENOSYS;
	if ((request->writes && sftp->read_only) || is_refused(sftp, type))
		return -EACCES;
	if (sftp->has_umask && (type == SSH_FXP_OPEN || type == SSH_FXP_MKDIR))
		return call_with_umask(sftp, request->fn, req_id, req);
	return request->fn(sftp, req_id, req);
}

/*
 * A frame, or the header of a WRITE, lies at @p. 0, or -errno: the peer does
 * not speak SFTP.
 */
static int dispatch(struct sftp *sftp, const uint8_t *p, size_t len)
{
	uint32_t req_id;
	struct buf req;
	int err;

	sftp->body_left = 4 + kssh_get_be32(p) - len;
	buf_ref(&req, p + SFTP_FRAME_HDR_LEN, len - SFTP_FRAME_HDR_LEN);
	if (p[4] == SSH_FXP_INIT || !sftp->version) {
		if (p[4] != SSH_FXP_INIT || sftp->version)
			return -EPROTO;
		return handle_init(sftp, &req);
	}
	if (buf_get_u32(&req, &req_id))
		return -EPROTO;
	err = call_handler(sftp, p[4], req_id, &req);
	if (err < 0 && sftp->body_left) {
		sftp_write_refuse(sftp, req_id, err);
		return 0;
	}
	/* -ENOMEM here: no memory for an answer */
	err = sftp_reply_errno(sftp, req_id, err);
	return err == SFTP_ANSWERED ? 0 : err;
}

/* ---- input ---- */

/* Bytes of a WRITE in front of its data; see frame_need(). */
static size_t write_need(const uint8_t *p, size_t have, size_t frame)
{
	size_t need = SFTP_HANDLE_OFF;
	uint32_t handle_len;

	if (have >= SFTP_HANDLE_OFF) {
		handle_len = kssh_get_be32(p + SFTP_REQUEST_HDR_LEN);
		if (handle_len <= SFTP_HANDLE_STR_MAX)
			need += handle_len + WRITE_REST_LEN;
	}
	return need < frame ? need : frame;
}

/*
 * How many bytes make the frame at @p, or what of it is handled at once? If
 * that is more than @have it may grow when they are there. -EMSGSIZE.
 *
 * draft 3: "uint32 length, byte type, byte[length - 1] data payload"
 */
static ssize_t frame_need(const uint8_t *p, size_t have)
{
	uint32_t len;

	if (have < 4)
		return SFTP_FRAME_HDR_LEN;
	len = kssh_get_be32(p);
	if (!len || len > SFTP_MSG_MAX)
		return -EMSGSIZE;
	if (have < SFTP_FRAME_HDR_LEN)
		return SFTP_FRAME_HDR_LEN;
	if (p[4] == SSH_FXP_WRITE)
		return write_need(p, have, 4 + len);
	return 4 + len;
}

/* A frame in pieces: take up to @n bytes more of it. */
static ssize_t assemble(struct sftp *sftp, const uint8_t *p, size_t n)
{
	struct buf *in = &sftp->in;
	size_t have = buf_len(in);
	ssize_t need = SFTP_FRAME_HDR_LEN;
	int err;

	if (have)
		need = frame_need(buf_data(in), have);
	if (need < 0)
		return need;
	if (n > need - have)
		n = need - have;
	err = buf_put_raw(in, p, n);
	if (err)
		return err;
	have += n;
	need = frame_need(buf_data(in), have);
	if (need < 0)
		return need;
	if ((size_t)need > have)
		return n;
	err = dispatch(sftp, buf_data(in), have);
	empty(in);
	return err ? err : (ssize_t)n;
}

/* Bytes taken of the @n > 0 at @p: up to the end of a request at most. */
static ssize_t take_input(struct sftp *sftp, const uint8_t *p, size_t n)
{
	ssize_t need;
	int err;

	if (sftp->write.active)
		return sftp_write_data(sftp, p, n);
	if (buf_len(&sftp->in))
		return assemble(sftp, p, n);
	need = frame_need(p, n);
	if (need < 0)
		return need;
	if ((size_t)need > n)
		return assemble(sftp, p, n);
	err = dispatch(sftp, p, need);
	return err ? err : need;
}

/* 0: end of file; -EAGAIN: nothing to do now; other -errno: broken off */
static int serve(struct sftp *sftp)
{
	const uint8_t *p;
	ssize_t used;
	ssize_t n;
	int err;

	sftp->input_none = false;
	while (!sftp->closed) {
		err = push_output(sftp);
		if (err)
			return err;
		n = sftp->input_none ? -EAGAIN : channel_peek(sftp->ch, &p);
		if (!n)
			sftp_write_end(sftp);
		if (n > 0 ? sftp_must_wait(sftp, p, n) : !n && sftp->aio_ops)
			n = -EAGAIN;
		if (n <= 0) {
			err = go_idle(sftp);
			return err ? err : (int)n;
		}
		used = take_input(sftp, p, n);
		if (used < 0)
			return used;
		sftp->input_left = used < n;
		sftp->gathered += used;
		channel_consume(sftp->ch, used);
	}
	return -ECONNRESET;
}

/* ---- life ---- */

static void free_sftp(struct sftp *sftp)
{
	log_verbose("sftp: %llu bytes read, %llu bytes written",
		    (unsigned long long)sftp->bytes_sent,
		    (unsigned long long)sftp->bytes_received);
	sftp_job_end(sftp);
	sftp_aio_exit(sftp);
	sftp_handles_exit(&sftp->handles);
	buf_free(&sftp->in);
	buf_free(&sftp->reply);
	free(sftp->start_dir);
	free(sftp);
}

void sftp_run(struct sftp *sftp)
{
	int err;

	sftp->again = true;
	if (sftp->running)
		return;
	sftp->running = true;
	do {
		sftp->again = false;
		err = serve(sftp);
	} while (err == -EAGAIN && sftp->again);
	sftp->running = false;
	if (err == -EAGAIN && !sftp->closed)
		return;
	if (err == -EPROTO || err == -EMSGSIZE)
		log_verbose("sftp: malformed request");
	if (!sftp->closed)
		channel_finish(sftp->ch, err ? STATUS_FAILED : 0);
	free_sftp(sftp);
}

static void readable(struct channel *ch, void *arg)
{
	(void)ch;
	sftp_run(arg);
}

static void again(struct channel *ch, void *arg)
{
	struct sftp *sftp = arg;

	(void)ch;
	sftp->work = 0;
	sftp_run(sftp);
}

static void closed(struct channel *ch, void *arg)
{
	struct sftp *sftp = arg;

	(void)ch;
	sftp->closed = true;
	if (!sftp->running)
		free_sftp(sftp);
}

static const struct channel_consumer consumer = {
	.readable = readable,
	.writable = readable,
	.again = again,
	.closed = closed,
};

static void ignore_signal(int sig)
{
	(void)sig;
}

/*
 * A write beyond RLIMIT_FSIZE, or to a FIFO nobody reads, must not kill the
 * connection. A handler, as SIG_IGN would stay with commands executed.
 */
static void shield_from(int sig)
{
	struct sigaction sa;

	if (sigaction(sig, NULL, &sa) || sa.sa_handler != SIG_DFL)
		return;
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = ignore_signal;
	sa.sa_flags = SA_RESTART;
	(void)sigaction(sig, &sa, NULL);
}

int sftp_start(struct channel *ch, const struct sftp_options *options)
{
	struct sftp *sftp;

	sftp = calloc(1, sizeof(*sftp));
	if (!sftp)
		return -ENOMEM;
	sftp->ch = ch;
	sftp->ring = channel_file_ring(ch);
	sftp->read_only = options->read_only;
	sftp->has_umask = options->has_umask;
	sftp->umask = options->umask;
	sftp->refused = options->refused;
	sftp->log_level = options->log_level;
	if (options->start_dir) {
		sftp->start_dir = strdup(options->start_dir);
		if (!sftp->start_dir) {
			free(sftp);
			return -ENOMEM;
		}
	}
	buf_init(&sftp->in, 4 + SFTP_MSG_MAX);
	buf_init(&sftp->reply, SFTP_BACKLOG_MAX + SFTP_REPLY_MAX);
	sftp_handles_init(&sftp->handles);
	sftp_aio_init(sftp);
	shield_from(SIGXFSZ);
	shield_from(SIGPIPE);
	channel_set_consumer(ch, &consumer, sftp);
	return 0;
}
