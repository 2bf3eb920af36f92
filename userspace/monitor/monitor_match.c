// SPDX-License-Identifier: MIT
/* The Match blocks of the configuration that apply to this connection. */
#include <errno.h>
#include <string.h>

#include "lib/log.h"
#include "monitor/monitor_impl.h"

/* What is longer names nobody, and is not worth comparing. */
#define NAME_MAX_LEN	255

static struct conf_peer peer_of(const struct monitor *mon, const char *user)
{
	return (struct conf_peer){
		.user = strlen(user) > NAME_MAX_LEN ? "" : user,
		.addr = mon->peer_addr,
		.local_addr = mon->local_addr,
		.local_port = mon->local_port,
	};
}

int monitor_match_tries(struct monitor *mon)
{
	struct conf_peer peer = peer_of(mon, mon->user);
	struct conf conf;
	int err;

	mon->max_auth_tries = mon->conf->max_auth_tries;
	if (!mon->conf->match.n)
		return 0;
	err = conf_for_peer(&conf, mon->conf, &peer);
	if (err)
		return err;
	mon->max_auth_tries = conf.max_auth_tries;
	conf_free(&conf);
	return 0;
}

/* Unless -d or -q has set another than the configuration says. */
static void set_log_level(const struct conf *base, const struct conf *own)
{
	if (log_get_level() == base->log_level)
		log_set_level(own->log_level);
}

int monitor_match_user(struct monitor *mon)
{
	const struct conf *base = mon->args->conf;
	struct account_groups groups;
	struct conf_peer peer;
	int err;

	if (!base->match.n)
		return 0;
	err = account_groups_get(&groups, mon->user);
	if (err)
		return err;
	/* by its own name, however the peer may have written it */
	peer = peer_of(mon, groups.user);
	peer.groups = groups.names;
	peer.n_groups = groups.n;
	err = conf_for_peer(&mon->own_conf, base, &peer);
	account_groups_free(&groups);
	if (err)
		return err;
	mon->conf = &mon->own_conf;
	set_log_level(base, mon->conf);
	return 0;
}
