// SPDX-License-Identifier: MIT
/* The process of a command: its stdio, its environment, its start. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/exec_child.h"

#define EXEC_PIPE_LEN	(256 * 1024)

/* ---- stdio ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void exec_stdio_close_theirs(struct exec_stdio *io)
{
	close_fd(&io->in[0]);
	close_fd(&io->out[1]);
	close_fd(&io->err[1]);
	close_fd(&io->gate[0]);
}

void exec_stdio_close(struct exec_stdio *io)
{
	exec_stdio_close_theirs(io);
	close_fd(&io->in[1]);
	close_fd(&io->out[0]);
	close_fd(&io->err[0]);
	close_fd(&io->gate[1]);
}

int exec_stdio_pipes(struct exec_stdio *io)
{
	memset(io, 0xff, sizeof(*io));
	if (pipe2(io->in, O_CLOEXEC) < 0 || pipe2(io->out, O_CLOEXEC) < 0 ||
	    pipe2(io->err, O_CLOEXEC) < 0) {
		int err = -errno;

		exec_stdio_close(io);
		return err;
	}
	/* A pipe of the default size only costs more system calls. */
	(void)fcntl(io->in[1], F_SETPIPE_SZ, EXEC_PIPE_LEN);
	(void)fcntl(io->out[0], F_SETPIPE_SZ, EXEC_PIPE_LEN);
	/* Only our ends: the command expects blocking stdio. */
	fcntl(io->in[1], F_SETFL, O_NONBLOCK);
	fcntl(io->out[0], F_SETFL, O_NONBLOCK);
	fcntl(io->err[0], F_SETFL, O_NONBLOCK);
	return 0;
}

int exec_stdio_direct(struct exec_stdio *io, struct channel *ch)
{
	int fds[3];
	int err;

	memset(io, 0xff, sizeof(*io));
	/* What the command sends must not overtake our answer to the request. */
	if (pipe2(io->gate, O_CLOEXEC) < 0)
		return -errno;
	err = channel_hand_over(ch, fds);
	if (err) {
		exec_stdio_close(io);
		return err;
	}
	io->in[0] = fds[0];
	io->out[1] = fds[1];
	io->err[1] = fds[2];
	return 0;
}

/* ---- process ---- */

static void set_env(const char *name, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void set_env(const char *name, const char *fmt, ...)
{
	char value[256]; /* two addresses and ports */
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	setenv(name, value, 1);
}

static void child_env(const struct session_args *args, const struct channel *ch)
{
	unsigned int i;

	clearenv();
	for (i = 0; i < ch->n_env; i++)
		putenv(ch->env[i]);
	setenv("USER", args->user, 1);
	setenv("LOGNAME", args->user, 1);
	setenv("HOME", args->home, 1);
	setenv("SHELL", args->shell, 1);
	setenv("PATH",
	       args->uid ?
		       "/usr/local/bin:/usr/bin:/bin:/usr/games" :
		       "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	       1);
	set_env("SSH_CLIENT", "%s %u %u", args->peer_addr, args->peer_port,
		args->local_port);
	set_env("SSH_CONNECTION", "%s %u %s %u", args->peer_addr,
		args->peer_port, args->local_addr, args->local_port);
}

/*
 * As if nobody had changed a thing: whoever started the server may have had
 * signals ignored. By system call, since libc keeps two of them to itself.
 */
static void reset_signals(void)
{
	static const unsigned long long none[4]; /* SIG_DFL, all zero */
	int nr;

	for (nr = 1; nr < NSIG; nr++)
		syscall(SYS_rt_sigaction, nr, none, NULL, sizeof(none[0]));
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, sizeof(none[0]));
}

static bool may_begin(const struct exec_stdio *io)
{
	char go;

	close(io->gate[1]);
	return read(io->gate[0], &go, 1) == 1;
}

static void child(const struct session_args *args, const struct channel *ch,
		  const struct exec_stdio *io, const char *command,
		  const char *original) __attribute__((noreturn));

static void child(const struct session_args *args, const struct channel *ch,
		  const struct exec_stdio *io, const char *command,
		  const char *original)
{
	const char *base = strrchr(args->shell, '/');
	char login[256];

	base = base ? base + 1 : args->shell;
	if (io->gate[0] >= 0 && !may_begin(io))
		_exit(255);
	setsid();
	reset_signals();
	dup2(io->in[0], 0);
	dup2(io->out[1], 1);
	dup2(io->err[1], 2);
	/* Everything else of ours is close-on-exec; this makes sure. */
	syscall(SYS_close_range, 3U, ~0U, 0U);
	child_env(args, ch);
	if (original)
		setenv("SSH_ORIGINAL_COMMAND", original, 1);
	snprintf(login, sizeof(login), "-%s", base);
	if (command)
		execl(args->shell, base, "-c", command, (char *)NULL);
	else
		execl(args->shell, login, (char *)NULL);
	fprintf(stderr, "%s: %s\n", args->shell, strerror(errno));
	_exit(127);
}

pid_t exec_child_start(const struct session_args *args,
		       const struct channel *ch, const struct exec_stdio *io,
		       const char *command, const char *original, int *pid_fd)
{
	pid_t pid = fork();
	int err;

	if (pid < 0)
		return -errno;
	if (!pid)
		child(args, ch, io, command, original);
	*pid_fd = syscall(SYS_pidfd_open, pid, 0);
	if (*pid_fd < 0) {
		err = -errno;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return err;
	}
	return pid;
}
