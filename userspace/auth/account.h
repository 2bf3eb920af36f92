/* SPDX-License-Identifier: MIT */
/* The account behind a user name, and whether it may log in. */
#ifndef KSSH_AUTH_ACCOUNT_H
#define KSSH_AUTH_ACCOUNT_H

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
 * Take on the user's rights, for good: groups, gid, uid. Checked: there is no
 * way back. Does nothing if the process is that user already. 0 or -errno.
 */
int account_become(const struct account *account);
/* For ids of which there is no name: no groups but @gid. */
int account_become_ids(uid_t uid, gid_t gid);

#endif
