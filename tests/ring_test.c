// SPDX-License-Identifier: MIT
/* The loop, with io_uring and without. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "lib/mem.h"
#include "stream/ring.h"

struct seen {
	struct ring_op op;
	struct ring *ring;
	int calls;
	int res;
};

FIXTURE(ring)
{
	struct ring ring;
	int fds[2];
};

FIXTURE_VARIANT(ring)
{
	bool use_poll;
};

FIXTURE_VARIANT_ADD(ring, io_uring){
	.use_poll = false,
};

FIXTURE_VARIANT_ADD(ring, poll){
	.use_poll = true,
};

FIXTURE_SETUP(ring)
{
	int err;

	if (variant->use_poll) {
		ring_init_poll(&self->ring);
	} else {
		err = ring_init(&self->ring, 8);
		if (err == -EPERM || err == -ENOSYS)
			SKIP(return, "no io_uring here");
		ASSERT_EQ(0, err);
	}
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->fds));
}

FIXTURE_TEARDOWN(ring)
{
	ring_exit(&self->ring);
	close(self->fds[0]);
	close(self->fds[1]);
}

static void note(struct ring_op *op, int res)
{
	struct seen *seen = container_of(op, struct seen, op);

	seen->calls++;
	seen->res = res;
	seen->ring->stop = true;
}

static void seen_init(struct seen *seen, struct ring *ring)
{
	memset(seen, 0, sizeof(*seen));
	seen->op.fn = note;
	seen->ring = ring;
}

TEST_F(ring, ends_when_nothing_is_pending)
{
	EXPECT_EQ(0, ring_run(&self->ring));
}

TEST_F(ring, poll_completes_with_events)
{
	struct seen seen;

	seen_init(&seen, &self->ring);
	ring_poll(&self->ring, &seen.op, self->fds[0], POLLIN);
	ASSERT_EQ(1, write(self->fds[1], "x", 1));
	ASSERT_EQ(0, ring_run(&self->ring));
	EXPECT_EQ(1, seen.calls);
	EXPECT_EQ(POLLIN, seen.res & POLLIN);
	EXPECT_TRUE(ring_op_idle(&seen.op));
}

TEST_F(ring, receives_and_sends)
{
	struct seen seen;
	char in[8] = "";

	seen_init(&seen, &self->ring);
	ring_send(&self->ring, &seen.op, self->fds[1], "hello", 5,
		  MSG_NOSIGNAL);
	ASSERT_EQ(0, ring_run(&self->ring));
	EXPECT_EQ(5, seen.res);
	self->ring.stop = false;
	ring_recv(&self->ring, &seen.op, self->fds[0], in, sizeof(in));
	ASSERT_EQ(0, ring_run(&self->ring));
	EXPECT_EQ(5, seen.res);
	EXPECT_STREQ("hello", in);
	EXPECT_EQ(2, seen.calls);
}

TEST_F(ring, receive_tells_the_end_and_errors)
{
	struct seen seen;
	char in[8];

	seen_init(&seen, &self->ring);
	shutdown(self->fds[1], SHUT_WR);
	ring_recv(&self->ring, &seen.op, self->fds[0], in, sizeof(in));
	ASSERT_EQ(0, ring_run(&self->ring));
	EXPECT_EQ(0, seen.res);
	self->ring.stop = false;
	ring_send(&self->ring, &seen.op, self->fds[1], "x", 1, MSG_NOSIGNAL);
	ASSERT_EQ(0, ring_run(&self->ring));
	EXPECT_EQ(-EPIPE, seen.res);
}

TEST_F(ring, timeout_completes)
{
	struct __kernel_timespec ts = { .tv_nsec = 1000000 };
	struct seen seen;

	seen_init(&seen, &self->ring);
	ring_timeout(&self->ring, &seen.op, &ts);
	ASSERT_EQ(0, ring_run(&self->ring));
	EXPECT_EQ(-ETIME, seen.res);
}

static void again_and_again(struct ring_op *op, int res)
{
	struct seen *seen = container_of(op, struct seen, op);

	seen->calls++;
	ring_again(seen->ring, op);
}

TEST_F(ring, again_lets_others_have_their_turn)
{
	struct seen busy, seen;
	int i;

	seen_init(&busy, &self->ring);
	busy.op.fn = again_and_again;
	ring_again(&self->ring, &busy.op);
	for (i = 0; i < 3; i++) {
		seen_init(&seen, &self->ring);
		self->ring.stop = false;
		ring_poll(&self->ring, &seen.op, self->fds[0], POLLIN);
		ASSERT_EQ(1, write(self->fds[1], "x", 1));
		ASSERT_EQ(0, ring_run(&self->ring));
		EXPECT_EQ(1, seen.calls);
	}
	EXPECT_LE(1, busy.calls);
	ring_cancel(&self->ring, &busy.op);
	self->ring.stop = false;
	ASSERT_EQ(0, ring_run(&self->ring));
	EXPECT_TRUE(ring_op_idle(&busy.op));
}

TEST_F(ring, cancelled_operation_is_not_called)
{
	struct seen seen, other;

	seen_init(&seen, &self->ring);
	seen_init(&other, &self->ring);
	ring_poll(&self->ring, &seen.op, self->fds[0], POLLIN);
	ring_cancel(&self->ring, &seen.op);
	EXPECT_FALSE(seen.op.pending);
	/* Nothing else: the loop ends once the cancel has gone through. */
	ASSERT_EQ(0, ring_run(&self->ring));
	EXPECT_EQ(0, seen.calls);
	EXPECT_TRUE(ring_op_idle(&seen.op));
	/* And the operation can be used again. */
	ring_poll(&self->ring, &seen.op, self->fds[0], POLLOUT);
	ASSERT_EQ(0, ring_run(&self->ring));
	EXPECT_EQ(1, seen.calls);
	EXPECT_EQ(0, other.calls);
}

TEST_F(ring, many_operations_at_once)
{
	struct seen seen[100];
	size_t i, calls = 0;

	for (i = 0; i < ARRAY_SIZE(seen); i++) {
		seen_init(&seen[i], &self->ring);
		ring_poll(&self->ring, &seen[i].op, self->fds[0], POLLOUT);
	}
	while (self->ring.pending) {
		self->ring.stop = false;
		ASSERT_EQ(0, ring_run(&self->ring));
	}
	for (i = 0; i < ARRAY_SIZE(seen); i++)
		calls += seen[i].calls;
	EXPECT_EQ(ARRAY_SIZE(seen), calls);
}

TEST_HARNESS_MAIN
