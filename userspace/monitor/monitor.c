// SPDX-License-Identifier: MIT
/* The monitor of a connection: auth, the hand-over, session. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/title.h"
#include "monitor/monitor_impl.h"

/* auth ends by itself at the deadline; it gets this long to say goodbye. */
#define GRACE_MS	3000

/* Lines of a child: so many at once, and so many a second. */
#define LOG_BURST	200
#define LOG_RATE	10

void monitor_init(struct monitor *mon, const struct monitor_args *args)
{
	memset(mon, 0, sizeof(*mon));
	mon->args = args;
	mon->conf = args->conf;
	mon->state = MON_STATE_PREAUTH;
	mon->startup_fd = args->startup_fd;
	mon->fd = -1;
	mon->log_fd = -1;
	mon->child_fd = -1;
	mon->log_lines = LOG_BURST;
	mon->log_since_ms = mon_now_ms();
	if (args->conf->login_grace_time)
		mon->deadline_ms =
			mon_now_ms() + args->conf->login_grace_time * 1000LL;
}

void monitor_exit(struct monitor *mon)
{
	monitor_reap(mon, true, NULL);
	if (mon->startup_fd >= 0)
		close(mon->startup_fd);
	mon->startup_fd = -1;
	account_free(&mon->account);
	conf_free(&mon->own_conf);
	free(mon->chroot);
	authkey_match_free(&mon->match);
	free(mon->allowed);
	free(mon->user);
	mem_wipe(&mon->transport, sizeof(mon->transport));
}

/* A child that was taken over shall not fill the disk. */
static bool may_log(struct monitor *mon)
{
	int64_t now = mon_now_ms();
	int64_t more = (now - mon->log_since_ms) * LOG_RATE / 1000;

	if (log_get_level() >= LOG_LEVEL_DEBUG1)
		return true;
	if (more > 0) {
		mon->log_lines += more > LOG_BURST ? LOG_BURST : more;
		if (mon->log_lines > LOG_BURST)
			mon->log_lines = LOG_BURST;
		mon->log_since_ms = now;
	}
	if (mon->log_lines > 0) {
		mon->log_lines--;
		/* the next flood is worth another word */
		if (mon->log_lines > LOG_BURST / 2)
			mon->log_dropping = false;
		return true;
	}
	if (mon->log_dropping)
		return false;
	mon->log_dropping = true;
	log_error(
		"connection from %s port %u: too many lines, some are dropped",
		mon->peer_addr, mon->peer_port);
	return false;
}

static void forward_log(struct monitor *mon)
{
	bool session = mon->state == MON_STATE_SESSION;
	bool drop = !may_log(mon);
	char before[64] = "";
	int err;

	if (session)
		snprintf(before, sizeof(before),
			 "session[%s]: ", mon->account.name);
	err = log_forward(mon->log_fd, drop, before,
			  session ? "" : " [preauth]");

	if (!err || err == -EAGAIN)
		return;
	close(mon->log_fd);
	mon->log_fd = -1;
}

static int handle_request(struct monitor *mon)
{
	struct buf in, out;
	uint8_t type = 0;
	uint8_t ans;
	int err;

	buf_init(&in, MON_MSG_MAX);
	buf_init(&out, MON_MSG_MAX);
	err = mon_msg_recv(mon->fd, mon->deadline_ms, &type, &in);
	if (err == -ECONNABORTED) {
		close(mon->fd);
		mon->fd = -1;
		err = 0;
		goto out;
	}
	if (!err)
		err = monitor_answer(mon, type, &in, &ans, &out);
	if (!err && ans)
		err = mon_msg_send(mon->fd, mon->deadline_ms, ans, &out);
	if (!err)
		err = monitor_lookup_user(mon);
	/* it died while we worked for it: seen when it is reaped */
	if (err == -ECONNABORTED)
		err = 0;
	if (err && err != -ETIMEDOUT)
		log_error(
			"connection from %s port %u: request %u of its %s process refused: %s",
			mon->peer_addr, mon->peer_port, type,
			mon->state == MON_STATE_SESSION ? "session" : "auth",
			strerror(-err));
out:
	buf_free(&in);
	buf_free(&out);
	return err;
}

/* Milliseconds for poll(2): until @until_ms, -1: for ever, 0: it is over. */
static int time_left(int64_t until_ms)
{
	int64_t left;

	if (!until_ms)
		return -1;
	left = until_ms - mon_now_ms();
	if (left < 0)
		return 0;
	return left > 3600 * 1000 ? 3600 * 1000 : left;
}

int monitor_serve(struct monitor *mon, int *status)
{
	int64_t until_ms = mon->deadline_ms ? mon->deadline_ms + GRACE_MS : 0;
	int err = 0;

	while (!err) {
		struct pollfd pfd[] = {
			{ .fd = mon->fd, .events = POLLIN },
			{ .fd = mon->log_fd, .events = POLLIN },
			{ .fd = mon->child_fd, .events = POLLIN },
		};
		int n = poll(pfd, ARRAY_SIZE(pfd), time_left(until_ms));

		if (n < 0 && errno != EINTR)
			err = -errno;
		if (n < 0)
			continue;
		if (until_ms && mon_now_ms() >= until_ms)
			err = -ETIMEDOUT;
		/* the child's end counts when it has said all */
		else if (pfd[1].revents)
			forward_log(mon);
		else if (pfd[0].revents)
			err = handle_request(mon);
		else if (pfd[2].revents)
			return monitor_reap(mon, false, status);
	}
	monitor_reap(mon, true, status);
	return err;
}

static void log_death(const struct monitor *mon, const char *what, int status)
{
	const char *why = "";

	if (!WIFSIGNALED(status))
		return;
	if (WTERMSIG(status) == SIGSYS)
		why = ", a system call that its sandbox forbids";
	log_error(
		"connection from %s port %u: its %s process died of signal %d%s",
		mon->peer_addr, mon->peer_port, what, WTERMSIG(status), why);
}

static int run_auth(struct monitor *mon)
{
	int status;
	int err;

	err = monitor_start_auth(mon);
	if (err) {
		log_error(
			"connection from %s port %u: cannot start a process: %s",
			mon->peer_addr, mon->peer_port, strerror(-err));
		return err;
	}
	err = monitor_serve(mon, &status);
	if (err == -ETIMEDOUT)
		log_info(
			"Timeout before authentication for connection from %s port %u",
			mon->peer_addr, mon->peer_port);
	if (err)
		return err;
	log_death(mon, "auth", status);
	if (mon->state != MON_STATE_EXPORTED || status)
		return -EACCES;
	return 0;
}

int monitor_run(const struct monitor_args *args)
{
	struct monitor mon;
	int code = 255;

	/* the terminal of the listener is not ours: no ^C from there */
	setsid();
	signal(SIGPIPE, SIG_IGN);
	monitor_init(&mon, args);
	listen_name(args->tcp_fd, true, mon.peer_addr, &mon.peer_port);
	listen_name(args->tcp_fd, false, mon.local_addr, &mon.local_port);
	title_set("ksshd-monitor", "ksshd: [monitor of %s port %u]",
		  mon.peer_addr, mon.peer_port);
	log_verbose("Connection from %s port %u on %s port %u", mon.peer_addr,
		    mon.peer_port, mon.local_addr, mon.local_port);
	if (!run_auth(&mon)) {
		/* not counted as a beginner any more */
		close(mon.startup_fd);
		mon.startup_fd = -1;
		mon.deadline_ms = 0;
		mon.state = MON_STATE_SESSION;
		title_set("ksshd-monitor", "ksshd: %s [monitor of %s port %u]",
			  mon.account.name, mon.peer_addr, mon.peer_port);
		code = monitor_session(&mon);
	}
	monitor_exit(&mon);
	return code;
}
