// SPDX-License-Identifier: MIT
/* copy-data: from one open file to another, without the client. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "file/sftp_server.h"

#define COPY_BUF_LEN	(64 * 1024)

static size_t at_most(uint64_t left, size_t max)
{
	return left < max ? left : max;
}

/* The file system may share the blocks, or let its server copy. */
static ssize_t copy_range(const struct sftp_copy *cp, size_t max)
{
	loff_t from = cp->from_off;
	loff_t to = cp->to_off;

	return copy_file_range(cp->from, &from, cp->to, &to, max, 0);
}

static int put_bytes(const struct sftp_copy *cp, const uint8_t *p, size_t n)
{
	uint64_t off = cp->to_off;
	ssize_t done;

	while (n) {
		done = pwrite(cp->to, p, n, off);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO;
		p += done;
		n -= done;
		off += done;
	}
	return 0;
}

static ssize_t copy_bytes(const struct sftp_copy *cp, size_t max)
{
	uint8_t buf[COPY_BUF_LEN];
	ssize_t n;
	int err;

	do {
		n = pread(cp->from, buf, at_most(max, sizeof(buf)),
			  cp->from_off);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	err = put_bytes(cp, buf, n);
	return err ? err : n;
}

static int copy_step(struct sftp *sftp)
{
	struct sftp_copy *cp = &sftp->job.copy;
	size_t max = at_most(cp->left, SFTP_TURN_MAX - sftp->work);
	ssize_t n = 0;

	if (!max)
		return 0;
	if (!cp->plain)
		n = copy_range(cp, max);
	/*
	 * Whatever it is that cannot be done so, or the end that files of /proc
	 * seem to have: reading and writing tell.
	 */
	cp->plain = n <= 0;
	if (cp->plain)
		n = copy_bytes(cp, max);
	if (n < 0)
		return n;
	if (!n)
		return cp->to_eof ? 0 :
				    sftp_reply_status(sftp, sftp->job.req_id,
						      SSH_FX_EOF);
	sftp->work += n;
	cp->from_off += n;
	cp->to_off += n;
	cp->left -= n;
	return -EINPROGRESS;
}

/*
 * Within a file only what is there now is copied, and not over what is still to
 * be read: there might be no end to it.
 */
static int check_ranges(struct sftp_copy *cp, bool append)
{
	struct stat from, to;
	uint64_t to_off;

	if (fstat(cp->from, &from) || fstat(cp->to, &to))
		return -errno;
	if (from.st_dev != to.st_dev || from.st_ino != to.st_ino)
		return 0;
	to_off = append ? (uint64_t)to.st_size : cp->to_off;
	if (cp->to_eof)
		cp->left = cp->from_off < (uint64_t)from.st_size ?
				   from.st_size - cp->from_off :
				   0;
	if (cp->from_off < to_off + cp->left &&
	    to_off < cp->from_off + cp->left)
		return -EOPNOTSUPP;
	return 0;
}

static int check_handles(const struct sftp_handle *from,
			 const struct sftp_handle *to)
{
	if (from->kind != SFTP_HANDLE_FILE || to->kind != SFTP_HANDLE_FILE)
		return -ESTALE;
	if ((from->open_flags & O_ACCMODE) == O_WRONLY ||
	    (to->open_flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	/* What has no offsets, or no end. */
	if (!from->regular || !to->seekable)
		return -EOPNOTSUPP;
	return 0;
}

static int begin(struct sftp_copy *cp, const struct sftp_handle *from,
		 const struct sftp_handle *to)
{
	bool append = to->open_flags & O_APPEND;

	if (cp->from_off > INT64_MAX || cp->to_off > INT64_MAX)
		return -EINVAL;
	cp->from = from->fd;
	cp->to = to->fd;
	cp->to_eof = !cp->left;
	cp->plain = append || !to->regular;
	if (cp->to_eof || cp->left > INT64_MAX - cp->from_off)
		cp->left = INT64_MAX - cp->from_off;
	return check_ranges(cp, append);
}

/*
 * draft-ietf-secsh-filexfer-extensions-00 7: handle and offset to read from,
 * length (0: to the end), handle and offset to write to
 */
int sftp_copy_data(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct sftp_copy *cp = &sftp->job.copy;
	struct sftp_handle *from, *to;
	int from_err, to_err;
	int err;

	*cp = (struct sftp_copy){ 0 };
	from_err = sftp_handle_get(sftp, req, &from);
	if (from_err == -EPROTO || buf_get_u64(req, &cp->from_off) ||
	    buf_get_u64(req, &cp->left))
		return -EPROTO;
	to_err = sftp_handle_get(sftp, req, &to);
	if (to_err == -EPROTO || buf_get_u64(req, &cp->to_off))
		return -EPROTO;
	err = from_err ? from_err : to_err;
	if (!err)
		err = check_handles(from, to);
	if (!err)
		err = begin(cp, from, to);
	return err ? err : sftp_job_start(sftp, req_id, copy_step, NULL);
}
