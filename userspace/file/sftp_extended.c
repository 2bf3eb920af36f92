// SPDX-License-Identifier: MIT
/* SSH_FXP_EXTENDED: the table of extensions, statvfs, space, limits. */
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

static uint64_t blocks_bytes(const struct statvfs *vfs, fsblkcnt_t blocks)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(vfs->f_frsize, blocks, &bytes))
		return UINT64_MAX;
	return bytes;
}

/*
 * draft-ietf-secsh-filexfer-extensions-00 4: what is there in all and to this
 * user, used or not. 0 is what is not known.
 */
static int space_available(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct buf *buf = &sftp->reply;
	struct statvfs vfs;
	char *path;
	int err;

	err = sftp_path_get(sftp, req, &path);
	if (err)
		return err;
	if (statvfs(path, &vfs))
		err = -errno;
	free(path);
	if (err)
		return err;
	sftp_reply_begin(sftp, SSH_FXP_EXTENDED_REPLY, req_id);
	buf_put_u64(buf, blocks_bytes(&vfs, vfs.f_blocks));
	buf_put_u64(buf, blocks_bytes(&vfs, vfs.f_bfree));
	buf_put_u64(buf, 0);
	buf_put_u64(buf, blocks_bytes(&vfs, vfs.f_bavail));
	buf_put_u32(buf, vfs.f_frsize);
	return sftp_reply_end(sftp);
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

/**
 * struct extension - what to do with an extended request
 * @name: in the request, and in SSH_FXP_VERSION
 * @version: beside it there; NULL: that has another name for it
 * @fn: its handler
 * @writes: changes files: refused by a read-only server
 */
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
	{ "expand-path@openssh.com", "1", sftp_expand_path, false },
	{ "copy-data", "1", sftp_copy_data, true },
	{ "home-directory", "1", sftp_home_directory, false },
	{ "users-groups-by-id@openssh.com", "1", sftp_names_by_id, false },
	/* the request, too, for paramiko */
	{ "check-file", "1", sftp_check_handle, false },
	{ "check-file-handle", NULL, sftp_check_handle, false },
	{ "check-file-name", NULL, sftp_check_name, false },
	{ "space-available", "1", space_available, false },
};

_Static_assert(SFTP_EXTENSION_BIT0 + ARRAY_SIZE(extensions) < 64,
	       "struct sftp.refused");

/* check-file-name and its like go by the name that is told, check-file. */
static bool goes_by(const struct extension *ext, const char *name, size_t len)
{
	if (strlen(ext->name) < len || memcmp(ext->name, name, len))
		return false;
	return strcspn(ext->name, "@") == len ||
	       (!ext->version && ext->name[len] == '-');
}

uint64_t sftp_extension_bits(const char *name, size_t len)
{
	uint64_t bits = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(extensions); i++)
		if (goes_by(&extensions[i], name, len))
			bits |= 1ULL << (SFTP_EXTENSION_BIT0 + i);
	return bits;
}

static bool is_refused(const struct sftp *sftp, const struct extension *ext)
{
	size_t i = ext - extensions;

	return (ext->writes && sftp->read_only) ||
	       (sftp->refused >> (SFTP_EXTENSION_BIT0 + i) & 1);
}

void sftp_extensions_put(struct sftp *sftp)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(extensions); i++) {
		if (!extensions[i].version || is_refused(sftp, &extensions[i]))
			continue;
		buf_put_cstring(&sftp->reply, extensions[i].name);
		buf_put_cstring(&sftp->reply, extensions[i].version);
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
		if (is_refused(sftp, ext))
			return -EACCES;
		return ext->fn(sftp, req_id, req);
	}
	return -ENOSYS;
}
