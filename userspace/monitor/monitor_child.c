// SPDX-License-Identifier: MIT
/* The processes that the monitor serves: auth, then session. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "auth/auth.h"
#include "channel/session.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/title.h"
#include "monitor/chroot.h"
#include "monitor/monitor_impl.h"

/* All that a child has; 0 to 2 are /dev/null. */
enum { CHILD_TCP_FD = 3, CHILD_MONITOR_FD, CHILD_LOG_FD, CHILD_FDS };

/* Before others are moved to where it may stand now. */
static int move_up(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, CHILD_FDS);
}

static int arrange_fds(int tcp_fd, int monitor_fd, int log_fd)
{
	int null, tcp, mon, log, i;

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	null = move_up(null);
	tcp = move_up(tcp_fd);
	mon = move_up(monitor_fd);
	log = move_up(log_fd);
	if (null < 0 || tcp < 0 || mon < 0 || log < 0)
		return -errno;
	/* a sanitizer speaks through stderr */
#if defined(__SANITIZE_ADDRESS__)
	for (i = 0; i < STDERR_FILENO; i++)
#else
	for (i = 0; i <= STDERR_FILENO; i++)
#endif
		if (dup2(null, i) < 0)
			return -errno;
	if (dup3(tcp, CHILD_TCP_FD, O_CLOEXEC) < 0 ||
	    dup3(mon, CHILD_MONITOR_FD, O_CLOEXEC) < 0 ||
	    dup3(log, CHILD_LOG_FD, O_CLOEXEC) < 0)
		return -errno;
	/* syslog's, the listener's, the monitor's: all that is left */
	return close_range(CHILD_FDS, ~0U, 0) ? -errno : 0;
}

static void reset_signals(void)
{
	sigset_t none;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child: nothing but its descriptors is left of the monitor. */
static int enter_child(struct monitor *mon, int monitor_fd, int log_fd,
		       const char *name)
{
	int tcp_fd = mon->args->tcp_fd;
	int err;

	/* forked, not executed: the keys came along */
	host_keys_free(mon->args->host_keys);
	log_to_fd(log_fd);
	err = arrange_fds(tcp_fd, monitor_fd, log_fd);
	if (err)
		return err;
	log_to_fd(CHILD_LOG_FD);
	reset_signals();
	return 0;
}

/*
 * Fork with the two socketpairs. In the child: 0, and it is set up; in the
 * monitor: the pid, or -errno.
 */
static pid_t fork_child(struct monitor *mon, const char *name)
{
	int msg[2] = { -1, -1 };
	int log[2] = { -1, -1 };
	pid_t pid = -1;
	int err = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, msg) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, log))
		err = -errno;
	if (!err)
		pid = fork();
	if (!err && pid < 0)
		err = -errno;
	if (!pid) {
		err = enter_child(mon, msg[1], log[1], name);
		if (!err)
			return 0;
		log_error("%s: cannot set up its descriptors: %s", name,
			  strerror(-err));
		_exit(1);
	}
	close(msg[1]);
	close(log[1]);
	if (err) {
		close(msg[0]);
		close(log[0]);
		return err;
	}
	mon->fd = msg[0];
	mon->log_fd = log[0];
	mon->child = pid;
	mon->child_fd = pidfd_open(pid, 0);
	if (mon->child_fd < 0) {
		err = -errno;
		monitor_reap(mon, true, NULL);
		return err;
	}
	return pid;
}

static int run_auth(struct monitor *mon)
{
	const struct auth_args args = {
		.tcp_fd = CHILD_TCP_FD,
		.monitor_fd = CHILD_MONITOR_FD,
		.conf = mon->args->conf,
		.hostkey_algs = mon->args->host_keys->algs,
		.peer_addr = mon->peer_addr,
		.peer_port = mon->peer_port,
		.deadline_ms = mon->deadline_ms,
	};
	const char *step;
	int err;

	title_set("ksshd-auth", "ksshd: [auth of %s port %u]", mon->peer_addr,
		  mon->peer_port);
	err = sandbox_enter(mon->args->sandbox, &step);
	if (err) {
		log_error("auth: cannot enter the sandbox: %s: %s", step,
			  strerror(-err));
		return 1;
	}
	return auth_run(&args);
}

int monitor_start_auth(struct monitor *mon)
{
	pid_t pid = fork_child(mon, "ksshd-auth");

	if (!pid)
		_exit(run_auth(mon));
	return pid < 0 ? pid : 0;
}

static int set_environment(const struct account *account)
{
	static const char path[] =
		"/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

	if (clearenv() || setenv("USER", account->name, 1) ||
	    setenv("LOGNAME", account->name, 1) ||
	    setenv("HOME", account->home, 1) ||
	    setenv("SHELL", account->shell, 1) || setenv("PATH", path, 1))
		return -ENOMEM;
	return 0;
}

/* Once more: the check is some time ago, and costs nothing. */
static int enter_chroot(const struct monitor *mon)
{
	char why[512];
	int err;

	/* the last look at /etc/localtime */
	tzset();
	err = chroot_check(mon->chroot, why, sizeof(why));
	return err ? err : chroot_enter(mon->chroot);
}

/* For good: there is no way back to root from here. */
static int become_user(struct monitor *mon)
{
	const struct account *account = &mon->account;
	int err;

	title_set("ksshd-session", "ksshd: %s [session of %s port %u]",
		  account->name, mon->peer_addr, mon->peer_port);
	if (setsid() < 0)
		return -errno;
	err = account_take_groups(account);
	if (!err && mon->chroot)
		err = enter_chroot(mon);
	if (!err)
		err = account_take_ids(account);
	if (err)
		return err;
	/* without its monitor it could not exchange keys; ends with it */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) || prctl(PR_SET_DUMPABLE, 0))
		return -errno;
	err = set_environment(account);
	if (err)
		return err;
	umask(022);
	if (!chdir(account->home))
		return 0;
	log_at(mon->chroot ? LOG_LEVEL_DEBUG1 : LOG_LEVEL_INFO,
	       "cannot go to the home directory %s: %s", account->home,
	       strerror(errno));
	return chdir("/") ? -errno : 0;
}

static int run_session(struct monitor *mon, bool ulp_attached,
		       const char *path_reason)
{
	const struct session_args args = {
		.tcp_fd = CHILD_TCP_FD,
		.monitor_fd = CHILD_MONITOR_FD,
		.conf = mon->conf,
		.state = &mon->transport,
		.hostkey_algs = mon->args->host_keys->algs,
		.ulp_attached = ulp_attached,
		.path_reason = path_reason,
		.user = mon->account.name,
		.home = mon->account.home,
		.shell = mon->account.shell,
		.forced_command = mon->match.command,
		.user_meters = monitor_user_meters(mon->conf, mon->account.uid),
		.uid = mon->account.uid,
		.gid = mon->account.gid,
		.peer_addr = mon->peer_addr,
		.peer_port = mon->peer_port,
		.local_addr = mon->local_addr,
		.local_port = mon->local_port,
	};
	int err;

	err = become_user(mon);
	if (err) {
		mem_wipe(&mon->transport, sizeof(mon->transport));
		log_error("session: cannot become user %s: %s",
			  mon->account.name, strerror(-err));
		return 1;
	}
	return session_run(&args);
}

int monitor_start_session(struct monitor *mon, bool ulp_attached,
			  const char *path_reason)
{
	pid_t pid = fork_child(mon, "ksshd-session");

	if (!pid)
		_exit(run_session(mon, ulp_attached, path_reason));
	return pid < 0 ? pid : 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int monitor_reap(struct monitor *mon, bool kill_it, int *status)
{
	int unused;
	int err = 0;

	if (!status)
		status = &unused;
	*status = 0;
	close_fd(&mon->fd);
	close_fd(&mon->log_fd);
	close_fd(&mon->child_fd);
	if (!mon->child)
		return 0;
	if (kill_it)
		kill(mon->child, SIGKILL);
	while (waitpid(mon->child, status, 0) < 0) {
		if (errno == EINTR)
			continue;
		err = -errno;
		break;
	}
	mon->child = 0;
	return err;
}
