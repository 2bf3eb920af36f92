// SPDX-License-Identifier: MIT
/*
 * Selftest of kssh.ko: all who may use a connection at once do, small data in
 * both directions. What comes out must be right on every kernel; on the one of
 * make check-kcsan it is a net for data races. Needs the module and root: it
 * runs in the VM.
 */
#include "kssh_peer.h"

#define TOTAL	60000

static int race_stop;

static bool stopped(void)
{
	return __atomic_load_n(&race_stop, __ATOMIC_RELAXED);
}

static void read_fdinfo(int fd)
{
	char path[64], buf[2000];
	int info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return;
	while (read(info, buf, sizeof(buf)) > 0)
		;
	close(info);
}

/* Who polls, and who asks; the data are others'. */
static void *poll_thread(void *arg)
{
	FIXTURE_DATA(kssh) *self = arg;
	struct pollfd pfd[] = {
		{ .fd = self->ca, .events = POLLIN | POLLOUT },
		{ .fd = self->cb, .events = POLLIN | POLLOUT },
		{ .fd = self->a, .events = POLLIN | POLLOUT },
		{ .fd = self->b, .events = POLLIN | POLLOUT },
	};

	while (!stopped())
		poll(pfd, 4, 0);
	return NULL;
}

static void *ask_thread(void *arg)
{
	FIXTURE_DATA(kssh) *self = arg;
	const int fds[] = { self->ca, self->cb, self->a, self->b };
	int i, n;

	for (i = 0; !stopped(); i = (i + 1) % 4) {
		read_fdinfo(fds[i]);
		ioctl(fds[i], FIONREAD, &n);
	}
	return NULL;
}

/* Odd lengths below a packet's, so that buffers gather them. */
struct flow {
	int fd;
	unsigned char *buf;
	int done;
};

static void *write_thread(void *arg)
{
	struct flow *flow = arg;
	int ret, len, i;

	for (i = 1; flow->done < TOTAL; i++, flow->done += ret) {
		len = i * 37 % 500 + 1;
		if (len > TOTAL - flow->done)
			len = TOTAL - flow->done;
		ret = send(flow->fd, flow->buf + flow->done, len, MSG_NOSIGNAL);
		if (ret <= 0)
			break;
	}
	return NULL;
}

static void *read_thread(void *arg)
{
	struct flow *flow = arg;
	unsigned char peek[64];
	int ret, len;

	for (; flow->done < TOTAL; flow->done += ret) {
		len = TOTAL - flow->done;
		recv(flow->fd, peek, sizeof(peek), MSG_PEEK | MSG_DONTWAIT);
		ret = recv(flow->fd, flow->buf + flow->done,
			   len < 700 ? len : 700, 0);
		if (ret <= 0)
			break;
	}
	return NULL;
}

/* Messages on the TCP sockets, of no meaning to anybody. */
static void *message_thread(void *arg)
{
	FIXTURE_DATA(kssh) *self = arg;
	const int fds[] = { self->a, self->b };
	int i;

	for (i = 0; !stopped(); i = !i) {
		send_byte(fds[i], SSH_MSG_REQUEST_FAILURE);
		recv_type(fds[!i]);
	}
	return NULL;
}

TEST_F(kssh, all_at_once)
{
	struct flow flows[4] = { { .fd = self->ca },
				 { .fd = self->cb },
				 { .fd = self->cb },
				 { .fd = self->ca } };
	void *(*others[])(void *) = { poll_thread, ask_thread, message_thread };
	pthread_t th[4], other[3];
	int i;

	for (i = 0; i < 4; i++) {
		flows[i].buf = calloc(1, TOTAL);
		if (!(i & 1))
			fill(flows[i].buf, TOTAL, i);
	}
	for (i = 0; i < 3; i++)
		pthread_create(&other[i], NULL, others[i], self);
	for (i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, i & 1 ? read_thread : write_thread,
			       &flows[i]);
	for (i = 0; i < 4; i++)
		pthread_join(th[i], NULL);
	__atomic_store_n(&race_stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < 3; i++)
		pthread_join(other[i], NULL);
	for (i = 0; i < 4; i += 2) {
		EXPECT_EQ(TOTAL, flows[i].done);
		EXPECT_EQ(TOTAL, flows[i + 1].done);
		EXPECT_MEMEQ(flows[i].buf, flows[i + 1].buf, TOTAL);
	}
	for (i = 0; i < 4; i++)
		free(flows[i].buf);
}

TEST_HARNESS_MAIN
