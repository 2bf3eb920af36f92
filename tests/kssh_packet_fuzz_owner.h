/* SPDX-License-Identifier: GPL-2.0-only */
/* The owner of the connection in kssh_packet_fuzz_test.c, good or mad. */
#ifndef _TESTS_KSSH_PACKET_FUZZ_OWNER_H
#define _TESTS_KSSH_PACKET_FUZZ_OWNER_H

/* Reading, each in its own way. */

static ssize_t read_plain(struct round *r, int fd, unsigned char *buf, size_t n)
{
	(void)r;
	return recv(fd, buf, n, MSG_DONTWAIT);
}

static ssize_t read_peeked(struct round *r, int fd, unsigned char *buf,
			   size_t n)
{
	unsigned char *copy = malloc(n);
	ssize_t peeked = recv(fd, copy, n, MSG_DONTWAIT | MSG_PEEK), ret;

	(void)r;
	/* an error is told once */
	if (peeked < 0) {
		free(copy);
		return peeked;
	}
	ret = recv(fd, buf, n, MSG_DONTWAIT);
	EXPECT_LE(peeked, ret);
	if (peeked > 0)
		EXPECT_MEMEQ(copy, buf, peeked);
	free(copy);
	return ret;
}

static ssize_t read_scattered(struct round *r, int fd, unsigned char *buf,
			      size_t n)
{
	size_t a = below(&r->owner_rng, n), b = below(&r->owner_rng, n - a);
	struct iovec iov[3] = { { buf, a },
				{ buf + a, b },
				{ buf + a + b, n - a - b } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };

	return recvmsg(fd, &msg, MSG_DONTWAIT | MSG_WAITALL);
}

static ssize_t read_spliced(struct round *r, int fd, unsigned char *buf,
			    size_t n)
{
	ssize_t ret = splice(fd, NULL, r->pipe[1], NULL, n, SPLICE_F_NONBLOCK);

	if (ret > 0)
		EXPECT_EQ(ret, read_all(r->pipe[0], buf, ret));
	return ret;
}

typedef ssize_t read_fn(struct round *r, int fd, unsigned char *buf, size_t n);

static read_fn *const readers[] = { read_plain, read_peeked, read_scattered,
				    read_spliced };

/* Channel @i has something, or has ended. */
static void own_channel(struct round *r, int i)
{
	static unsigned char buf[70000];
	size_t n = 1 + below(&r->owner_rng,
			     one_in(&r->owner_rng, 3) ? sizeof(buf) - 1 : 2000);
	ssize_t ret, j;

	ret = readers[below(&r->owner_rng, ARRAY_SIZE(readers))](r, r->ch[i],
								 buf, n);
	if (ret <= 0) {
		if (ret < 0 && errno == EAGAIN)
			return;
		r->chan_end[i] = ret ? -errno : 0;
		return;
	}
	for (j = 0; j < ret && buf[j] == data_byte(i, r->got[i] + j); j++)
		;
	EXPECT_EQ(ret, j);
	r->got[i] += ret;
}

static void own_new_keys(struct round *r)
{
	/* TX first: a fault may follow the peer's NEWKEYS at once */
	EXPECT_EQ(0, send_byte(r->fd, SSH_MSG_NEWKEYS));
	EXPECT_EQ(0, new_keys(r->fd, KSSH_TX, r->next_suite, 41, 0, r->flags));
	EXPECT_EQ(0, new_keys(r->fd, KSSH_RX, r->next_suite, 49, 0, r->flags));
}

static void own_message(struct round *r)
{
	static unsigned char buf[KSSH_PACKET_LEN_MAX], tiny[1];
	struct kssh_cmsg_rx rx;
	int ret;

	/* too short, or only looked at: it stays */
	if (one_in(&r->owner_rng, 4))
		recv_any(r->fd, tiny, 0, &rx, MSG_DONTWAIT | MSG_PEEK);
	if (one_in(&r->owner_rng, 4))
		recv_any(r->fd, buf, sizeof(buf), &rx, MSG_DONTWAIT | MSG_PEEK);
	ret = recv_any(r->fd, buf, sizeof(buf), &rx, MSG_DONTWAIT);
	if (ret == -EAGAIN || rx.kind == KSSH_RX_EVENT)
		return;
	if (ret <= 0) {
		r->end = ret;
		return;
	}
	EXPECT_EQ(KSSH_RX_MESSAGE, rx.kind);
	if (r->nr_msgs < MSGS_MAX)
		r->msgs[r->nr_msgs++] = msg_hash(rx.pkt_seq, buf, ret);
	if (buf[0] == SSH_MSG_NEWKEYS)
		own_new_keys(r);
}

/* What an owner does besides, and must not matter. */
static void own_besides(struct round *r)
{
	struct kssh_rekey_limits limits = {
		.version = KSSH_API_VERSION,
		.packets = 1 + below(&r->owner_rng, 100),
	};
	int fd, val;

	switch (below(&r->owner_rng, 4)) {
	case 0:
		get_info(r->fd);
		break;
	case 1:
		ioctl(r->ch[below(&r->owner_rng, CHANNELS)], SIOCINQ, &val);
		ioctl(r->fd, SIOCINQ, &val);
		break;
	case 2:
		setsockopt(r->fd, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
			   sizeof(limits));
		break;
	default:
		/* a channel the peer never speaks of */
		fd = channel(r->fd, 500 + below(&r->owner_rng, 100), 700);
		if (fd < 0)
			break;
		send(fd, "hello", below(&r->owner_rng, 6),
		     MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fd);
	}
}

static void *owner_thread(void *arg)
{
	struct round *r = arg;
	struct pollfd pfd[CHANNELS + 1];
	int i, open;

	for (;;) {
		open = 0;
		for (i = 0; i < CHANNELS; i++) {
			bool live = r->chan_end[i] == 1;

			pfd[i] = (struct pollfd){ live ? r->ch[i] : -1, POLLIN,
						  0 };
			open += live;
		}
		pfd[i] = (struct pollfd){ r->end == 1 ? r->fd : -1, POLLIN, 0 };
		if (!open && r->end != 1)
			return NULL;
		if (!one_in(&r->owner_rng, 4))
			poll(pfd, CHANNELS + 1, -1);
		for (i = 0; i < CHANNELS; i++)
			if (pfd[i].revents)
				own_channel(r, i);
		if (pfd[i].revents)
			own_message(r);
		if (one_in(&r->owner_rng, 4))
			own_besides(r);
	}
}

/* One of the threads of an owner gone mad. */
struct chaos {
	struct round *r;
	struct rng rng;
};

static int any_channel(struct chaos *c)
{
	return c->r->ch[below(&c->rng, CHANNELS)];
}

static void mad_read(struct chaos *c)
{
	static __thread unsigned char buf[70000];
	size_t n = below(&c->rng, sizeof(buf));
	int fd = one_in(&c->rng, 3) ? c->r->fd : any_channel(c);

	switch (below(&c->rng, 4)) {
	case 0:
		recv(fd, buf, n, MSG_DONTWAIT | MSG_TRUNC);
		break;
	case 1:
		recv(fd, buf, n, MSG_DONTWAIT | MSG_PEEK);
		break;
	case 2:
		if (splice(fd, NULL, c->r->pipe[1], NULL, n,
			   SPLICE_F_NONBLOCK) > 0)
			(void)!read(c->r->pipe[0], buf, sizeof(buf));
		break;
	default:
		recv(fd, buf, n, MSG_DONTWAIT);
	}
}

static void mad_write(struct chaos *c)
{
	static __thread unsigned char buf[40000];
	int fd = any_channel(c), more = one_in(&c->rng, 3) ? MSG_MORE : 0;
	size_t n = one_in(&c->rng, 3) ? below(&c->rng, sizeof(buf)) :
					below(&c->rng, 200);

	if (one_in(&c->rng, 3)) {
		if (write(c->r->pipe[1], buf, n) > 0)
			splice(c->r->pipe[0], NULL, fd, NULL, n,
			       SPLICE_F_NONBLOCK);
		return;
	}
	send(fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL | more);
}

/* A message: of any kind, or of those that matter. */
static void mad_message(struct chaos *c)
{
	static const unsigned char types[] = { SSH_MSG_KEXINIT, SSH_MSG_NEWKEYS,
					       SSH_MSG_CHANNEL_CLOSE,
					       SSH_MSG_CHANNEL_CLOSE,
					       SSH_MSG_DISCONNECT };
	unsigned char msg[600];
	size_t n = 5 + (one_in(&c->rng, 3) ? below(&c->rng, 590) : 0);

	rng_fill(&c->rng, msg, sizeof(msg));
	if (!one_in(&c->rng, 3))
		msg[0] = types[below(&c->rng, ARRAY_SIZE(types))];
	kssh_put_be32(msg + 1, 50 + below(&c->rng, CHANNELS));
	send(c->r->fd, msg, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void mad_keys(struct chaos *c)
{
	struct round *r = c->r;

	if (one_in(&c->rng, 2))
		new_keys(r->fd, KSSH_RX, r->next_suite, 49, 0, r->flags);
	else
		new_keys(r->fd, KSSH_TX, r->next_suite, 41, 0, r->flags);
}

/* Close a channel, and bind it, or another, again. */
static void mad_bind(struct chaos *c)
{
	int i = below(&c->rng, CHANNELS), fd, err;
	struct kssh_channel info = channel_info(local_ids[i], 50 + i);

	if (one_in(&c->rng, 4))
		info.local_id = edge(&c->rng);
	info.local_window = edge(&c->rng);
	info.local_max_packet = info.local_window;
	fd = one_in(&c->rng, 3) ? stderr_channel(c->r->fd, info.local_id) :
				  bind_channel(c->r->fd, &info);
	if (fd < 0)
		return;
	limit_sleep(fd);
	err = dup3(fd, c->r->ch[i], O_CLOEXEC);
	EXPECT_LE(0, err);
	close(fd);
}

static void mad_shutdown(struct chaos *c)
{
	if (one_in(&c->rng, 30))
		shutdown(c->r->fd, below(&c->rng, 4));
	else
		shutdown(any_channel(c), below(&c->rng, 4));
}

static void mad_look(struct chaos *c)
{
	struct kssh_rekey_limits limits = {
		.version = KSSH_API_VERSION,
		.bytes = edge(&c->rng),
		.packets = edge(&c->rng),
		.seconds = below(&c->rng, 2),
	};
	int val;

	poll_for(any_channel(c), POLLIN | POLLOUT, 0);
	poll_for(c->r->fd, POLLIN | POLLOUT, below(&c->rng, 2));
	ioctl(any_channel(c), SIOCINQ, &val);
	ioctl(any_channel(c), SIOCOUTQ, &val);
	setsockopt(c->r->fd, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
		   sizeof(limits));
	get_info(c->r->fd);
}

static void *chaos_thread(void *arg)
{
	static void (*const acts[])(struct chaos *c) = {
		mad_read, mad_read, mad_read, mad_write,    mad_write,
		mad_keys, mad_bind, mad_look, mad_shutdown, mad_message,
	};
	struct chaos *c = arg;
	int n = 20 + below(&c->rng, 150);

	while (n--)
		acts[below(&c->rng, ARRAY_SIZE(acts))](c);
	return NULL;
}

#endif
