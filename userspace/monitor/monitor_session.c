// SPDX-License-Identifier: MIT
/* The hand-over: a data path is chosen, the session begins. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/core.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "monitor/chroot.h"
#include "monitor/monitor_impl.h"
#include "offload/ulp.h"
#include "packet/packet.h"

#define LAST_WORDS_MS	2000

static const char *attach_error(int err)
{
	switch (err) {
	case -ENOENT:
		return "the kssh module is not loaded";
	case -EPERM:
		return "it needs CAP_NET_ADMIN, or net.kssh.unprivileged_attach";
	default:
		return strerror(-err);
	}
}

/* Nobody else can say it: auth is gone, and there is no session yet. */
static void send_disconnect(struct monitor *mon, const char *text)
{
	struct packet_conn pc;
	struct buf msg;

	if (packet_conn_init(&pc, mon->args->tcp_fd,
			     mon_now_ms() + LAST_WORDS_MS))
		return;
	buf_init(&msg, BUF_MAX_DEFAULT);
	buf_put_u8(&msg, SSH_MSG_DISCONNECT);
	buf_put_u32(&msg, SSH_DISCONNECT_SERVICE_NOT_AVAILABLE);
	buf_put_cstring(&msg, text);
	buf_put_cstring(&msg, "");
	if (!packet_half_rekey(&pc.tx, &mon->transport.tx, true, 0, false)) {
		pc.tx.pkt_seq = mon->transport.tx_pkt_seq;
		packet_conn_send(&pc, buf_data(&msg), buf_len(&msg));
	}
	buf_free(&msg);
	packet_conn_exit(&pc);
}

/* Only a root directory that nobody but root can change is taken. */
static int find_chroot(struct monitor *mon)
{
	const char *pattern = mon->conf->chroot_directory;
	char why[512] = "no memory, or the name is too long";
	int err = -ENOMEM;

	if (!pattern)
		return 0;
	mon->chroot = authorized_keys_path(pattern, &mon->account);
	if (mon->chroot)
		err = chroot_check(mon->chroot, why, sizeof(why));
	if (!err)
		return 0;
	log_error("ChrootDirectory of %s from %s port %u cannot be used: %s",
		  mon->account.name, mon->peer_addr, mon->peer_port, why);
	send_disconnect(mon, "the root directory is not available");
	return err;
}

static int choose_path(struct monitor *mon, bool *attached, const char **reason)
{
	enum data_path path = mon->conf->data_path;
	int err;

	*attached = false;
	*reason = "DataPath is user";
	if (path == DATA_PATH_USER)
		return 0;
	err = ulp_attach(mon->args->tcp_fd);
	*attached = !err;
	*reason = err ? attach_error(err) : NULL;
	if (!err || path == DATA_PATH_AUTO)
		return 0;
	log_error(
		"DataPath is kernel, but the connection of %s from %s port %u cannot use it: %s",
		mon->account.name, mon->peer_addr, mon->peer_port, *reason);
	send_disconnect(mon, "the kernel data path is not available");
	return err;
}

static void log_end(const struct monitor *mon, int status)
{
	if (WIFSIGNALED(status))
		log_error("session of %s from %s port %u died of signal %d",
			  mon->account.name, mon->peer_addr, mon->peer_port,
			  WTERMSIG(status));
}

int monitor_session(struct monitor *mon)
{
	const char *reason;
	bool attached;
	int status = 0;
	int err;

	err = find_chroot(mon);
	if (!err)
		err = choose_path(mon, &attached, &reason);
	if (err)
		return 255;
	err = monitor_start_session(mon, attached, reason);
	/* the session has them: keys, and the connection */
	mem_wipe(&mon->transport, sizeof(mon->transport));
	close(mon->args->tcp_fd);
	if (err) {
		log_error("cannot start the session of %s: %s",
			  mon->account.name, strerror(-err));
		return 255;
	}
	err = monitor_serve(mon, &status);
	if (err) {
		log_verbose("session of %s from %s port %u is broken off: %s",
			    mon->account.name, mon->peer_addr, mon->peer_port,
			    strerror(-err));
		return 255;
	}
	log_end(mon, status);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}
