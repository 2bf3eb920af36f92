// SPDX-License-Identifier: MIT
/*
 * A command on a channel. Its stdio are pipes, as OpenSSH's are, so that
 * /dev/stdout and /dev/stderr can be opened again; bytes are moved between
 * pipe and channel by the data path, on the kernel path by splice(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/conn.h"
#include "lib/log.h"
#include "lib/mem.h"

#define EXEC_PIPE_LEN	(256 * 1024)
/* Moves of one stream before others have their turn. */
#define EXEC_BUDGET	8

struct exec;

/**
 * struct exec_pipe - one of the command's stdio streams
 * @exec: the command
 * @fd: our end, -1 when closed
 * @op: waits for the pipe
 * @ext: it is stderr
 */
struct exec_pipe {
	struct exec *exec;
	int fd;
	struct ring_op op;
	bool ext;
};

/**
 * struct exec - a command
 * @conn: connection
 * @ch: channel, NULL when that has ended before the command
 * @reap: how the memory goes
 * @pid: process, also its process group
 * @pid_fd: its pidfd
 * @pid_op: waits for its end
 * @status: wait(2) status
 * @exited: @status is there
 * @in: channel to stdin
 * @out: stdout to channel
 * @err: stderr to channel
 */
struct exec {
	struct conn *conn;
	struct channel *ch;
	struct reap reap;
	pid_t pid;
	int pid_fd;
	struct ring_op pid_op;
	int status;
	bool exited;
	struct exec_pipe in;
	struct exec_pipe out;
	struct exec_pipe err;
};

/* ---- life ---- */

static bool exec_idle(struct reap *reap)
{
	struct exec *exec = container_of(reap, struct exec, reap);

	return ring_op_idle(&exec->pid_op) && ring_op_idle(&exec->in.op) &&
	       ring_op_idle(&exec->out.op) && ring_op_idle(&exec->err.op);
}

static void exec_free(struct reap *reap)
{
	free(container_of(reap, struct exec, reap));
}

static void close_pipe(struct exec_pipe *pipe)
{
	if (pipe->fd < 0)
		return;
	ring_cancel(&pipe->exec->conn->ring, &pipe->op);
	close(pipe->fd);
	pipe->fd = -1;
}

static void release(struct exec *exec)
{
	close_pipe(&exec->in);
	if (exec->pid_fd >= 0)
		close(exec->pid_fd);
	exec->pid_fd = -1;
	exec->reap.idle = exec_idle;
	exec->reap.free = exec_free;
	conn_add_reap(exec->conn, &exec->reap);
}

static bool is_drained(const struct exec_pipe *pipe)
{
	struct pollfd pfd = { .fd = pipe->fd, .events = POLLIN };

	return pipe->fd < 0 || !poll(&pfd, 1, 0);
}

/*
 * Has the command exited, and can nothing more come out of it? RFC 4254 6.10
 * lets its status come before the end of its output.
 */
static void check_end(struct exec *exec)
{
	struct channel *ch = exec->ch;

	if (exec->out.fd >= 0 || exec->err.fd >= 0) {
		/* what it has left in the background goes on writing */
		if (exec->exited && ch && is_drained(&exec->out) &&
		    is_drained(&exec->err))
			channel_report_status(ch, exec->status);
		return;
	}
	if (!exec->exited) {
		if (ch)
			channel_send_eof(ch);
		return;
	}
	exec->ch = NULL;
	release(exec);
	if (ch)
		channel_finish(ch, exec->status);
}

static void has_exited(struct ring_op *op, int res)
{
	struct exec *exec = op->arg;

	(void)res;
	if (waitpid(exec->pid, &exec->status, WNOHANG) != exec->pid) {
		ring_poll(&exec->conn->ring, op, exec->pid_fd, POLLIN);
		return;
	}
	exec->exited = true;
	check_end(exec);
}

/* ---- bytes ---- */

static void pump_in(struct exec *exec)
{
	struct exec_pipe *pipe = &exec->in;
	bool pipe_blocked;
	ssize_t n;
	int turns;

	if (pipe->fd < 0 || !exec->ch)
		return;
	for (turns = 0; turns < EXEC_BUDGET; turns++) {
		n = channel_to_pipe(exec->ch, pipe->fd, &pipe_blocked);
		if (n > 0)
			continue;
		if (n == -EAGAIN && !pipe_blocked)
			return;
		if (n == -EAGAIN)
			break;
		close_pipe(pipe);
		/* Nobody reads stdin any more: what still comes is dropped. */
		if (n < 0)
			channel_discard(exec->ch);
		return;
	}
	/* The pipe is full, or others have their turn first. */
	if (ring_op_idle(&pipe->op))
		ring_poll(&exec->conn->ring, &pipe->op, pipe->fd, POLLOUT);
}

static void pump_out(struct exec_pipe *pipe)
{
	struct exec *exec = pipe->exec;
	bool pipe_blocked;
	ssize_t n;
	int turns;

	if (pipe->fd < 0 || !exec->ch)
		return;
	for (turns = 0; turns < EXEC_BUDGET; turns++) {
		n = channel_from_pipe(exec->ch, pipe->fd, pipe->ext,
				      &pipe_blocked);
		if (n > 0)
			continue;
		if (n == -EAGAIN && !pipe_blocked)
			return;
		/* short of memory: tried again, nothing is lost */
		if (n == -EAGAIN || n == -ENOMEM || n == -ENOBUFS)
			break;
		close_pipe(pipe);
		check_end(exec);
		return;
	}
	if (ring_op_idle(&pipe->op))
		ring_poll(&exec->conn->ring, &pipe->op, pipe->fd, POLLIN);
	if (exec->exited)
		check_end(exec);
}

static void in_ready(struct ring_op *op, int res)
{
	struct exec_pipe *pipe = op->arg;

	(void)res;
	pump_in(pipe->exec);
}

static void out_ready(struct ring_op *op, int res)
{
	(void)res;
	pump_out(op->arg);
}

static void exec_readable(struct channel *ch, void *arg)
{
	(void)ch;
	pump_in(arg);
}

static void exec_writable(struct channel *ch, void *arg)
{
	struct exec *exec = arg;

	(void)ch;
	/* Each may end the command, and with it itself. */
	pump_out(&exec->err);
	if (exec->ch)
		pump_out(&exec->out);
}

static void exec_closed(struct channel *ch, void *arg)
{
	struct exec *exec = arg;

	(void)ch;
	exec->ch = NULL;
	close_pipe(&exec->in);
	close_pipe(&exec->out);
	close_pipe(&exec->err);
	if (exec->exited)
		release(exec);
}

static const struct channel_consumer exec_consumer = {
	.readable = exec_readable,
	.writable = exec_writable,
	.closed = exec_closed,
};

/* A command just started may not lead its process group yet. */
static int send_signal(pid_t pid, int number)
{
	if (!kill(-pid, number) || !kill(pid, number))
		return 0;
	return -errno;
}

int exec_signal(struct channel *ch, const char *name, size_t len)
{
	static const struct {
		const char *name;
		int number;
	} allowed[] = {
		{ "TERM", SIGTERM }, { "INT", SIGINT },	  { "KILL", SIGKILL },
		{ "HUP", SIGHUP },   { "QUIT", SIGQUIT }, { "ALRM", SIGALRM },
		{ "USR1", SIGUSR1 }, { "USR2", SIGUSR2 },
	};
	struct exec *exec = ch->arg;
	size_t i;

	if (ch->consumer != &exec_consumer || exec->exited)
		return -ESRCH;
	for (i = 0; i < ARRAY_SIZE(allowed); i++)
		if (len == strlen(allowed[i].name) &&
		    !memcmp(name, allowed[i].name, len))
			return send_signal(exec->pid, allowed[i].number);
	return -EINVAL;
}

/* ---- start ---- */

struct stdio {
	int in[2];
	int out[2];
	int err[2];
};

static void close_stdio(struct stdio *io)
{
	int *fds = (int *)io;
	size_t i;

	for (i = 0; i < sizeof(*io) / sizeof(int); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int open_stdio(struct stdio *io)
{
	memset(io, 0xff, sizeof(*io));
	if (pipe2(io->in, O_CLOEXEC) < 0 || pipe2(io->out, O_CLOEXEC) < 0 ||
	    pipe2(io->err, O_CLOEXEC) < 0) {
		int err = -errno;

		close_stdio(io);
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

static void child(const struct session_args *args, const struct channel *ch,
		  const struct stdio *io, const char *command,
		  const char *original) __attribute__((noreturn));

static void child(const struct session_args *args, const struct channel *ch,
		  const struct stdio *io, const char *command,
		  const char *original)
{
	const char *base = strrchr(args->shell, '/');
	char login[256];

	base = base ? base + 1 : args->shell;
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

static void init_pipe(struct exec *exec, struct exec_pipe *pipe, int fd,
		      ring_fn fn)
{
	pipe->exec = exec;
	pipe->fd = fd;
	pipe->op = (struct ring_op){ .fn = fn, .arg = pipe };
}

static int start_child(struct exec *exec, struct channel *ch, struct stdio *io,
		       const char *command, const char *original)
{
	exec->pid = fork();
	if (exec->pid < 0)
		return -errno;
	if (!exec->pid)
		child(exec->conn->args, ch, io, command, original);
	exec->pid_fd = syscall(SYS_pidfd_open, exec->pid, 0);
	if (exec->pid_fd < 0) {
		kill(exec->pid, SIGKILL);
		waitpid(exec->pid, NULL, 0);
		return -errno;
	}
	return 0;
}

int exec_start(struct conn *conn, struct channel *ch, const char *command,
	       const char *original)
{
	struct exec *exec = calloc(1, sizeof(*exec));
	struct stdio io;
	int err;

	if (!exec)
		return -ENOMEM;
	exec->conn = conn;
	exec->ch = ch;
	err = open_stdio(&io);
	if (err)
		goto err_free;
	err = start_child(exec, ch, &io, command, original);
	if (err)
		goto err_stdio;

	init_pipe(exec, &exec->in, io.in[1], in_ready);
	init_pipe(exec, &exec->out, io.out[0], out_ready);
	init_pipe(exec, &exec->err, io.err[0], out_ready);
	exec->err.ext = true;
	close(io.in[0]);
	close(io.out[1]);
	close(io.err[1]);
	exec->pid_op = (struct ring_op){ .fn = has_exited, .arg = exec };
	ring_poll(&conn->ring, &exec->pid_op, exec->pid_fd, POLLIN);
	ring_poll(&conn->ring, &exec->out.op, exec->out.fd, POLLIN);
	ring_poll(&conn->ring, &exec->err.op, exec->err.fd, POLLIN);
	channel_set_consumer(ch, &exec_consumer, exec);
	return 0;

err_stdio:
	close_stdio(&io);
err_free:
	free(exec);
	return err;
}
