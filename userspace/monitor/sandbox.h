/* SPDX-License-Identifier: MIT */
/* The cage of the auth process. */
#ifndef KSSH_MONITOR_SANDBOX_H
#define KSSH_MONITOR_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>
#include <linux/filter.h>

#define SANDBOX_DIR	"/run/ksshd"

/**
 * struct sandbox - made once by the listener
 * @root: chroot to SANDBOX_DIR and take on @uid and @gid
 * @uid: user that owns nothing
 * @gid: its group
 * @filter: seccomp program
 */
struct sandbox {
	bool root;
	uid_t uid;
	gid_t gid;
	struct sock_fprog filter;
};

/* 0, or -errno after a log line. */
int sandbox_prepare(struct sandbox *sandbox);
void sandbox_free(struct sandbox *sandbox);
/*
 * Go in. The descriptors of the process must be those it keeps. 0 or -errno,
 * with *step naming what failed; the process must end then.
 */
int sandbox_enter(const struct sandbox *sandbox, const char **step);

#endif
