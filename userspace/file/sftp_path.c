// SPDX-License-Identifier: MIT
/* Names: REALPATH, READLINK, SYMLINK, RENAME, REMOVE and relatives. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "file/sftp_server.h"

#define LINKS_MAX	40	/* as the kernel's */

/* "@dir/@name", or @name if that is absolute; NULL: no memory */
static char *join(const char *dir, const char *name)
{
	char *path;

	if (*name == '/')
		return strdup(name);
	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return NULL;
	return path;
}

/*
 * draft 6.2: "An empty path name is valid, and it refers to the user's default
 * directory"
 */
int sftp_path_get(const struct sftp *sftp, struct buf *req, char **path)
{
	char *name;
	int err;

	err = buf_get_cstring(req, &name);
	if (err)
		return err;
	if (*name && (*name == '/' || !sftp->start_dir)) {
		*path = name;
		return 0;
	}
	if (*name)
		*path = join(sftp->start_dir, name);
	else
		*path = strdup(sftp->start_dir ? sftp->start_dir : ".");
	free(name);
	return *path ? 0 : -ENOMEM;
}

/* Two names, as many requests have. */
static int get_two(struct sftp *sftp, struct buf *req, char **from, char **to)
{
	int err;

	err = sftp_path_get(sftp, req, from);
	if (err)
		return err;
	err = sftp_path_get(sftp, req, to);
	if (err)
		free(*from);
	return err;
}

int sftp_reply_name(struct sftp *sftp, uint32_t req_id, const char *name,
		    size_t len)
{
	static const struct sftp_attrs none;

	sftp_reply_begin(sftp, SSH_FXP_NAME, req_id);
	buf_put_u32(&sftp->reply, 1);
	buf_put_string(&sftp->reply, name, len);
	buf_put_string(&sftp->reply, name, len);
	sftp_attrs_put(&sftp->reply, &none);
	return sftp_reply_end(sftp);
}

/* ---- REALPATH ---- */

/* @path without its last component, resolved, and a "/" unless it ends so. */
static int resolve_parent(char *path, char dir[PATH_MAX], const char **base)
{
	size_t len = strlen(path);
	char *slash;

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	slash = strrchr(path, '/');
	*base = slash ? slash + 1 : path;
	if (!slash) {
		if (!realpath(".", dir))
			return -errno;
	} else if (slash == path) {
		strcpy(dir, "/");
	} else {
		*slash = '\0';
		if (!realpath(path, dir))
			return -errno;
	}
	return 0;
}

/*
 * @path does not exist. If its last component is a link follow that: *path
 * becomes what it says and 0 is returned. Else 1 and *resolved, or -errno.
 */
static int resolve_last(char **path, char **resolved)
{
	char target[PATH_MAX];
	char dir[PATH_MAX];
	const char *base;
	char *full;
	ssize_t n;
	int err;

	err = resolve_parent(*path, dir, &base);
	if (err)
		return err;
	full = join(strcmp(dir, "/") ? dir : "", base);
	if (!full)
		return -ENOMEM;
	n = readlink(full, target, sizeof(target) - 1);
	if (n < 0) {
		if (errno == ENOENT) {
			*resolved = full;
			return 1;
		}
		err = -errno;
		free(full);
		return err;
	}
	target[n] = '\0';
	free(full);
	full = join(dir, target);
	if (!full)
		return -ENOMEM;
	free(*path);
	*path = full;
	return 0;
}

int sftp_path_resolve(const char *path, char **resolved)
{
	char *name = strdup(path);
	int links;
	int err;

	if (!name)
		return -ENOMEM;
	for (links = 0; links < LINKS_MAX; links++) {
		*resolved = realpath(name, NULL);
		err = *resolved ? 1 : -errno;
		if (err == -ENOENT)
			err = resolve_last(&name, resolved);
		if (err)
			goto out;
	}
	err = -ELOOP;
out:
	free(name);
	return err < 0 ? err : 0;
}

int sftp_reply_resolved(struct sftp *sftp, uint32_t req_id, const char *path)
{
	char *resolved;
	int err;

	err = sftp_path_resolve(path, &resolved);
	if (err)
		return err;
	err = sftp_reply_name(sftp, req_id, resolved, strlen(resolved));
	free(resolved);
	return err;
}

/*
 * draft 6.11: "The SSH_FXP_REALPATH request can be used to have the server
 * canonicalize any given path name to an absolute path."
 */
int sftp_realpath(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	char *path;
	int err;

	err = sftp_path_get(sftp, req, &path);
	if (err)
		return err;
	err = sftp_reply_resolved(sftp, req_id, path);
	free(path);
	return err;
}

/* ---- links ---- */

/* draft 6.10: "may be used to read the target of a symbolic link" */
int sftp_readlink(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	char target[PATH_MAX];
	char *path;
	ssize_t n;
	int err;

	err = sftp_path_get(sftp, req, &path);
	if (err)
		return err;
	n = readlink(path, target, sizeof(target));
	err = n < 0 ? -errno : 0;
	free(path);
	return err ? err : sftp_reply_name(sftp, req_id, target, n);
}

/*
 * draft 6.10: "`linkpath' specifies the path name of the symlink to be created
 * and `targetpath' specifies the target of the symlink."
 *
 * But targetpath comes first, as OpenSSH has it and with it nearly every
 * client.
 */
int sftp_symlink(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	char *target;
	char *link;
	int err;

	(void)req_id;
	err = buf_get_cstring(req, &target);
	if (err)
		return err;
	err = sftp_path_get(sftp, req, &link);
	if (!err) {
		err = symlink(target, link) ? -errno : 0;
		free(link);
	}
	free(target);
	return err;
}

int sftp_hardlink(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	char *from;
	char *to;
	int err;

	(void)req_id;
	err = get_two(sftp, req, &from, &to);
	if (err)
		return err;
	if (link(from, to))
		err = -errno;
	free(from);
	free(to);
	return err;
}

/* ---- rename, remove ---- */

/* Where the file system has no RENAME_NOREPLACE. */
static int rename_by_link(const char *from, const char *to)
{
	struct stat st;
	int err;

	if (lstat(from, &st))
		return -errno;
	if (S_ISREG(st.st_mode)) {
		if (!link(from, to)) {
			if (!unlink(from))
				return 0;
			err = -errno;
			(void)unlink(to);
			return err;
		}
		/* No links there, or not across: look, then rename. */
		if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EPERM &&
		    errno != EXDEV && errno != EMLINK)
			return -errno;
	}
	if (!lstat(to, &st))
		return -EEXIST;
	return rename(from, to) ? -errno : 0;
}

static int rename_new(const char *from, const char *to)
{
	if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
		return 0;
	if (errno == EINVAL || errno == ENOSYS)
		return rename_by_link(from, to);
	return -errno;
}

/*
 * draft 6.5: "It is an error if there already exists a file with the name
 * specified by newpath."
 */
int sftp_rename(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	char *from;
	char *to;
	int err;

	(void)req_id;
	err = get_two(sftp, req, &from, &to);
	if (err)
		return err;
	err = rename_new(from, to);
	free(from);
	free(to);
	return err;
}

int sftp_posix_rename(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	char *from;
	char *to;
	int err;

	(void)req_id;
	err = get_two(sftp, req, &from, &to);
	if (err)
		return err;
	if (rename(from, to))
		err = -errno;
	free(from);
	free(to);
	return err;
}

/* draft 6.5: "This request cannot be used to remove directories." */
int sftp_remove(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	char *path;
	int err;

	(void)req_id;
	err = sftp_path_get(sftp, req, &path);
	if (err)
		return err;
	if (unlink(path))
		err = -errno;
	free(path);
	return err;
}
