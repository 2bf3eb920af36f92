// SPDX-License-Identifier: MIT
/*
 * A command on a channel. Its stdio are pipes, as OpenSSH's are, so that
 * /dev/stdout and /dev/stderr can be opened again; bytes are moved between
 * pipe and channel by the data path, on the kernel path by splice(2). Or, if
 * ExecStdio says so, they are the channel's own sockets, and no byte is seen
 * here.
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
#include "channel/exec_child.h"
#include "lib/log.h"
#include "lib/mem.h"

/*
 * What one stream moves before others have their turn, news from the module
 * among them, as that keys are to be exchanged.
 */
#define EXEC_MOVES	8
#define EXEC_BYTES	(512 * 1024)

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
 * @direct: its stdio are the channel's sockets
 * @gate_fd: a byte there lets it begin; -1: it has begun
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
	bool direct;
	int gate_fd;
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

static void close_gate(struct exec *exec)
{
	if (exec->gate_fd >= 0)
		close(exec->gate_fd);
	exec->gate_fd = -1;
}

static void release(struct exec *exec)
{
	close_pipe(&exec->in);
	close_gate(exec);
	if (exec->pid_fd >= 0)
		close(exec->pid_fd);
	exec->pid_fd = -1;
	exec->reap.idle = exec_idle;
	exec->reap.free = exec_free;
	conn_add_reap(exec->conn, &exec->reap);
}

/* Bytes may still come out of it. */
static bool has_output(const struct exec *exec)
{
	if (exec->direct)
		return exec->ch && !exec->ch->tx_finished;
	return exec->out.fd >= 0 || exec->err.fd >= 0;
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

	if (has_output(exec)) {
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
	size_t moved = 0;
	ssize_t n;
	int i;

	if (pipe->fd < 0 || !exec->ch)
		return;
	for (i = 0; i < EXEC_MOVES && moved < EXEC_BYTES; i++) {
		n = channel_to_pipe(exec->ch, pipe->fd, &pipe_blocked);
		if (n > 0) {
			moved += n;
			continue;
		}
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
	size_t moved = 0;
	ssize_t n;
	int i;

	if (pipe->fd < 0 || !exec->ch)
		return;
	for (i = 0; i < EXEC_MOVES && moved < EXEC_BYTES; i++) {
		n = channel_from_pipe(exec->ch, pipe->fd, pipe->ext,
				      &pipe_blocked);
		if (n > 0) {
			moved += n;
			continue;
		}
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

/* The answer to the request is out, or will be before what comes now. */
static void open_gate(struct exec *exec)
{
	if (exec->gate_fd < 0 || !exec->ch)
		return;
	if (conn_has_backlog(exec->conn)) {
		exec->ch->after_backlog = true;
		return;
	}
	(void)!write(exec->gate_fd, "", 1);
	close_gate(exec);
}

static void exec_again(struct channel *ch, void *arg)
{
	(void)ch;
	open_gate(arg);
}

static void exec_tx_done(struct channel *ch, void *arg)
{
	struct exec *exec = arg;

	if (!exec->direct)
		return;
	channel_send_eof(ch);
	check_end(exec);
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
	open_gate(exec);
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
	close_gate(exec);
	if (exec->exited)
		release(exec);
}

static const struct channel_consumer exec_consumer = {
	.readable = exec_readable,
	.writable = exec_writable,
	.again = exec_again,
	.tx_done = exec_tx_done,
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

static void init_pipe(struct exec *exec, struct exec_pipe *pipe, int fd,
		      ring_fn fn)
{
	pipe->exec = exec;
	pipe->fd = fd;
	pipe->op = (struct ring_op){ .fn = fn, .arg = pipe };
}

/* May the command have the channel's sockets? Nobody could hold it back. */
static bool wants_direct(const struct conn *conn, const char *command)
{
	return command && !conn_rate_any(conn) &&
	       conf_exec_direct(conn->args->conf, command);
}

static int open_stdio(struct exec *exec, struct exec_stdio *io,
		      const char *command)
{
	int err = -EOPNOTSUPP;

	if (wants_direct(exec->conn, command))
		err = exec_stdio_direct(io, exec->ch);
	exec->direct = !err;
	if (err == -EOPNOTSUPP)
		err = exec_stdio_pipes(io);
	return err;
}

static void start_pumping(struct exec *exec)
{
	struct ring *ring = &exec->conn->ring;

	exec->pid_op = (struct ring_op){ .fn = has_exited, .arg = exec };
	ring_poll(ring, &exec->pid_op, exec->pid_fd, POLLIN);
	if (exec->direct) {
		channel_again(exec->ch);
		return;
	}
	ring_poll(ring, &exec->out.op, exec->out.fd, POLLIN);
	ring_poll(ring, &exec->err.op, exec->err.fd, POLLIN);
}

int exec_start(struct conn *conn, struct channel *ch, const char *command,
	       const char *original)
{
	struct exec *exec = calloc(1, sizeof(*exec));
	struct exec_stdio io;
	int err;

	if (!exec)
		return -ENOMEM;
	exec->conn = conn;
	exec->ch = ch;
	err = open_stdio(exec, &io, command);
	if (err)
		goto err_free;
	exec->pid = exec_child_start(conn->args, ch, &io, command, original,
				     &exec->pid_fd);
	if (exec->pid < 0) {
		err = exec->pid;
		goto err_stdio;
	}

	init_pipe(exec, &exec->in, io.in[1], in_ready);
	init_pipe(exec, &exec->out, io.out[0], out_ready);
	init_pipe(exec, &exec->err, io.err[0], out_ready);
	exec->err.ext = true;
	exec->gate_fd = io.gate[1];
	exec_stdio_close_theirs(&io);
	channel_set_consumer(ch, &exec_consumer, exec);
	start_pumping(exec);
	return 0;

err_stdio:
	exec_stdio_close(&io);
err_free:
	free(exec);
	return err;
}
