// SPDX-License-Identifier: MIT
/* Packets over a blocking descriptor, for the time before the session. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/mem.h"
#include "packet/packet.h"

#define RX_CAP_FIRST	4096

int packet_conn_init(struct packet_conn *pc, int fd, int64_t deadline_ms)
{
	int err;

	memset(pc, 0, sizeof(*pc));
	pc->fd = fd;
	pc->deadline_ms = deadline_ms;
	err = packet_half_init(&pc->tx, true);
	if (err)
		return err;
	err = packet_half_init(&pc->rx, false);
	if (err)
		packet_half_exit(&pc->tx);
	return err;
}

void packet_conn_exit(struct packet_conn *pc)
{
	packet_half_exit(&pc->tx);
	packet_half_exit(&pc->rx);
	mem_free_secret(pc->rx_buf, pc->rx_cap);
	pc->rx_buf = NULL;
	pc->rx_cap = 0;
}

/* Milliseconds to the deadline, for poll(2); 0 when it is over. */
static int time_left(const struct packet_conn *pc)
{
	int64_t left;

	if (!pc->deadline_ms)
		return -1;
	left = pc->deadline_ms - clock_ms();
	if (left <= 0)
		return 0;
	return left < INT_MAX ? left : INT_MAX;
}

/* Until @fd is ready; -ETIMEDOUT at the deadline. */
static int wait_ready(const struct packet_conn *pc, short events)
{
	struct pollfd pfd = { .fd = pc->fd, .events = events };
	int left, n;

	for (;;) {
		left = time_left(pc);
		if (!left)
			return -ETIMEDOUT;
		n = poll(&pfd, 1, left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

/* A reset peer is one error, whatever the call that met it. */
static int map_errno(int err)
{
	return err == EPIPE || err == ECONNRESET ? -ECONNRESET : -err;
}

static int send_all(struct packet_conn *pc, const uint8_t *p, size_t len)
{
	ssize_t n;
	int err;

	while (len) {
		n = send(pc->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0) {
			p += n;
			len -= n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return map_errno(errno);
		err = wait_ready(pc, POLLOUT);
		if (err)
			return err;
	}
	return 0;
}

static int recv_all(struct packet_conn *pc, uint8_t *p, size_t len)
{
	ssize_t n;
	int err;

	while (len) {
		n = recv(pc->fd, p, len, MSG_DONTWAIT);
		if (!n)
			return -ECONNABORTED;
		if (n > 0) {
			p += n;
			len -= n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return map_errno(errno);
		err = wait_ready(pc, POLLIN);
		if (err)
			return err;
	}
	return 0;
}

int packet_conn_send(struct packet_conn *pc, const uint8_t *payload, size_t len)
{
	size_t total;
	uint8_t *p;
	int err;

	if (!len || len > KSSH_PACKET_LEN_MAX - 64)
		return -EMSGSIZE;
	total = packet_tx_size(&pc->tx, len);
	p = malloc(total);
	if (!p)
		return -ENOMEM;
	memcpy(p + PACKET_HDR_LEN, payload, len);
	err = packet_tx_seal(&pc->tx, p, len);
	if (!err)
		err = send_all(pc, p, total);
	mem_free_secret(p, total);
	return err;
}

/* Keep the first @used bytes. */
static int reserve(struct packet_conn *pc, size_t cap, size_t used)
{
	uint8_t *p;

	if (cap <= pc->rx_cap)
		return 0;
	if (cap < RX_CAP_FIRST)
		cap = RX_CAP_FIRST;
	p = malloc(cap);
	if (!p)
		return -ENOMEM;
	if (used)
		memcpy(p, pc->rx_buf, used);
	mem_free_secret(pc->rx_buf, pc->rx_cap);
	pc->rx_buf = p;
	pc->rx_cap = cap;
	return 0;
}

int packet_conn_recv(struct packet_conn *pc, uint32_t *pkt_seq,
		     const uint8_t **payload, size_t *len)
{
	size_t have = 0;
	size_t total;
	int err;

	/* a peer that never lets us wait does not live forever */
	if (!time_left(pc))
		return -ETIMEDOUT;
	while ((err = packet_rx_size(&pc->rx, pc->rx_buf, have, &total)) ==
	       -EAGAIN) {
		err = reserve(pc, total, have);
		if (!err)
			err = recv_all(pc, pc->rx_buf + have, total - have);
		if (err)
			return err;
		have = total;
	}
	if (!err)
		err = reserve(pc, total, have);
	if (!err)
		err = recv_all(pc, pc->rx_buf + have, total - have);
	if (err)
		return err;
	return packet_rx_open(&pc->rx, pc->rx_buf, total, pkt_seq, payload,
			      len);
}
