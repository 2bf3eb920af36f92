/* SPDX-License-Identifier: MIT */
/* What ps(1) shows for a process that was forked, but not executed. */
#ifndef KSSH_LIB_TITLE_H
#define KSSH_LIB_TITLE_H

/*
 * Make the memory of the arguments ours. The arguments and the environment are
 * copied away first, so they stay valid. 0 or -ENOMEM: titles have no effect.
 */
int title_init(int argc, char **argv);
/* @name: of the process, cut to 15 characters; then its command line. */
void title_set(const char *name, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
