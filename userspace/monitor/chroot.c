// SPDX-License-Identifier: MIT
/*
 * ChrootDirectory. Who could write to one of the directories above it, or to
 * itself, could put files there that set-uid programs trust.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/chroot.h"

static int check_component(const char *path, char *why, size_t why_len)
{
	struct stat st;

	if (stat(path, &st)) {
		snprintf(why, why_len, "%s: %s", path, strerror(errno));
		return -EPERM;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(why, why_len, "%s is not a directory", path);
		return -EPERM;
	}
	if (st.st_uid) {
		snprintf(why, why_len, "%s belongs to uid %u, not to root",
			 path, st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & 022) {
		snprintf(why, why_len,
			 "%s can be written by group or others (mode %04o)",
			 path, st.st_mode & 07777);
		return -EPERM;
	}
	return 0;
}

static int check_components(const char *path, char *why, size_t why_len)
{
	char part[PATH_MAX];
	size_t len = 0;
	int err = 0;

	if (path[0] != '/' || strlen(path) >= sizeof(part)) {
		snprintf(why, why_len, "\"%.64s\" does not begin with /", path);
		return -EPERM;
	}
	while (!err && path[len]) {
		/* "/", then "/a", "/a/b" */
		len += !len ? 1 : strcspn(path + len + 1, "/") + 1;
		if (len > 1 && path[len - 1] == '/')
			continue;
		memcpy(part, path, len);
		part[len] = 0;
		err = check_component(part, why, why_len);
	}
	return err;
}

int chroot_check(const char *path, char *why, size_t why_len)
{
	char real[PATH_MAX];
	int err;

	err = check_components(path, why, why_len);
	if (err)
		return err;
	if (!realpath(path, real)) {
		snprintf(why, why_len, "%s: %s", path, strerror(errno));
		return -EPERM;
	}
	/* where links lead there are other directories above */
	return check_components(real, why, why_len);
}

int chroot_enter(const char *path)
{
	if (chdir(path) || chroot(".") || chdir("/"))
		return -errno;
	return 0;
}
