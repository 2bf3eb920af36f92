// SPDX-License-Identifier: MIT
/* The io_uring loop: prepare, submit, wait, complete. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stream/ring.h"

int ring_init(struct ring *ring, unsigned int entries)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
	};

	memset(ring, 0, sizeof(*ring));
	return io_uring_queue_init_params(entries, &ring->uring, &params);
}

void ring_init_poll(struct ring *ring)
{
	memset(ring, 0, sizeof(*ring));
	ring->use_poll = true;
}

void ring_exit(struct ring *ring)
{
	if (ring->use_poll)
		free(ring->waits);
	else
		io_uring_queue_exit(&ring->uring);
}

static struct io_uring_sqe *get_sqe(struct ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	if (!sqe) {
		/* The queue is full: hand over what is in it. */
		io_uring_submit(&ring->uring);
		sqe = io_uring_get_sqe(&ring->uring);
	}
	if (!sqe)
		/* No memory in the kernel: nothing can be promised. */
		abort();
	return sqe;
}

static void set_pending(struct ring *ring, struct ring_op *op)
{
	op->pending = true;
	op->zombie = false;
	ring->pending++;
}

static void submit_op(struct ring *ring, struct ring_op *op,
		      struct io_uring_sqe *sqe)
{
	io_uring_sqe_set_data(sqe, op);
	set_pending(ring, op);
}

static void submit_wait(struct ring *ring, const struct ring_wait *wait)
{
	ring_wait_add(ring, wait);
	set_pending(ring, wait->op);
}

void ring_poll(struct ring *ring, struct ring_op *op, int fd, uint32_t events)
{
	struct ring_wait wait = { op, RING_POLL, fd, events, NULL, 0, 0 };
	struct io_uring_sqe *sqe;

	if (ring->use_poll) {
		submit_wait(ring, &wait);
		return;
	}
	sqe = get_sqe(ring);
	io_uring_prep_poll_add(sqe, fd, events);
	submit_op(ring, op, sqe);
}

void ring_recv(struct ring *ring, struct ring_op *op, int fd, void *buf,
	       size_t len)
{
	struct ring_wait wait = { op, RING_RECV, fd, 0, buf, len, 0 };
	struct io_uring_sqe *sqe;

	if (ring->use_poll) {
		submit_wait(ring, &wait);
		return;
	}
	sqe = get_sqe(ring);
	io_uring_prep_recv(sqe, fd, buf, len, 0);
	submit_op(ring, op, sqe);
}

void ring_send(struct ring *ring, struct ring_op *op, int fd, const void *buf,
	       size_t len, int flags)
{
	struct ring_wait wait = {
		op, RING_SEND, fd, flags, (void *)buf, len, 0
	};
	struct io_uring_sqe *sqe;

	if (ring->use_poll) {
		submit_wait(ring, &wait);
		return;
	}
	sqe = get_sqe(ring);
	io_uring_prep_send(sqe, fd, buf, len, flags);
	submit_op(ring, op, sqe);
}

void ring_read(struct ring *ring, struct ring_op *op, int fd, void *buf,
	       size_t len, uint64_t off)
{
	struct io_uring_sqe *sqe = get_sqe(ring);

	io_uring_prep_read(sqe, fd, buf, len, off);
	submit_op(ring, op, sqe);
}

void ring_write(struct ring *ring, struct ring_op *op, int fd, const void *buf,
		size_t len, uint64_t off)
{
	struct io_uring_sqe *sqe = get_sqe(ring);

	io_uring_prep_write(sqe, fd, buf, len, off);
	submit_op(ring, op, sqe);
}

void ring_fsync(struct ring *ring, struct ring_op *op, int fd)
{
	struct io_uring_sqe *sqe = get_sqe(ring);

	io_uring_prep_fsync(sqe, fd, 0);
	submit_op(ring, op, sqe);
}

void ring_submit(struct ring *ring)
{
	if (!ring->use_poll)
		(void)io_uring_submit(&ring->uring);
}

void ring_timeout(struct ring *ring, struct ring_op *op,
		  struct __kernel_timespec *ts)
{
	struct ring_wait wait = { op, RING_TIMEOUT, -1, 0, NULL, 0, 0 };
	struct io_uring_sqe *sqe;

	if (ring->use_poll) {
		wait.due_ms = ring_wait_due(ts);
		submit_wait(ring, &wait);
		return;
	}
	sqe = get_sqe(ring);
	io_uring_prep_timeout(sqe, ts, 0, 0);
	submit_op(ring, op, sqe);
}

void ring_again(struct ring *ring, struct ring_op *op)
{
	struct ring_wait wait = { op, RING_TIMEOUT, -1, 0, NULL, 0, 0 };
	struct io_uring_sqe *sqe;

	if (ring->use_poll) {
		submit_wait(ring, &wait);
		return;
	}
	sqe = get_sqe(ring);
	io_uring_prep_nop(sqe);
	submit_op(ring, op, sqe);
}

void ring_cancel(struct ring *ring, struct ring_op *op)
{
	struct io_uring_sqe *sqe;

	if (!op->pending)
		return;
	op->pending = false;
	if (ring->use_poll) {
		ring_wait_remove(ring, op);
		ring->pending--;
		return;
	}
	op->zombie = true;
	sqe = get_sqe(ring);
	io_uring_prep_cancel(sqe, op, 0);
	/* Nobody waits for the answer to the cancel itself. */
	io_uring_sqe_set_data(sqe, NULL);
}

/* It has completed. False: it was cancelled, nobody is to hear of it. */
static bool forget(struct ring *ring, struct ring_op *op)
{
	bool cancelled;

	if (!op)
		return false;
	ring->pending--;
	cancelled = op->zombie;
	op->pending = false;
	op->zombie = false;
	return !cancelled;
}

/* One batch, so that ->idle sees all that came together. */
static void complete_batch(struct ring *ring)
{
	struct io_uring_cqe *cqe;

	while (!ring->stop && !io_uring_peek_cqe(&ring->uring, &cqe)) {
		struct ring_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		/* Seen first: the function may submit and complete more. */
		io_uring_cqe_seen(&ring->uring, cqe);
		if (forget(ring, op))
			op->fn(op, res);
	}
}

int ring_finish(struct ring *ring, struct ring_op *op, unsigned int ms)
{
	struct __kernel_timespec ts = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000,
	};
	struct io_uring_cqe *cqe;
	int err = 0, res = 0;

	if (ring->use_poll) {
		/* Nothing has been done of it. */
		ring_cancel(ring, op);
		return 0;
	}
	while (op->pending && (!err || err == -EINTR)) {
		err = io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1,
						       &ts, NULL);
		err = err < 0 ? err : 0;
		while (op->pending && !io_uring_peek_cqe(&ring->uring, &cqe)) {
			res = cqe->res;
			forget(ring, io_uring_cqe_get_data(cqe));
			io_uring_cqe_seen(&ring->uring, cqe);
		}
	}
	return op->pending ? err : res;
}

static int uring_turn(struct ring *ring)
{
	int err = io_uring_submit_and_wait(&ring->uring, 1);

	if (err < 0 && err != -EINTR && err != -EAGAIN && err != -EBUSY)
		return err;
	complete_batch(ring);
	return 0;
}

int ring_run(struct ring *ring)
{
	int err = 0;

	while (!err && !ring->stop) {
		if (ring->idle)
			ring->idle(ring->idle_arg);
		if (ring->stop || !ring->pending)
			break;
		err = ring->use_poll ? ring_wait_turn(ring) : uring_turn(ring);
	}
	return err;
}
