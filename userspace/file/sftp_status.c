// SPDX-License-Identifier: MIT
/* SSH_FXP_STATUS: errno to status code and words. */
#include <errno.h>
#include <string.h>
#include "file/sftp_server.h"
#include "lib/mem.h"

static const struct {
	int err;
	uint32_t status;
} statuses[] = {
	{ 0, SSH_FX_OK },
	{ ENOENT, SSH_FX_NO_SUCH_FILE },
	{ ENOTDIR, SSH_FX_NO_SUCH_FILE },
	{ EBADF, SSH_FX_NO_SUCH_FILE },
	{ ELOOP, SSH_FX_NO_SUCH_FILE },
	{ EPERM, SSH_FX_PERMISSION_DENIED },
	{ EACCES, SSH_FX_PERMISSION_DENIED },
	{ EFAULT, SSH_FX_PERMISSION_DENIED },
	{ ENAMETOOLONG, SSH_FX_BAD_MESSAGE },
	{ EINVAL, SSH_FX_BAD_MESSAGE },
	{ EPROTO, SSH_FX_BAD_MESSAGE }, /* ours: malformed request */
	{ ENOSYS, SSH_FX_OP_UNSUPPORTED },
};

static const char *const words[] = {
	[SSH_FX_OK] = "Success",
	[SSH_FX_EOF] = "End of file",
	[SSH_FX_NO_SUCH_FILE] = "No such file",
	[SSH_FX_PERMISSION_DENIED] = "Permission denied",
	[SSH_FX_FAILURE] = "Failure",
	[SSH_FX_BAD_MESSAGE] = "Bad message",
	[SSH_FX_NO_CONNECTION] = "No connection",
	[SSH_FX_CONNECTION_LOST] = "Connection lost",
	[SSH_FX_OP_UNSUPPORTED] = "Operation unsupported",
};

uint32_t sftp_status_of(int err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (statuses[i].err == -err)
			return statuses[i].status;
	}
	return SSH_FX_FAILURE;
}

static int reply(struct sftp *sftp, uint32_t req_id, uint32_t status,
		 const char *message)
{
	struct buf *buf = &sftp->reply;

	sftp_reply_begin(sftp, SSH_FXP_STATUS, req_id);
	buf_put_u32(buf, status);
	/* draft 10.1: new in version 3 are "error message" and "language tag" */
	if (sftp->version >= 3) {
		buf_put_cstring(buf, message);
		buf_put_cstring(buf, "");
	}
	return sftp_reply_end(sftp);
}

int sftp_reply_status(struct sftp *sftp, uint32_t req_id, uint32_t status)
{
	return reply(sftp, req_id, status, words[status]);
}

int sftp_reply_errno(struct sftp *sftp, uint32_t req_id, int err)
{
	uint32_t status = sftp_status_of(err);

	if (err == SFTP_ANSWERED)
		return SFTP_ANSWERED;
	/* A full disk should not be told as "Failure". */
	if (status == SSH_FX_FAILURE)
		return reply(sftp, req_id, status, strerror(-err));
	return reply(sftp, req_id, status, words[status]);
}
