// SPDX-License-Identifier: MIT
/* READ: from a file to the channel. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "core/core.h"
#include "file/sftp_server.h"

void sftp_fill_data_hdr(uint8_t hdr[SFTP_DATA_HDR_LEN], uint32_t req_id,
			uint32_t n)
{
	kssh_put_be32(hdr, SFTP_DATA_HDR_LEN - 4 + n);
	hdr[4] = SSH_FXP_DATA;
	kssh_put_be32(hdr + 5, req_id);
	kssh_put_be32(hdr + 9, n);
}

static void fill(void *arg, uint8_t *hdr, size_t n)
{
	const struct sftp_read *rd = arg;

	sftp_fill_data_hdr(hdr, rd->req_id, n);
}

/* What splice cannot take, or there is no descriptor left for its pipe. */
static bool must_copy(int err)
{
	return err == -EINVAL || err == -EMFILE || err == -ENFILE;
}

static ssize_t read_some(const struct sftp_read *rd, void *p, uint32_t len)
{
	ssize_t n;

	do {
		if (rd->handle->seekable)
			n = pread(rd->handle->fd, p, len, rd->off);
		else
			n = read(rd->handle->fd, p, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Small files; devices, FIFOs, some files of /proc: what splice cannot take. */
static int read_copied(struct sftp *sftp, struct sftp_read *rd, uint32_t max)
{
	uint32_t len = rd->len < max ? rd->len : max;
	uint8_t *p;
	ssize_t n;

	sftp_reply_begin(sftp, SSH_FXP_DATA, rd->req_id);
	buf_put_u32(&sftp->reply, 0);
	p = buf_put_space(&sftp->reply, len);
	if (!p)
		return buf_error(&sftp->reply);
	n = read_some(rd, p, len);
	if (n < 0)
		return n;
	if (!n && len)
		return sftp_reply_status(sftp, rd->req_id, SSH_FX_EOF);
	if (rd->handle->small && n == max && len < rd->len) {
		/* It has grown, and all that is asked for must be given. */
		rd->handle->small = false;
		rd->active = true;
		return SFTP_ANSWERED;
	}
	sftp_reply_trim(sftp, len - n);
	sftp_reply_patch(sftp, SFTP_DATA_HDR_LEN - 4, n);
	sftp->bytes_sent += n;
	rd->handle->bytes_read += n;
	return sftp_reply_end(sftp);
}

int sftp_read_go(struct sftp *sftp)
{
	struct sftp_read *rd = &sftp->read;
	int file_errno = 0;
	ssize_t n;
	int err;

	n = channel_send_file(sftp->ch, rd->handle->fd, rd->off, rd->len,
			      SFTP_DATA_HDR_LEN, fill, rd, sftp_tx_flags(sftp),
			      &file_errno);
	if (n < 0 && file_errno)
		n = -file_errno;
	else if (n < 0 && !must_copy(n))
		return n;
	rd->active = false;
	if (n > 0) {
		sftp->bytes_sent += n;
		rd->handle->bytes_read += n;
		return 0;
	}
	if (!n) {
		err = sftp_reply_status(sftp, rd->req_id, SSH_FX_EOF);
	} else {
		err = n;
		if (must_copy(n))
			err = read_copied(sftp, rd, SFTP_SPECIAL_MAX);
		err = sftp_reply_errno(sftp, rd->req_id, err);
	}
	return err == SFTP_ANSWERED ? 0 : err;
}

/*
 * draft 6.4: "the server will read as many bytes as it can from the file (up
 * to `len'), and return them in a SSH_FXP_DATA message."
 */
int sftp_read(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct sftp_read *rd = &sftp->read;
	int err;

	*rd = (struct sftp_read){ .req_id = req_id };
	err = sftp_handle_get(sftp, req, &rd->handle);
	if (err == -EPROTO)
		return err;
	if (buf_get_u64(req, &rd->off) || buf_get_u32(req, &rd->len))
		return -EPROTO;
	if (err)
		return err;
	if (rd->handle->kind != SFTP_HANDLE_FILE)
		return -ESTALE;
	if ((rd->handle->open_flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (rd->off > INT64_MAX)
		return -EINVAL;
	if (rd->len > SFTP_IO_MAX)
		rd->len = SFTP_IO_MAX;
	/* Nothing asked for is nothing given, not end of file. */
	if (!rd->handle->regular || !rd->len)
		return read_copied(sftp, rd, SFTP_SPECIAL_MAX);
	if (sftp_aio_wants(sftp, rd)) {
		err = sftp_aio_read(sftp, rd);
		if (!err)
			return SFTP_ANSWERED;
		/* Without memory it is read at once, but not past others. */
		if (rd->handle->aio_ops)
			return err;
	}
	if (rd->handle->small)
		return read_copied(sftp, rd, SFTP_SMALL_MAX);
	rd->active = true;
	return SFTP_ANSWERED;
}
