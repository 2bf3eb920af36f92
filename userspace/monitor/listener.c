// SPDX-License-Identifier: MIT
/*
 * The listener. Who is not authenticated yet is counted by a pipe: its monitor
 * holds the other end until the user is known, however it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "monitor/listener.h"
#include "monitor/monitor.h"

#define ACCEPT_BATCH	16	/* of one socket, before the others' turn */
#define PAUSE_MS	200	/* no descriptor, no process: for a while */
#define LOG_EVERY_MS	10000

/**
 * struct listener - the loop
 * @server: what we serve with
 * @ops: of the program
 * @arg: its argument
 * @signal_fd: SIGCHLD and the others
 * @startups: read end of the pipe of each unauthenticated connection
 * @n_startups: how many
 * @cap_startups: room for
 * @pause_until_ms: do not accept before, 0: accept
 * @refused: connections over MaxStartups so far
 * @refused_told: of these, in the log
 * @told_ms: when
 * @error_ms: when an error of accept or fork was told
 * @stop: end
 */
struct listener {
	struct server *server;
	const struct listener_ops *ops;
	void *arg;
	int signal_fd;
	int *startups;
	unsigned int n_startups;
	unsigned int cap_startups;
	int64_t pause_until_ms;
	uint64_t refused;
	uint64_t refused_told;
	int64_t told_ms;
	int64_t error_ms;
	bool stop;
};

static void our_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
}

int listener_block_signals(void)
{
	sigset_t set;

	our_signals(&set);
	return sigprocmask(SIG_BLOCK, &set, NULL) ? -errno : 0;
}

/* Is a line due again? One in a while, however often the peers ask for it. */
static bool may_tell(int64_t *last_ms)
{
	int64_t now = mon_now_ms();

	if (*last_ms && now - *last_ms < LOG_EVERY_MS)
		return false;
	*last_ms = now;
	return true;
}

/* sshd's random early drop: sure at the limit, less so before it. */
static bool is_too_many(const struct listener *ls)
{
	const struct conf *conf = &ls->server->conf;
	unsigned int begin = conf->max_startups_begin;
	unsigned int full = conf->max_startups;
	unsigned int rate = conf->max_startups_rate;
	uint32_t dice;

	if (ls->n_startups < begin)
		return false;
	if (ls->n_startups >= full || rate == 100)
		return true;
	rate += (100 - rate) * (ls->n_startups - begin) / (full - begin);
	return mem_random(&dice, sizeof(dice)) || dice % 100 < rate;
}

static void refuse(struct listener *ls, int fd)
{
	static const char text[] =
		"Too many connections wait for a login, try later.\r\n";

	ls->refused++;
	/* RFC 4253 4.2: "other lines of data before sending the version" */
	send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
	if (!may_tell(&ls->told_ms))
		return;
	log_info(
		"MaxStartups: %u connections wait for a login, %llu refused since the last such line",
		ls->n_startups,
		(unsigned long long)(ls->refused - ls->refused_told));
	ls->refused_told = ls->refused;
}

static int add_startup(struct listener *ls, int fd)
{
	unsigned int cap = ls->cap_startups ? ls->cap_startups * 2 : 16;
	int *fds;

	if (ls->n_startups == ls->cap_startups) {
		fds = realloc(ls->startups, cap * sizeof(*fds));
		if (!fds)
			return -ENOMEM;
		ls->startups = fds;
		ls->cap_startups = cap;
	}
	ls->startups[ls->n_startups++] = fd;
	return 0;
}

/* In the child: nothing of the listener stays open. */
static int serve_connection(struct listener *ls, int fd, int startup_fd)
{
	struct monitor_args args = {
		.tcp_fd = fd,
		.startup_fd = startup_fd,
		.conf = &ls->server->conf,
		.host_keys = &ls->server->host_keys,
		.sandbox = &ls->server->sandbox,
	};
	unsigned int i;
	sigset_t none;

	listen_close(&ls->server->sockets);
	for (i = 0; i < ls->n_startups; i++)
		close(ls->startups[i]);
	close(ls->signal_fd);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	return monitor_run(&args);
}

static int start_monitor(struct listener *ls, int fd)
{
	int pipe_fds[2];
	pid_t pid;
	int err;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return -errno;
	err = add_startup(ls, pipe_fds[0]);
	if (err) {
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		return err;
	}
	pid = fork();
	if (!pid)
		_exit(serve_connection(ls, fd, pipe_fds[1]));
	if (pid < 0) {
		err = -errno;
		ls->n_startups--;
		close(pipe_fds[0]);
	}
	close(pipe_fds[1]);
	return err;
}

/* Of the machine, not of one connection: wait until it has recovered. */
static void hold_back(struct listener *ls, const char *what, int err)
{
	ls->pause_until_ms = mon_now_ms() + PAUSE_MS;
	if (may_tell(&ls->error_ms))
		log_error("%s: %s", what, strerror(-err));
}

static void handle_accept(struct listener *ls, int listen_fd)
{
	int i, fd, err;

	for (i = 0; i < ACCEPT_BATCH; i++) {
		fd = listen_accept(listen_fd, &ls->server->conf);
		if (fd == -EAGAIN)
			return;
		/* accept(2): errors of the network come out here, too */
		if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM ||
		    fd == -ENOBUFS) {
			hold_back(ls, "accept", fd);
			return;
		}
		if (fd < 0)
			continue;
		if (is_too_many(ls)) {
			refuse(ls, fd);
			continue;
		}
		err = start_monitor(ls, fd);
		close(fd);
		if (err) {
			hold_back(ls, "cannot start a process", err);
			return;
		}
	}
}

static void reap_monitors(void)
{
	pid_t pid;

	do {
		pid = waitpid(-1, NULL, WNOHANG);
	} while (pid > 0 || (pid < 0 && errno == EINTR));
}

/* The new one, or the old one if there is anything wrong with it. */
static void reload(struct listener *ls)
{
	struct server next = { 0 };
	int err;

	err = ls->ops->reload(ls->arg, &next);
	if (!err)
		err = listen_open(&next.sockets, &next.conf,
				  &ls->server->sockets);
	if (err) {
		host_keys_free(&next.host_keys);
		conf_free(&next.conf);
		log_error(
			"SIGHUP: the new configuration is faulty, the old one stays");
		return;
	}
	host_keys_free(&ls->server->host_keys);
	conf_free(&ls->server->conf);
	next.sandbox = ls->server->sandbox;
	*ls->server = next;
	log_set_facility(next.conf.syslog_facility);
	log_info("SIGHUP: configuration read again");
	listen_log(&ls->server->sockets);
}

static void handle_signal(struct listener *ls)
{
	struct signalfd_siginfo info;

	if (read(ls->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGCHLD:
		reap_monitors();
		break;
	case SIGHUP:
		reload(ls);
		break;
	default:
		log_info("Received signal %u; terminating.", info.ssi_signo);
		ls->stop = true;
	}
}

/* The pipes say nothing: that they are closed is all. */
static void drop_startups(struct listener *ls, const struct pollfd *pfd)
{
	unsigned int kept = 0;
	unsigned int i;

	for (i = 0; i < ls->n_startups; i++) {
		if (pfd[i].revents)
			close(ls->startups[i]);
		else
			ls->startups[kept++] = ls->startups[i];
	}
	ls->n_startups = kept;
}

/* One turn of the loop. */
static int turn(struct listener *ls)
{
	const struct listen_set *set = &ls->server->sockets;
	unsigned int n = 1 + ls->n_startups + set->n;
	unsigned int first_listen = 1 + ls->n_startups;
	struct pollfd *pfd;
	int64_t left = -1;
	unsigned int i;
	int ret, err = 0;

	if (ls->pause_until_ms) {
		left = ls->pause_until_ms - mon_now_ms();
		if (left <= 0)
			ls->pause_until_ms = 0;
	}
	pfd = calloc(n, sizeof(*pfd));
	if (!pfd)
		return -ENOMEM;
	pfd[0].fd = ls->signal_fd;
	for (i = 0; i < ls->n_startups; i++)
		pfd[1 + i].fd = ls->startups[i];
	for (i = 0; i < set->n; i++)
		pfd[first_listen + i].fd = ls->pause_until_ms ? -1 :
								set->fds[i];
	for (i = 0; i < n; i++)
		pfd[i].events = POLLIN;
	ret = poll(pfd, n, ls->pause_until_ms ? left : -1);
	if (ret < 0 && errno != EINTR)
		err = -errno;
	if (ret <= 0)
		goto out;
	drop_startups(ls, pfd + 1);
	for (i = first_listen; i < n; i++)
		if (pfd[i].revents)
			handle_accept(ls, pfd[i].fd);
	/* last: a reload changes the sockets */
	if (pfd[0].revents)
		handle_signal(ls);
out:
	free(pfd);
	return err;
}

int listener_run(struct server *server, const struct listener_ops *ops,
		 void *arg)
{
	struct listener ls = { .server = server, .ops = ops, .arg = arg };
	sigset_t set;
	int err = 0;

	our_signals(&set);
	ls.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (ls.signal_fd < 0)
		return -errno;
	while (!err && !ls.stop)
		err = turn(&ls);
	listen_close(&server->sockets);
	close(ls.signal_fd);
	while (ls.n_startups)
		close(ls.startups[--ls.n_startups]);
	free(ls.startups);
	return err;
}
