/* SPDX-License-Identifier: MIT */
/* The process of a command: its stdio, its environment, its start. */
#ifndef KSSH_CHANNEL_EXEC_CHILD_H
#define KSSH_CHANNEL_EXEC_CHILD_H

#include "channel/channel_impl.h"
#include "channel/session.h"

/**
 * struct exec_stdio - a command's stdin, stdout and stderr
 * @in: pipe, the command reads from the first; -1: there is none
 * @out: pipe, the command writes to the second
 * @err: the same for stderr
 * @gate: the command begins when a byte comes from the first; -1: at once
 */
struct exec_stdio {
	int in[2];
	int out[2];
	int err[2];
	int gate[2];
};

/* Pipes, our ends non-blocking. 0 or -errno. */
int exec_stdio_pipes(struct exec_stdio *io);
/*
 * The channel's own sockets, on which nobody else sends or receives from now
 * on. 0; -EOPNOTSUPP: it has none; other -errno.
 */
int exec_stdio_direct(struct exec_stdio *io, struct channel *ch);
/* Close what is open: all, or after the start what is the command's. */
void exec_stdio_close(struct exec_stdio *io);
void exec_stdio_close_theirs(struct exec_stdio *io);

/*
 * Fork, and run @command, or a login shell if that is NULL; @original goes
 * into its environment. Its pid, and its pidfd at *@pid_fd; or -errno.
 */
pid_t exec_child_start(const struct session_args *args,
		       const struct channel *ch, const struct exec_stdio *io,
		       const char *command, const char *original, int *pid_fd);

#endif
