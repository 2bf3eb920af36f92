// SPDX-License-Identifier: MIT
/*
 * ConnectionRateLimit and UserRateLimit. A channel that is held takes no more
 * from the peer, whose window closes then, or no more from its file or command.
 */
#include "channel/conn.h"
#include "lib/clock.h"

static bool is_limited(const struct conn_rate *rate)
{
	return rate->connection.bytes || rate->user.bytes;
}

static uint64_t wait_ns(const struct conn_rate *rate)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	uint64_t own = rate_wait_ns(&rate->connection, now);
	uint64_t all = rate_wait_ns(&rate->user, now);

	return own > all ? own : all;
}

static void wait_until_due(struct conn *conn, struct conn_rate *rate,
			   uint64_t ns)
{
	if (!ring_op_idle(&rate->op))
		return;
	rate->ts.tv_sec = ns / 1000000000;
	rate->ts.tv_nsec = ns % 1000000000;
	ring_timeout(&conn->ring, &rate->op, &rate->ts);
}

/* It may use up what there is: then the others wait again. */
static void let_go(struct channel *ch, int dir)
{
	if (!ch->rate_held[dir])
		return;
	ch->rate_held[dir] = false;
	if (dir == CONF_RX)
		channel_notify_readable(ch);
	else
		channel_notify_writable(ch);
}

static bool is_any_held(const struct conn *conn, int dir)
{
	const struct channel *ch;
	unsigned int i;

	for (i = 0; i < CONN_CHANNELS_MAX; i++)
		if (conn->channels[i] && conn->channels[i]->rate_held[dir])
			return true;
	for (ch = conn->lingering; ch; ch = ch->next)
		if (ch->rate_held[dir])
			return true;
	return false;
}

static void let_some_go(struct conn *conn, int dir)
{
	struct conn_rate *rate = &conn->rate[dir];
	unsigned int i, first = rate->next;
	struct channel *ch, *next;

	for (ch = conn->lingering; ch && !wait_ns(rate); ch = next) {
		next = ch->next;
		let_go(ch, dir);
	}
	for (i = 0; i < CONN_CHANNELS_MAX && !wait_ns(rate); i++) {
		ch = conn->channels[(first + i) % CONN_CHANNELS_MAX];
		if (!ch || !ch->rate_held[dir])
			continue;
		rate->next = ch->local_id + 1;
		let_go(ch, dir);
	}
	if (is_any_held(conn, dir))
		wait_until_due(conn, rate, wait_ns(rate));
}

static void rx_due(struct ring_op *op, int res)
{
	(void)res;
	let_some_go(op->arg, CONF_RX);
}

static void tx_due(struct ring_op *op, int res)
{
	(void)res;
	let_some_go(op->arg, CONF_TX);
}

static void init_one(struct conn *conn, int dir, ring_fn due)
{
	const struct session_args *args = conn->args;
	struct conn_rate *rate = &conn->rate[dir];

	rate->op = (struct ring_op){ .fn = due, .arg = conn };
	rate->connection.bytes = args->conf->connection_rate[dir];
	rate->connection.meter = &rate->meter;
	if (!args->user_meters)
		return;
	rate->user.bytes = args->conf->user_rate[dir];
	rate->user.meter = &args->user_meters[dir];
}

void conn_rate_init(struct conn *conn)
{
	init_one(conn, CONF_RX, rx_due);
	init_one(conn, CONF_TX, tx_due);
}

bool conn_rate_any(const struct conn *conn)
{
	return is_limited(&conn->rate[CONF_RX]) ||
	       is_limited(&conn->rate[CONF_TX]);
}

bool conn_rate_holds(struct channel *ch, int dir)
{
	struct conn_rate *rate;
	uint64_t ns;

	if (!ch->conn || !is_limited(&ch->conn->rate[dir]))
		return false;
	rate = &ch->conn->rate[dir];
	ns = wait_ns(rate);
	if (!ns)
		return false;
	ch->rate_held[dir] = true;
	wait_until_due(ch->conn, rate, ns);
	return true;
}

void conn_rate_charge(struct channel *ch, int dir, ssize_t n)
{
	struct conn_rate *rate;
	uint64_t now;

	if (n <= 0 || !ch->conn || !is_limited(&ch->conn->rate[dir]))
		return;
	rate = &ch->conn->rate[dir];
	now = clock_ns(CLOCK_MONOTONIC);
	rate_charge(&rate->connection, now, n);
	rate_charge(&rate->user, now, n);
}
