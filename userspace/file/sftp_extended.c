// SPDX-License-Identifier: MIT
/* SSH_FXP_EXTENDED: the table of extensions, statvfs, limits. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include "file/sftp_server.h"
#include "lib/mem.h"

static int reply_statvfs(struct sftp *sftp, uint32_t req_id,
			 const struct statvfs *vfs)
{
	struct buf *buf = &sftp->reply;
	uint64_t flags = 0;

	if (vfs->f_flag & ST_RDONLY)
		flags |= SSH_FXE_STATVFS_ST_RDONLY;
	if (vfs->f_flag & ST_NOSUID)
		flags |= SSH_FXE_STATVFS_ST_NOSUID;
	sftp_reply_begin(sftp, SSH_FXP_EXTENDED_REPLY, req_id);
	buf_put_u64(buf, vfs->f_bsize);
	buf_put_u64(buf, vfs->f_frsize);
	buf_put_u64(buf, vfs->f_blocks);
	buf_put_u64(buf, vfs->f_bfree);
	buf_put_u64(buf, vfs->f_bavail);
	buf_put_u64(buf, vfs->f_files);
	buf_put_u64(buf, vfs->f_ffree);
	buf_put_u64(buf, vfs->f_favail);
	buf_put_u64(buf, vfs->f_fsid);
	buf_put_u64(buf, flags);
	buf_put_u64(buf, vfs->f_namemax);
	return sftp_reply_end(sftp);
}

static int statvfs_path(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct statvfs vfs;
	char *path;
	int err;

	err = sftp_path_get(sftp, req, &path);
	if (err)
		return err;
	if (statvfs(path, &vfs))
		err = -errno;
	free(path);
	return err ? err : reply_statvfs(sftp, req_id, &vfs);
}

static int statvfs_handle(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct sftp_handle *handle;
	struct statvfs vfs;
	int err;

	err = sftp_handle_get(sftp, req, &handle);
	if (err)
		return err;
	if (fstatvfs(handle->fd, &vfs))
		return -errno;
	return reply_statvfs(sftp, req_id, &vfs);
}

static int limits(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	(void)req;
	sftp_reply_begin(sftp, SSH_FXP_EXTENDED_REPLY, req_id);
	buf_put_u64(&sftp->reply, SFTP_PACKET_MAX);
	buf_put_u64(&sftp->reply, SFTP_IO_MAX); /* read */
	buf_put_u64(&sftp->reply, SFTP_IO_MAX); /* write */
	buf_put_u64(&sftp->reply, sftp->handles.max);
	return sftp_reply_end(sftp);
}

static const struct extension {
	const char *name;
	const char *version;
	sftp_fn fn;
	bool writes;
} extensions[] = {
	{ "posix-rename@openssh.com", "1", sftp_posix_rename, true },
	{ "statvfs@openssh.com", "2", statvfs_path, false },
	{ "fstatvfs@openssh.com", "2", statvfs_handle, false },
	{ "hardlink@openssh.com", "1", sftp_hardlink, true },
	{ "fsync@openssh.com", "1", sftp_fsync, true },
	{ "lsetstat@openssh.com", "1", sftp_lsetstat, true },
	{ "limits@openssh.com", "1", limits, false },
};

void sftp_extensions_put(struct buf *buf)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(extensions); i++) {
		buf_put_cstring(buf, extensions[i].name);
		buf_put_cstring(buf, extensions[i].version);
	}
}

/*
 * draft 8: "If the server does not recognize the `extended-request' name, then
 * the server MUST respond with SSH_FXP_STATUS with error/status set to
 * SSH_FX_OP_UNSUPPORTED."
 */
int sftp_extended(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	const struct extension *ext;
	const uint8_t *name;
	size_t len;
	size_t i;

	if (buf_get_string(req, &name, &len))
		return -EPROTO;
	for (i = 0; i < ARRAY_SIZE(extensions); i++) {
		ext = &extensions[i];
		if (len != strlen(ext->name) || memcmp(name, ext->name, len))
			continue;
		if (ext->writes && sftp->read_only)
			return -EACCES;
		return ext->fn(sftp, req_id, req);
	}
	return -ENOSYS;
}
