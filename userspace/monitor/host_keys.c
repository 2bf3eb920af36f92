// SPDX-License-Identifier: MIT
/* The host keys of a server. */
#include <errno.h>
#include <string.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "monitor/host_keys.h"

static const char *const default_files[] = {
	"/etc/ssh/ssh_host_ed25519_key",
	"/etc/ssh/ssh_host_ecdsa_key",
	"/etc/ssh/ssh_host_rsa_key",
};

/* In order of preference. */
static const char *const algs[] = {
	"ssh-ed25519",
	"ecdsa-sha2-nistp256",
	"rsa-sha2-512",
	"rsa-sha2-256",
};

static const char *load_error(int err)
{
	switch (err) {
	case -EPERM:
		return "others may read it; chmod 600 it";
	case -EINVAL:
		return "not a private key";
	case -ENOKEY:
		return "has a passphrase; ssh-keygen -p removes it";
	case -EOPNOTSUPP:
		return "not an ed25519, ecdsa (nistp256) or rsa key";
	default:
		return strerror(-err);
	}
}

static int add_key(struct host_keys *hk, const char *file, struct key *key)
{
	unsigned int i;

	for (i = 0; i < hk->n; i++) {
		if (key_get_type(hk->keys[i]) != key_get_type(key))
			continue;
		log_error("HostKey %s: there is a key of type %s already", file,
			  key_type_name(key));
		return -EEXIST;
	}
	hk->keys[hk->n++] = key;
	return 0;
}

static int load_one(struct host_keys *hk, const char *file, bool given)
{
	struct key *key;
	int err;

	err = key_load_private(file, &key);
	if (err) {
		/* of the default files, what a user cannot read is not there */
		if (given || (err != -ENOENT && err != -EACCES))
			log_error("HostKey %s: %s", file, load_error(err));
		return err;
	}
	err = add_key(hk, file, key);
	if (err)
		key_free(key);
	return err;
}

static void list_algs(struct host_keys *hk)
{
	size_t i;

	hk->algs[0] = 0;
	for (i = 0; i < ARRAY_SIZE(algs); i++) {
		if (!host_keys_find(hk, algs[i]))
			continue;
		if (hk->algs[0])
			strcat(hk->algs, ",");
		strcat(hk->algs, algs[i]);
	}
}

int host_keys_load(struct host_keys *hk, const struct conf *conf)
{
	int first_err = 0;
	unsigned int i;
	int err;

	memset(hk, 0, sizeof(*hk));
	for (i = 0; i < conf->n_host_keys; i++) {
		err = load_one(hk, conf->host_keys[i], true);
		first_err = first_err ? first_err : err;
	}
	if (!conf->n_host_keys)
		for (i = 0; i < ARRAY_SIZE(default_files); i++)
			load_one(hk, default_files[i], false);
	if (!first_err && !hk->n) {
		log_error(
			"no host key: run ssh-keygen -A, or name one with HostKey or -h");
		first_err = -ENOENT;
	}
	if (first_err)
		host_keys_free(hk);
	list_algs(hk);
	return first_err;
}

void host_keys_free(struct host_keys *hk)
{
	unsigned int i;

	for (i = 0; i < hk->n; i++)
		key_free(hk->keys[i]);
	hk->n = 0;
}

const struct key *host_keys_find(const struct host_keys *hk, const char *alg)
{
	unsigned int i;

	for (i = 0; i < hk->n; i++)
		if (key_has_alg(hk->keys[i], alg))
			return hk->keys[i];
	return NULL;
}
