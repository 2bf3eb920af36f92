/* SPDX-License-Identifier: MIT */
/* The account behind a user name, and whether it may log in. */
#ifndef KSSH_AUTH_ACCOUNT_H
#define KSSH_AUTH_ACCOUNT_H

#include <pwd.h>
#include <stdbool.h>
#include <sys/types.h>
#include "conf/conf.h"

/**
 * struct account - a line of passwd(5)
 * @name: login name
 * @home: home directory
 * @shell: login shell
 * @uid: user id
 * @gid: primary group id
 * @allowed: may log in. If not, the rest is a stand-in, so that the same work
 *	can be done for it
 * @refusal: why not, for the log; NULL: there is no such user
 */
struct account {
	char *name;
	char *home;
	char *shell;
	uid_t uid;
	gid_t gid;
	bool allowed;
	const char *refusal;
};

/* 0, also for unknown users (@account->allowed is false then), or -ENOMEM. */
int account_lookup(struct account *account, const struct conf *conf,
		   const char *user);
void account_free(struct account *account);

/*
 * The entry of @user, with its memory in *mem; 0, -ENOENT (also for what cannot
 * be a name) or -ENOMEM.
 */
int account_passwd(const char *user, struct passwd *pw, char **mem);

/*
 * Take on the user's rights, for good: groups, gid, uid. Checked: there is no
 * way back. Does nothing if the process is that user already. 0 or -errno.
 */
int account_become(const struct account *account);
/* In two steps: the first looks into group(5), which a chroot may not have. */
int account_take_groups(const struct account *account);
int account_take_ids(const struct account *account);
/* For ids of which there is no name: no groups but @gid. */
int account_become_ids(uid_t uid, gid_t gid);

/* account_groups.c */
/**
 * struct account_groups - what Match looks at
 * @user: name of the account, which is not always as it was asked for; that if
 *	there is none
 * @names: of the user's groups
 * @n: how many
 */
struct account_groups {
	char *user;
	char **names;
	unsigned int n;
};

/* 0, also for unknown users (they have no groups), or -errno. */
int account_groups_get(struct account_groups *groups, const char *user);
void account_groups_free(struct account_groups *groups);

#endif
