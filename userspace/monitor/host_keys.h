/* SPDX-License-Identifier: MIT */
/* The host keys of a server. */
#ifndef KSSH_MONITOR_HOST_KEYS_H
#define KSSH_MONITOR_HOST_KEYS_H

#include <stddef.h>
#include "conf/conf.h"
#include "key/key.h"

/**
 * struct host_keys - loaded once, by the listener
 * @keys: at most one a type
 * @n: how many
 * @algs: host key algorithms they serve, a name-list
 */
struct host_keys {
	struct key *keys[CONF_HOST_KEYS_MAX];
	unsigned int n;
	char algs[128];
};

/*
 * The HostKey files of @conf, or those of the default files that there are.
 * 0, or -errno after a log line for each that cannot be used.
 */
int host_keys_load(struct host_keys *hk, const struct conf *conf);
/* Wipes: also what a process must not keep after a fork. */
void host_keys_free(struct host_keys *hk);
/* The key that serves @alg, or NULL. */
const struct key *host_keys_find(const struct host_keys *hk, const char *alg);

#endif
