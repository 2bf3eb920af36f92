// SPDX-License-Identifier: MIT
/* WRITE: from the channel to a file, as the bytes come. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "file/sftp_server.h"

/* With APPEND the kernel writes at the end whatever the offset says. */
static int store(struct sftp_write *wr, const uint8_t *p, size_t n)
{
	ssize_t done;

	while (n) {
		if (wr->handle->seekable)
			done = pwrite(wr->handle->fd, p, n, wr->off);
		else
			done = write(wr->handle->fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		if (!done)
			return -EIO;
		p += done;
		n -= done;
		wr->off += done;
	}
	return 0;
}

/* How long did it take? A disk that is slow is not waited for again. */
static void store_timed(struct sftp *sftp, const uint8_t *p, size_t n)
{
	struct sftp_write *wr = &sftp->write;
	uint64_t since = sftp_aio_now();

	wr->err = store(wr, p, n);
	sftp_aio_wrote(sftp, wr->handle, sftp_aio_now() - since);
	if (wr->err)
		return;
	sftp->bytes_received += n;
	wr->handle->bytes_written += n;
}

static int begin(struct sftp_write *wr, uint32_t len)
{
	if (wr->handle->kind != SFTP_HANDLE_FILE)
		return -ESTALE;
	if ((wr->handle->open_flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (wr->off > INT64_MAX - (uint64_t)len)
		return -EINVAL;
	return 0;
}

/*
 * @req holds the fields in front of the data; of that it holds nothing, unless
 * the frame is malformed.
 *
 * draft 6.4: "Writing to a file is achieved using the SSH_FXP_WRITE message"
 */
int sftp_write(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct sftp_write *wr = &sftp->write;
	uint32_t len;
	int err;

	*wr = (struct sftp_write){ .req_id = req_id };
	err = sftp_handle_get(sftp, req, &wr->handle);
	if (err == -EPROTO)
		return err;
	if (buf_get_u64(req, &wr->off) || buf_get_u32(req, &len) ||
	    len > sftp->body_left)
		return -EPROTO;
	if (!err)
		err = begin(wr, len);
	if (err || !sftp->body_left)
		return err;
	if (len && sftp_aio_wants_write(sftp, wr->handle))
		err = sftp_aio_write(sftp, len);
	if (err)
		return err;
	wr->active = true;
	wr->left = len;
	wr->skip = sftp->body_left - len;
	return SFTP_ANSWERED;
}

void sftp_write_refuse(struct sftp *sftp, uint32_t req_id, int err)
{
	sftp->write = (struct sftp_write){
		.active = true,
		.req_id = req_id,
		.skip = sftp->body_left,
		.err = err,
	};
}

void sftp_write_end(struct sftp *sftp)
{
	struct sftp_write *wr = &sftp->write;

	if (wr->active && wr->aio && wr->left)
		sftp_aio_free(wr->aio);
	wr->active = false;
}

ssize_t sftp_write_data(struct sftp *sftp, const uint8_t *p, size_t n)
{
	struct sftp_write *wr = &sftp->write;
	size_t data = n < wr->left ? n : wr->left;
	size_t skip;
	int err;

	if (wr->aio)
		sftp_aio_gather(wr->aio, p, data);
	else if (data && !wr->err)
		store_timed(sftp, p, data);
	wr->left -= data;
	skip = n - data < wr->skip ? n - data : wr->skip;
	wr->skip -= skip;
	if (!wr->left && !wr->skip) {
		wr->active = false;
		/* its answer comes when it is done */
		if (wr->aio)
			return data + skip;
		err = sftp_reply_errno(sftp, wr->req_id, wr->err);
		if (err < 0)
			return err;
	}
	return data + skip;
}
