/* SPDX-License-Identifier: MIT */
/* ChrootDirectory: a root directory of the user's own. */
#ifndef KSSH_MONITOR_CHROOT_H
#define KSSH_MONITOR_CHROOT_H

#include <stddef.h>

/*
 * Do @path, and all directories above it, belong to root, with nobody else
 * writing there? 0, or -EPERM with @why telling which does not.
 */
int chroot_check(const char *path, char *why, size_t why_len);
/* Go in; needs root. 0 or -errno. */
int chroot_enter(const char *path);

#endif
