/* SPDX-License-Identifier: MIT */
/* ConnectionRateLimit and UserRateLimit, on both data paths. */
#ifndef KSSH_CHANNEL_CONN_RATE_H
#define KSSH_CHANNEL_CONN_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include "channel/rate.h"
#include "stream/ring.h"

struct channel;
struct conn;

/**
 * struct conn_rate - a direction of a connection
 * @connection: its own limit
 * @user: that of all connections of the user
 * @meter: of @connection
 * @op: waits until more may go
 * @ts: its time
 * @next: the channel that goes first then, so that each has its turn
 */
struct conn_rate {
	struct rate connection;
	struct rate user;
	struct rate_meter meter;
	struct ring_op op;
	struct __kernel_timespec ts;
	unsigned int next;
};

void conn_rate_init(struct conn *conn);
/* Is any direction limited? */
bool conn_rate_any(const struct conn *conn);
/*
 * Must the channel wait? Then it is told when not any more. @dir: CONF_RX from
 * the peer, CONF_TX to it.
 */
bool conn_rate_holds(struct channel *ch, int dir);
/* The channel has moved @n bytes; n <= 0: none. */
void conn_rate_charge(struct channel *ch, int dir, ssize_t n);

#endif
