/* SPDX-License-Identifier: MIT */
/*
 * The io_uring loop of a session. Single-threaded. Where io_uring is not to be
 * had (kernel.io_uring_disabled, the seccomp filters of containers) the same
 * operations run on poll(2).
 */
#ifndef KSSH_STREAM_RING_H
#define KSSH_STREAM_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <liburing.h>

struct ring_op;
struct ring_wait;

/**
 * typedef ring_fn - an operation has completed
 * @op: the operation, no longer pending: it may be submitted again
 * @res: result of the operation, -errno, or poll events
 */
typedef void (*ring_fn)(struct ring_op *op, int res);

/**
 * struct ring_op - one operation, embedded in its owner
 * @fn: called on completion; not called after ring_cancel()
 * @arg: for the owner
 * @pending: submitted, not completed; @op must stay where it is
 * @zombie: cancelled, completion still to come
 */
struct ring_op {
	ring_fn fn;
	void *arg;
	bool pending;
	bool zombie;
};

/**
 * struct ring - the loop
 * @uring: liburing's ring
 * @waits: without io_uring: what is pending; else NULL
 * @n_waits: how many
 * @cap_waits: room for that many
 * @use_poll: without io_uring
 * @pending: operations in flight
 * @stop: leave ring_run()
 * @idle: called before the loop sleeps; flushes what a batch of completions
 *	has piled up
 * @idle_arg: its argument
 */
struct ring {
	struct io_uring uring;
	struct ring_wait *waits;
	unsigned int n_waits;
	unsigned int cap_waits;
	bool use_poll;
	unsigned int pending;
	bool stop;
	void (*idle)(void *arg);
	void *idle_arg;
};

/* ring.c: 0 or -errno; -EPERM, -ENOSYS: try ring_init_poll() */
int ring_init(struct ring *ring, unsigned int entries);
/* The loop without io_uring. */
void ring_init_poll(struct ring *ring);
void ring_exit(struct ring *ring);
/* Until ring->stop or nothing is pending. 0 or -errno. */
int ring_run(struct ring *ring);

/* One-shot poll for POLLIN, POLLOUT ...; completes with the events. */
void ring_poll(struct ring *ring, struct ring_op *op, int fd, uint32_t events);
void ring_recv(struct ring *ring, struct ring_op *op, int fd, void *buf,
	       size_t len);
void ring_send(struct ring *ring, struct ring_op *op, int fd, const void *buf,
	       size_t len, int flags);
/* Files; without io_uring there is none of this. */
void ring_read(struct ring *ring, struct ring_op *op, int fd, void *buf,
	       size_t len, uint64_t off);
void ring_write(struct ring *ring, struct ring_op *op, int fd, const void *buf,
		size_t len, uint64_t off);
void ring_fsync(struct ring *ring, struct ring_op *op, int fd);
/* What was asked for holds its file from now on: its number may be closed. */
void ring_submit(struct ring *ring);
/* Completes with -ETIME; @ts must live until then. */
void ring_timeout(struct ring *ring, struct ring_op *op,
		  struct __kernel_timespec *ts);
/* Completes in the next turn of the loop; @res says nothing. */
void ring_again(struct ring *ring, struct ring_op *op);
/*
 * Forget @op, its function is not called any more. A poll, a timeout or
 * ring_again(); the memory of @op must stay until ring_op_idle().
 */
void ring_cancel(struct ring *ring, struct ring_op *op);

/*
 * Wait up to @ms for @op, whose function is not called, nor are those of what
 * completes meanwhile: the loop has ended. Result of @op; -ETIME.
 */
int ring_finish(struct ring *ring, struct ring_op *op, unsigned int ms);

/* ring_poll.c: the loop on poll(2), called by ring.c */
enum ring_wait_kind { RING_POLL, RING_RECV, RING_SEND, RING_TIMEOUT };

/**
 * struct ring_wait - a pending operation without io_uring
 * @op: whose it is
 * @kind: what to do when it is due
 * @fd: descriptor, -1 for a timeout
 * @flags: poll events, or flags of send
 * @buf: for receive and send
 * @len: its length
 * @due_ms: CLOCK_MONOTONIC, for a timeout
 */
struct ring_wait {
	struct ring_op *op;
	enum ring_wait_kind kind;
	int fd;
	uint32_t flags;
	void *buf;
	size_t len;
	int64_t due_ms;
};

void ring_wait_add(struct ring *ring, const struct ring_wait *wait);
void ring_wait_remove(struct ring *ring, struct ring_op *op);
/* Wait for something and complete it: 0 or -errno. */
int ring_wait_turn(struct ring *ring);
int64_t ring_wait_due(const struct __kernel_timespec *ts);

static inline bool ring_op_idle(const struct ring_op *op)
{
	return !op->pending && !op->zombie;
}

#endif
