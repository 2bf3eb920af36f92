// SPDX-License-Identifier: MIT
/* Directories: OPENDIR, READDIR, MKDIR, RMDIR. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "file/sftp_server.h"

/* name, longname, attributes */
#define ENTRY_MAX	(4 + NAME_MAX + 4 + SFTP_LONGNAME_MAX + 32)
#define COUNT_POS	9	/* in an SSH_FXP_NAME: length, type, id */
#define DEFAULT_MODE	0777

static int open_dir(const char *path, DIR **dir)
{
	int err;
	int fd;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*dir = fdopendir(fd);
	if (!*dir) {
		err = -errno;
		close(fd);
		return err;
	}
	return 0;
}

/* draft 6.7: "The SSH_FXP_OPENDIR opens a directory for reading." */
int sftp_opendir(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct sftp_handle *handle;
	char *path;
	DIR *dir;
	int err;

	err = sftp_path_get(sftp, req, &path);
	if (err)
		return err;
	err = open_dir(path, &dir);
	if (err)
		goto out;
	handle = sftp_handle_alloc(&sftp->handles, SFTP_HANDLE_DIR);
	if (!handle) {
		closedir(dir);
		err = -EMFILE;
		goto out;
	}
	handle->dir = dir;
	handle->fd = dirfd(dir);
	sftp_log_opendir(sftp, handle, path);
	err = sftp_reply_handle(sftp, req_id, handle);
out:
	free(path);
	return err;
}

static void put_entry(struct sftp *sftp, const char *name,
		      const struct stat *st, time_t now)
{
	char line[SFTP_LONGNAME_MAX];
	struct sftp_attrs attrs;
	size_t len;

	len = sftp_longname(sftp, line, name, st, now);
	sftp_attrs_of(&attrs, st);
	buf_put_cstring(&sftp->reply, name);
	buf_put_string(&sftp->reply, line, len);
	sftp_attrs_put(&sftp->reply, &attrs);
}

/* Entries into the reply until it is full. Their number, or -errno. */
static int put_entries(struct sftp *sftp, DIR *dir)
{
	time_t now = time(NULL);
	struct dirent *de;
	struct stat st;
	int n = 0;

	/* beside other answers that have not left yet */
	while (buf_len(&sftp->reply) - sftp->reply_len <=
	       SFTP_NAMES_MAX - ENTRY_MAX) {
		errno = 0;
		de = readdir(dir);
		if (!de)
			return n || !errno ? n : -errno;
		/* Gone meanwhile, or too long to be told. */
		if (strlen(de->d_name) > NAME_MAX ||
		    fstatat(dirfd(dir), de->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		put_entry(sftp, de->d_name, &st, now);
		n++;
	}
	return n;
}

/*
 * draft 6.7: "Each SSH_FXP_READDIR request returns one or more file names with
 * full file attributes for each file."
 */
int sftp_readdir(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct sftp_handle *handle;
	int n;

	n = sftp_handle_get(sftp, req, &handle);
	if (n)
		return n;
	if (handle->kind != SFTP_HANDLE_DIR)
		return -ESTALE;
	sftp_reply_begin(sftp, SSH_FXP_NAME, req_id);
	buf_put_u32(&sftp->reply, 0);
	n = put_entries(sftp, handle->dir);
	if (n < 0)
		return n;
	if (!n)
		return sftp_reply_status(sftp, req_id, SSH_FX_EOF);
	sftp_reply_patch(sftp, COUNT_POS, n);
	return sftp_reply_end(sftp);
}

/* draft 6.6: "New directories can be created using the SSH_FXP_MKDIR" */
int sftp_mkdir(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	mode_t mode = DEFAULT_MODE;
	struct sftp_attrs attrs;
	char *path;
	int err;

	(void)req_id;
	err = sftp_path_get(sftp, req, &path);
	if (err)
		return err;
	err = sftp_attrs_get(req, &attrs);
	if (attrs.flags & SSH_FILEXFER_ATTR_PERMISSIONS)
		mode = attrs.perm & 07777;
	if (!err && mkdir(path, mode))
		err = -errno;
	free(path);
	return err;
}

/* draft 6.6: "Directories can be removed using the SSH_FXP_RMDIR request" */
int sftp_rmdir(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	char *path;
	int err;

	(void)req_id;
	err = sftp_path_get(sftp, req, &path);
	if (err)
		return err;
	if (rmdir(path))
		err = -errno;
	free(path);
	return err;
}
