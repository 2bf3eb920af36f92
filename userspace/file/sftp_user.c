// SPDX-License-Identifier: MIT
/*
 * What the user database tells: expand-path@openssh.com, home-directory,
 * users-groups-by-id@openssh.com.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "file/sftp_server.h"

/* A name may come from far away: so much work is one. */
#define NAME_COST	(8 * 1024)
#define NAMES_MAX	SFTP_NAMES_MAX

/* ---- home directories ---- */

/* "~", "~/..." and "~user..."; @path begins so. Freed by the caller. */
static int expand_tilde(struct sftp *sftp, const char *path, char **expanded)
{
	const char *home = sftp->start_dir ? sftp->start_dir : ".";
	size_t len = strcspn(path + 1, "/");
	const char *rest = path + 1 + len;
	struct passwd *pw;
	char *user;

	if (len) {
		user = strndup(path + 1, len);
		if (!user)
			return -ENOMEM;
		pw = getpwnam(user);
		free(user);
		if (!pw)
			return -ENOENT;
		home = pw->pw_dir;
	}
	return asprintf(expanded, "%s%s", home, rest) < 0 ? -ENOMEM : 0;
}

/* OpenSSH's PROTOCOL: as REALPATH, and "~" is expanded. */
int sftp_expand_path(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct buf again = *req;
	char *expanded;
	char *path;
	int err;

	err = buf_get_cstring(req, &path);
	if (err)
		return err;
	if (*path == '~')
		err = expand_tilde(sftp, path, &expanded);
	else
		err = sftp_path_get(sftp, &again, &expanded);
	free(path);
	if (err)
		return err;
	err = sftp_reply_resolved(sftp, req_id, expanded);
	free(expanded);
	return err;
}

/*
 * draft-ietf-secsh-filexfer-extensions-00 5: the user's name; the empty one is
 * that of who asks
 */
int sftp_home_directory(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct passwd *pw;
	char *user;
	int err;

	err = buf_get_cstring(req, &user);
	if (err)
		return err;
	pw = *user ? getpwnam(user) : getpwuid(geteuid());
	free(user);
	if (!pw)
		return -ESRCH;
	return sftp_reply_name(sftp, req_id, pw->pw_dir, strlen(pw->pw_dir));
}

/* ---- names of users and groups ---- */

static void names_end(struct sftp *sftp)
{
	buf_free(&sftp->job.ids.names);
}

static int reply_names(struct sftp *sftp)
{
	struct sftp_ids *ids = &sftp->job.ids;
	const uint8_t *names = buf_data(&ids->names);
	size_t len = buf_len(&ids->names);

	sftp_reply_begin(sftp, SSH_FXP_EXTENDED_REPLY, sftp->job.req_id);
	buf_put_string(&sftp->reply, names, ids->users_len);
	buf_put_string(&sftp->reply, len ? names + ids->users_len : NULL,
		       len - ids->users_len);
	return sftp_reply_end(sftp);
}

static int names_step(struct sftp *sftp)
{
	struct sftp_ids *ids = &sftp->job.ids;
	const char *name;
	uint32_t id;

	if (ids->done == ids->n_users)
		ids->users_len = buf_len(&ids->names);
	if (ids->done == ids->n)
		return reply_names(sftp);
	id = ids->id[ids->done];
	name = ids->done < ids->n_users ? sftp_user_name(sftp, id) :
					  sftp_group_name(sftp, id);
	ids->done++;
	sftp->work += NAME_COST;
	if (buf_put_cstring(&ids->names, name))
		return buf_error(&ids->names) == -ENOBUFS ? -EMSGSIZE : -ENOMEM;
	return -EINPROGRESS;
}

static int get_ids(struct sftp_ids *ids, struct buf *req)
{
	const uint8_t *p;
	struct buf list;
	size_t len;

	if (buf_get_string(req, &p, &len) || len % 4)
		return -EPROTO;
	buf_ref(&list, p, len);
	while (buf_len(&list)) {
		if (ids->n == SFTP_IDS_MAX)
			return -EMSGSIZE;
		(void)buf_get_u32(&list, &ids->id[ids->n++]);
	}
	return 0;
}

/*
 * OpenSSH's PROTOCOL: "string uids, string gids"; the answer has a string of
 * names for each, an empty name where there is none.
 */
int sftp_names_by_id(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct sftp_ids *ids = &sftp->job.ids;
	int err;

	ids->n = 0;
	ids->done = 0;
	ids->users_len = 0;
	err = get_ids(ids, req);
	ids->n_users = ids->n;
	if (!err)
		err = get_ids(ids, req);
	if (err)
		return err;
	buf_init(&ids->names, NAMES_MAX);
	return sftp_job_start(sftp, req_id, names_step, names_end);
}
