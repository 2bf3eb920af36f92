// SPDX-License-Identifier: MIT
/* OPEN, CLOSE, fsync@openssh.com. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "file/sftp_server.h"

#define DEFAULT_MODE	0666

static int open_flags(uint32_t pflags)
{
	int flags = O_RDONLY;

	if ((pflags & SSH_FXF_READ) && (pflags & SSH_FXF_WRITE))
		flags = O_RDWR;
	else if (pflags & SSH_FXF_WRITE)
		flags = O_WRONLY;
	if (pflags & SSH_FXF_APPEND)
		flags |= O_APPEND;
	if (pflags & SSH_FXF_CREAT)
		flags |= O_CREAT;
	if (pflags & SSH_FXF_TRUNC)
		flags |= O_TRUNC;
	if ((pflags & SSH_FXF_EXCL) && (pflags & SSH_FXF_CREAT))
		flags |= O_EXCL;
	return flags;
}

/*
 * Never wait for the other end of a FIFO or for a terminal: that would stop
 * every channel of the connection. Reads and writes of such a file that would
 * wait fail, too. Only a lease on a regular file is waited for.
 */
int sftp_open_file(const char *path, int flags, mode_t mode)
{
	struct stat st;
	int fd;

	fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, mode);
	if (fd < 0 && errno == EWOULDBLOCK && !stat(path, &st) &&
	    S_ISREG(st.st_mode))
		fd = open(path, flags | O_NOCTTY | O_CLOEXEC, mode);
	return fd < 0 ? -errno : fd;
}

static int open_handle(struct sftp *sftp, uint32_t req_id, const char *path,
		       int flags, mode_t mode)
{
	struct sftp_handle *handle;
	struct stat st;
	int fd;

	handle = sftp_handle_alloc(&sftp->handles, SFTP_HANDLE_FILE);
	if (!handle)
		return -EMFILE;
	fd = sftp_open_file(path, flags, mode);
	if (fd < 0) {
		(void)sftp_handle_free(&sftp->handles, handle);
		return fd;
	}
	handle->fd = fd;
	handle->open_flags = flags;
	if (fstat(fd, &st))
		memset(&st, 0, sizeof(st));
	handle->regular = S_ISREG(st.st_mode);
	handle->small = handle->regular && st.st_size <= SFTP_SMALL_MAX;
	handle->file = (struct sftp_file){ st.st_dev, st.st_ino };
	handle->seekable = handle->regular || lseek(fd, 0, SEEK_CUR) >= 0;
	sftp_log_open(sftp, handle, path, mode);
	return sftp_reply_handle(sftp, req_id, handle);
}

/* draft 6.3: "Files are opened and created using the SSH_FXP_OPEN message" */
int sftp_open(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct sftp_attrs attrs;
	uint32_t pflags;
	mode_t mode;
	char *path;
	int flags;
	int err;

	err = sftp_path_get(sftp, req, &path);
	if (err)
		return err;
	if (buf_get_u32(req, &pflags) || sftp_attrs_get(req, &attrs)) {
		err = -EPROTO;
		goto out;
	}
	flags = open_flags(pflags);
	mode = attrs.flags & SSH_FILEXFER_ATTR_PERMISSIONS ?
		       attrs.perm & 07777 :
		       DEFAULT_MODE;
	err = -EACCES;
	if (sftp->read_only &&
	    ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC))))
		goto out;
	err = open_handle(sftp, req_id, path, flags, mode);
out:
	free(path);
	return err;
}

/* draft 6.3: "A file is closed by using the SSH_FXP_CLOSE request." */
int sftp_close(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct sftp_handle *handle;
	int err;

	(void)req_id;
	err = sftp_handle_get(sftp, req, &handle);
	if (err)
		return err;
	sftp_log_close(handle, false);
	return sftp_handle_free(&sftp->handles, handle);
}

int sftp_fsync(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct sftp_handle *handle;
	int err;

	err = sftp_handle_get(sftp, req, &handle);
	if (err)
		return err;
	if (sftp->ring && !sftp_aio_fsync(sftp, req_id, handle))
		return SFTP_ANSWERED;
	return fsync(handle->fd) ? -errno : 0;
}
