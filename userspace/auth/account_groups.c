// SPDX-License-Identifier: MIT
/* Names of a user's groups. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "auth/account.h"

#define GROUPS_MAX	65536	/* NGROUPS_MAX of Linux */

static int list_ids(const struct passwd *pw, gid_t **ids, int *n)
{
	int room = 64;

	for (;;) {
		*ids = malloc(room * sizeof(**ids));
		if (!*ids)
			return -ENOMEM;
		*n = room;
		if (getgrouplist(pw->pw_name, pw->pw_gid, *ids, n) >= 0)
			return 0;
		free(*ids);
		room = *n > room ? *n : room * 2;
		if (room > GROUPS_MAX)
			return -E2BIG;
	}
}

static int add_name(struct account_groups *groups, const char *name)
{
	groups->names[groups->n] = strdup(name);
	if (!groups->names[groups->n])
		return -ENOMEM;
	groups->n++;
	return 0;
}

static int list_names(struct account_groups *groups, const struct passwd *pw)
{
	struct group *group;
	gid_t *ids;
	int i, n;
	int err;

	err = list_ids(pw, &ids, &n);
	if (err)
		return err;
	groups->names = calloc(n, sizeof(*groups->names));
	if (!groups->names)
		err = -ENOMEM;
	for (i = 0; !err && i < n; i++) {
		group = getgrgid(ids[i]);
		if (group)
			err = add_name(groups, group->gr_name);
	}
	free(ids);
	return err;
}

static void drop_names(struct account_groups *groups)
{
	while (groups->n)
		free(groups->names[--groups->n]);
	free(groups->names);
	groups->names = NULL;
}

int account_groups_get(struct account_groups *groups, const char *user)
{
	struct passwd pw;
	bool known = true;
	char *mem = NULL;
	int err;

	memset(groups, 0, sizeof(*groups));
	err = account_passwd(user, &pw, &mem);
	/* the same work for those who are not there */
	if (err == -ENOENT) {
		known = false;
		err = account_passwd("nobody", &pw, &mem);
	}
	if (!err)
		err = list_names(groups, &pw);
	else if (err == -ENOENT)
		err = 0;
	if (!known)
		drop_names(groups);
	groups->user = strdup(known ? pw.pw_name : user);
	free(mem);
	if (!err && !groups->user)
		err = -ENOMEM;
	if (err)
		account_groups_free(groups);
	return err;
}

void account_groups_free(struct account_groups *groups)
{
	drop_names(groups);
	free(groups->user);
	groups->user = NULL;
}
