// SPDX-License-Identifier: MIT
/*
 * Which request must wait for file I/O that is under way, and with it all that
 * come behind it.
 *
 * draft 3: "the server may process non-overlapping read/write requests to the
 * same file in parallel, but overlapping reads and writes cannot be reordered
 * or parallelized": nothing that changes a file goes past a READ of it, nothing
 * that sees what is in it past a WRITE. Requests for other files go past, and
 * are answered before those that wait for a disk.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "core/core.h"
#include "file/sftp_server.h"

#define HEAD_LEN	(SFTP_HANDLE_OFF + SFTP_HANDLE_LEN)

static bool is_any(struct sftp *sftp, enum sftp_aio_kind kind)
{
	return sftp_aio_any(sftp, kind, NULL, NULL);
}

static bool is_of_file(struct sftp *sftp, enum sftp_aio_kind kind,
		       const struct sftp_file *file)
{
	return sftp_aio_any(sftp, kind, file, NULL);
}

static bool is_busy(struct sftp *sftp, const struct sftp_file *file)
{
	return is_of_file(sftp, SFTP_AIO_READ, file) ||
	       is_of_file(sftp, SFTP_AIO_WRITE, file) ||
	       is_of_file(sftp, SFTP_AIO_FSYNC, file);
}

static bool write_waits(struct sftp *sftp, const struct sftp_handle *handle)
{
	const struct sftp_file *file = &handle->file;

	/* One handle's are done in their order. */
	return is_of_file(sftp, SFTP_AIO_READ, file) ||
	       is_of_file(sftp, SFTP_AIO_FSYNC, file) ||
	       sftp_aio_any(sftp, SFTP_AIO_WRITE, file, handle) ||
	       (sftp_aio_wants_write(sftp, handle) &&
		!sftp_aio_has_room(sftp, handle));
}

/* A request that names the handle of something open */
static bool waits_by_handle(struct sftp *sftp, uint8_t type,
			    const struct sftp_handle *handle)
{
	switch (type) {
	case SSH_FXP_READ:
	case SSH_FXP_FSTAT:
		return is_of_file(sftp, SFTP_AIO_WRITE, &handle->file);
	case SSH_FXP_WRITE:
		return write_waits(sftp, handle);
	case SSH_FXP_CLOSE:
		return handle->aio_ops;
	default: /* FSETSTAT */
		return is_busy(sftp, &handle->file);
	}
}

/* What is known by a name may be any file. */
static bool waits_by_name(struct sftp *sftp, uint8_t type)
{
	switch (type) {
	case SSH_FXP_REALPATH:
	case SSH_FXP_READLINK:
	case SSH_FXP_OPENDIR:
		return false;
	case SSH_FXP_LSTAT:
	case SSH_FXP_STAT:
	case SSH_FXP_READDIR: /* it tells sizes */
		return is_any(sftp, SFTP_AIO_WRITE);
	case SSH_FXP_REMOVE:
	case SSH_FXP_MKDIR:
	case SSH_FXP_RMDIR:
	case SSH_FXP_RENAME:
	case SSH_FXP_SYMLINK:
		/* A name may stand for data that are on the disk then. */
		return is_any(sftp, SFTP_AIO_WRITE) ||
		       is_any(sftp, SFTP_AIO_FSYNC);
	default:
		return true;
	}
}

static bool has_handle(uint8_t type)
{
	return type == SSH_FXP_READ || type == SSH_FXP_WRITE ||
	       type == SSH_FXP_CLOSE || type == SSH_FXP_FSTAT ||
	       type == SSH_FXP_FSETSTAT;
}

/* The first @n bytes of a request, which came in pieces maybe */
static size_t get_head(struct sftp *sftp, const uint8_t *p, size_t n,
		       uint8_t head[HEAD_LEN])
{
	size_t have = buf_len(&sftp->in);

	if (have > HEAD_LEN)
		have = HEAD_LEN;
	if (have)
		memcpy(head, buf_data(&sftp->in), have);
	if (n > HEAD_LEN - have)
		n = HEAD_LEN - have;
	memcpy(head + have, p, n);
	return have + n;
}

/* Does an OPEN empty its file? @n bytes of it lie at @p, @have in @head. */
static bool truncates(struct sftp *sftp, const uint8_t *p, size_t n,
		      const uint8_t *head, size_t have)
{
	size_t before = buf_len(&sftp->in);
	size_t off = SFTP_HANDLE_OFF + 3; /* of the last byte of pflags */

	if (have < SFTP_HANDLE_OFF)
		return false;
	off += kssh_get_be32(head + SFTP_REQUEST_HDR_LEN); /* the name */
	if (off >= before + n)
		return false;
	if (off < before)
		return buf_data(&sftp->in)[off] & SSH_FXF_TRUNC;
	return p[off - before] & SSH_FXF_TRUNC;
}

static bool is_busy_name(struct sftp *sftp, struct buf *req)
{
	struct stat st;
	char *path;
	int err;

	if (sftp_path_get(sftp, req, &path))
		return true;
	err = stat(path, &st);
	free(path);
	return !err &&
	       is_busy(sftp, &(struct sftp_file){ st.st_dev, st.st_ino });
}

/* Is something under way on the file that an OPEN names? It came so far. */
static bool names_busy(struct sftp *sftp, const uint8_t *p, size_t n)
{
	struct buf *in = &sftp->in;
	struct buf whole;
	bool busy;

	if (!buf_len(in)) {
		buf_ref(&whole, p + SFTP_REQUEST_HDR_LEN,
			n - SFTP_REQUEST_HDR_LEN);
		return is_busy_name(sftp, &whole);
	}
	buf_init(&whole, 2 * SFTP_MSG_MAX);
	buf_put_raw(&whole, buf_data(in), buf_len(in));
	buf_put_raw(&whole, p, n < SFTP_MSG_MAX ? n : SFTP_MSG_MAX);
	busy = buf_error(&whole);
	if (!busy) {
		buf_skip(&whole, SFTP_REQUEST_HDR_LEN);
		busy = is_busy_name(sftp, &whole);
	}
	buf_free(&whole);
	return busy;
}

/* Of what is not there yet nothing is done, nor by a handle there is not. */
bool sftp_must_wait(struct sftp *sftp, const uint8_t *p, size_t n)
{
	const struct sftp_handle *handle;
	uint8_t head[HEAD_LEN];
	size_t have;
	uint8_t type;

	if (!sftp->aio_ops || sftp->write.active)
		return false;
	have = get_head(sftp, p, n, head);
	if (have < SFTP_FRAME_HDR_LEN)
		return false;
	if (sftp->aio_ops >= SFTP_AIO_MAX)
		return true;
	type = head[4];
	if (type == SSH_FXP_OPEN)
		return truncates(sftp, p, n, head, have) &&
		       names_busy(sftp, p, n);
	if (!has_handle(type))
		return waits_by_name(sftp, type);
	if (have < HEAD_LEN ||
	    kssh_get_be32(head + SFTP_REQUEST_HDR_LEN) != SFTP_HANDLE_LEN)
		return false;
	handle = sftp_handle_find(&sftp->handles, head + SFTP_HANDLE_OFF,
				  SFTP_HANDLE_LEN);
	return handle && waits_by_handle(sftp, type, handle);
}
