// SPDX-License-Identifier: MIT
/* The loop of ring.c on poll(2), for where io_uring is forbidden. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "stream/ring.h"

int64_t ring_wait_due(const struct __kernel_timespec *ts)
{
	/* Rounded up: never early. */
	return clock_ms() + ts->tv_sec * INT64_C(1000) + ts->tv_nsec / 1000000 +
	       1;
}

void ring_wait_add(struct ring *ring, const struct ring_wait *wait)
{
	unsigned int cap = ring->cap_waits ? 2 * ring->cap_waits : 32;
	struct ring_wait *waits;

	if (ring->n_waits == ring->cap_waits) {
		waits = realloc(ring->waits, cap * sizeof(*waits));
		if (!waits)
			/* Nothing can be promised any more. */
			abort();
		ring->waits = waits;
		ring->cap_waits = cap;
	}
	ring->waits[ring->n_waits++] = *wait;
}

void ring_wait_remove(struct ring *ring, struct ring_op *op)
{
	unsigned int i;

	for (i = 0; i < ring->n_waits; i++) {
		if (ring->waits[i].op != op)
			continue;
		ring->waits[i] = ring->waits[--ring->n_waits];
		return;
	}
}

/* Milliseconds until the first timeout, -1 for none. */
static int next_due(const struct ring *ring)
{
	int64_t due = -1, left;
	unsigned int i;

	for (i = 0; i < ring->n_waits; i++)
		if (ring->waits[i].kind == RING_TIMEOUT &&
		    (due < 0 || ring->waits[i].due_ms < due))
			due = ring->waits[i].due_ms;
	if (due < 0)
		return -1;
	left = due - clock_ms();
	if (left < 0)
		return 0;
	return left > 1000000 ? 1000000 : (int)left;
}

static short events_of(const struct ring_wait *wait)
{
	switch (wait->kind) {
	case RING_POLL:
		return wait->flags;
	case RING_RECV:
		return POLLIN;
	case RING_SEND:
		return POLLOUT;
	default:
		return 0;
	}
}

/* Do it: the result, or -EAGAIN if it was not ready after all. */
static int perform(const struct ring_wait *wait, short revents)
{
	ssize_t n;

	switch (wait->kind) {
	case RING_POLL:
		return revents ? revents : -EAGAIN;
	case RING_RECV:
		if (!revents)
			return -EAGAIN;
		n = recv(wait->fd, wait->buf, wait->len, MSG_DONTWAIT);
		return n < 0 ? -errno : n;
	case RING_SEND:
		if (!revents)
			return -EAGAIN;
		n = send(wait->fd, wait->buf, wait->len,
			 (wait->flags & ~MSG_WAITALL) | MSG_DONTWAIT);
		return n < 0 ? -errno : n;
	default:
		return clock_ms() >= wait->due_ms ? -ETIME : -EAGAIN;
	}
}

static void complete(struct ring *ring, const struct ring_wait *done, int res)
{
	ring_wait_remove(ring, done->op);
	ring->pending--;
	done->op->pending = false;
	done->op->fn(done->op, res);
}

/*
 * A completed function may add, cancel and complete: go by a copy, and skip
 * what is not pending any more or was submitted anew.
 */
static void complete_ready(struct ring *ring, const struct ring_wait *waits,
			   const struct pollfd *pfds, unsigned int n)
{
	unsigned int i, j;
	int res;

	for (i = 0; i < n && !ring->stop; i++) {
		for (j = 0; j < ring->n_waits; j++)
			if (!memcmp(&ring->waits[j], &waits[i],
				    sizeof(waits[i])))
				break;
		if (j == ring->n_waits)
			continue;
		res = perform(&waits[i], pfds[i].revents);
		if (res != -EAGAIN && res != -EINTR)
			complete(ring, &waits[i], res);
	}
}

int ring_wait_turn(struct ring *ring)
{
	unsigned int i, n = ring->n_waits;
	struct ring_wait *waits = calloc(n, sizeof(*waits));
	struct pollfd *pfds = calloc(n, sizeof(*pfds));
	int err = -ENOMEM;

	if (!waits || !pfds)
		goto out;
	memcpy(waits, ring->waits, n * sizeof(*waits));
	for (i = 0; i < n; i++) {
		pfds[i].fd = waits[i].fd;
		pfds[i].events = events_of(&waits[i]);
	}
	err = 0;
	if (poll(pfds, n, next_due(ring)) < 0 && errno != EINTR)
		err = -errno;
	else
		complete_ready(ring, waits, pfds, n);
out:
	free(waits);
	free(pfds);
	return err;
}
