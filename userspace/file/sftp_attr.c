// SPDX-License-Identifier: MIT
/* Attributes: STAT, LSTAT, FSTAT, SETSTAT, FSETSTAT, lsetstat@openssh.com. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "file/sftp_server.h"

/* draft 5: "The `flags' specify which of the fields are present." */
int sftp_attrs_get(struct buf *req, struct sftp_attrs *attrs)
{
	const uint8_t *p;
	uint32_t n = 0;
	size_t len;

	*attrs = (struct sftp_attrs){ 0 };
	if (buf_get_u32(req, &attrs->flags))
		return -EPROTO;
	if ((attrs->flags & SSH_FILEXFER_ATTR_SIZE) &&
	    buf_get_u64(req, &attrs->size))
		return -EPROTO;
	if ((attrs->flags & SSH_FILEXFER_ATTR_UIDGID) &&
	    (buf_get_u32(req, &attrs->uid) || buf_get_u32(req, &attrs->gid)))
		return -EPROTO;
	if ((attrs->flags & SSH_FILEXFER_ATTR_PERMISSIONS) &&
	    buf_get_u32(req, &attrs->perm))
		return -EPROTO;
	if ((attrs->flags & SSH_FILEXFER_ATTR_ACMODTIME) &&
	    (buf_get_u32(req, &attrs->atime) ||
	     buf_get_u32(req, &attrs->mtime)))
		return -EPROTO;
	if ((attrs->flags & SSH_FILEXFER_ATTR_EXTENDED) && buf_get_u32(req, &n))
		return -EPROTO;
	/* "SHOULD ignore extended data fields that they do not understand" */
	for (; n; n--) {
		if (buf_get_string(req, &p, &len) ||
		    buf_get_string(req, &p, &len))
			return -EPROTO;
	}
	return 0;
}

void sftp_attrs_put(struct buf *buf, const struct sftp_attrs *attrs)
{
	buf_put_u32(buf, attrs->flags);
	if (attrs->flags & SSH_FILEXFER_ATTR_SIZE)
		buf_put_u64(buf, attrs->size);
	if (attrs->flags & SSH_FILEXFER_ATTR_UIDGID) {
		buf_put_u32(buf, attrs->uid);
		buf_put_u32(buf, attrs->gid);
	}
	if (attrs->flags & SSH_FILEXFER_ATTR_PERMISSIONS)
		buf_put_u32(buf, attrs->perm);
	if (attrs->flags & SSH_FILEXFER_ATTR_ACMODTIME) {
		buf_put_u32(buf, attrs->atime);
		buf_put_u32(buf, attrs->mtime);
	}
}

/* The protocol has 32 bits for a time: what is outside is clamped. */
static uint32_t wire_time(time_t t)
{
	if (t < 0)
		return 0;
	return t > UINT32_MAX ? UINT32_MAX : t;
}

void sftp_attrs_of(struct sftp_attrs *attrs, const struct stat *st)
{
	*attrs = (struct sftp_attrs){
		.flags = SSH_FILEXFER_ATTR_SIZE | SSH_FILEXFER_ATTR_UIDGID |
			 SSH_FILEXFER_ATTR_PERMISSIONS |
			 SSH_FILEXFER_ATTR_ACMODTIME,
		.size = st->st_size,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.perm = st->st_mode,
		.atime = wire_time(st->st_atime),
		.mtime = wire_time(st->st_mtime),
	};
}

static int reply_attrs(struct sftp *sftp, uint32_t req_id,
		       const struct stat *st)
{
	struct sftp_attrs attrs;

	sftp_attrs_of(&attrs, st);
	sftp_reply_begin(sftp, SSH_FXP_ATTRS, req_id);
	sftp_attrs_put(&sftp->reply, &attrs);
	return sftp_reply_end(sftp);
}

static int stat_path(struct sftp *sftp, uint32_t req_id, struct buf *req,
		     int at_flags)
{
	struct stat st;
	char *path;
	int err;

	err = sftp_path_get(sftp, req, &path);
	if (err)
		return err;
	if (fstatat(AT_FDCWD, path, &st, at_flags))
		err = -errno;
	free(path);
	return err ? err : reply_attrs(sftp, req_id, &st);
}

/* draft 6.8: "SSH_FXP_STAT follows symbolic links on the server" */
int sftp_stat(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	return stat_path(sftp, req_id, req, 0);
}

int sftp_lstat(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	return stat_path(sftp, req_id, req, AT_SYMLINK_NOFOLLOW);
}

int sftp_fstat(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct sftp_handle *handle;
	struct stat st;
	int err;

	err = sftp_handle_get(sftp, req, &handle);
	if (err)
		return err;
	if (fstat(handle->fd, &st))
		return -errno;
	return reply_attrs(sftp, req_id, &st);
}

/* What a SETSTAT is about: @path, or if that is NULL @fd. */
struct target {
	const char *path;
	int fd;
	int at_flags;
};

static int set_size(const struct target *t, uint64_t size)
{
	if (size > INT64_MAX)
		return -EINVAL;
	/* Nonsense for a link itself. */
	if (t->path && t->at_flags)
		return -EINVAL;
	if (t->path ? truncate(t->path, size) : ftruncate(t->fd, size))
		return -errno;
	return 0;
}

static int set_owner(const struct target *t, uid_t uid, gid_t gid)
{
	if (t->path ? fchownat(AT_FDCWD, t->path, uid, gid, t->at_flags) :
		      fchown(t->fd, uid, gid))
		return -errno;
	return 0;
}

static int set_mode(const struct target *t, mode_t mode)
{
	if (t->path ? fchmodat(AT_FDCWD, t->path, mode, t->at_flags) :
		      fchmod(t->fd, mode))
		return -errno;
	return 0;
}

static int set_times(const struct target *t, uint32_t atime, uint32_t mtime)
{
	const struct timespec ts[2] = {
		{ .tv_sec = atime },
		{ .tv_sec = mtime },
	};

	if (t->path ? utimensat(AT_FDCWD, t->path, ts, t->at_flags) :
		      futimens(t->fd, ts))
		return -errno;
	return 0;
}

/* All that is asked for is tried; the first failure is told. */
static int set_attrs(const struct target *t, const struct sftp_attrs *attrs)
{
	int first = 0;
	int err = 0;

	if (attrs->flags & SSH_FILEXFER_ATTR_SIZE)
		first = set_size(t, attrs->size);
	/* Before the mode: a change of owner clears setuid and setgid. */
	if (attrs->flags & SSH_FILEXFER_ATTR_UIDGID)
		err = set_owner(t, attrs->uid, attrs->gid);
	first = first ? first : err;
	if (attrs->flags & SSH_FILEXFER_ATTR_PERMISSIONS)
		err = set_mode(t, attrs->perm & 07777);
	first = first ? first : err;
	if (attrs->flags & SSH_FILEXFER_ATTR_ACMODTIME)
		err = set_times(t, attrs->atime, attrs->mtime);
	return first ? first : err;
}

static int setstat_path(struct sftp *sftp, struct buf *req, int at_flags)
{
	struct target t = { .at_flags = at_flags };
	struct sftp_attrs attrs;
	char *path;
	int err;

	err = sftp_path_get(sftp, req, &path);
	if (err)
		return err;
	t.path = path;
	err = sftp_attrs_get(req, &attrs);
	if (!err)
		err = set_attrs(&t, &attrs);
	free(path);
	return err;
}

int sftp_setstat(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	(void)req_id;
	return setstat_path(sftp, req, 0);
}

int sftp_lsetstat(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	(void)req_id;
	return setstat_path(sftp, req, AT_SYMLINK_NOFOLLOW);
}

int sftp_fsetstat(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct sftp_handle *handle;
	struct sftp_attrs attrs;
	struct target t = { 0 };
	int err;

	(void)req_id;
	err = sftp_handle_get(sftp, req, &handle);
	if (err)
		return err;
	err = sftp_attrs_get(req, &attrs);
	if (err)
		return err;
	t.fd = handle->fd;
	return set_attrs(&t, &attrs);
}
