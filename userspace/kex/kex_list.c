// SPDX-License-Identifier: MIT
/* Algorithm lists of the configuration. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kex/internal.h"
#include "lib/word.h"

const char kex_default_kex[] =
	"mlkem768x25519-sha256,curve25519-sha256,"
	"curve25519-sha256@libssh.org,ecdh-sha2-nistp256";
const char kex_default_ciphers[] =
	"aes128-gcm@openssh.com,aes256-gcm@openssh.com,"
	"chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr";
const char kex_default_macs[] =
	"hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,"
	"hmac-sha2-256,hmac-sha2-512";

#define LIST_MAX	4096

static const char *default_list(enum kex_list which)
{
	switch (which) {
	case KEX_LIST_KEX:
		return kex_default_kex;
	case KEX_LIST_CIPHERS:
		return kex_default_ciphers;
	case KEX_LIST_MACS:
		return kex_default_macs;
	}
	return "";
}

/* The @i-th name we know at all, NULL behind the last. */
static const char *known_name(enum kex_list which, size_t i)
{
	size_t n;

	switch (which) {
	case KEX_LIST_KEX:
		return kex_algs[i].name;
	case KEX_LIST_CIPHERS:
		return cipher_table(&n)[i].name;
	case KEX_LIST_MACS:
		return mac_table(&n)[i].name;
	}
	return NULL;
}

static void add_name(struct buf *out, const char *name)
{
	struct name_list have = { (const char *)buf_data(out), buf_len(out) };

	if (name_list_has(have, name))
		return;
	if (buf_len(out))
		buf_put_u8(out, ',');
	buf_put_raw(out, name, strlen(name));
}

/* All known names that @list tells; -EINVAL with the item that tells none. */
static int add_list(struct buf *out, enum kex_list which, const char *list,
		    struct name_list *bad)
{
	struct name_list left = { list, strlen(list) };
	struct name_list item;
	const char *name;
	bool found;
	size_t i;

	while (name_list_next(&left, &item)) {
		found = false;
		for (i = 0; (name = known_name(which, i)); i++) {
			if (!word_matches(name, item.p, item.len))
				continue;
			add_name(out, name);
			found = true;
		}
		if (!found) {
			*bad = item;
			return -EINVAL;
		}
	}
	return 0;
}

/* The default without what @list tells. */
static void add_rest(struct buf *out, enum kex_list which, const char *list)
{
	const char *def = default_list(which);
	struct name_list all = { def, strlen(def) };
	struct name_list left, name, item;
	char copy[KEX_NAME_MAX + 1];
	bool drop;

	while (name_list_next(&all, &name)) {
		memcpy(copy, name.p, name.len);
		copy[name.len] = 0;
		left.p = list;
		left.len = strlen(list);
		drop = false;
		while (!drop && name_list_next(&left, &item))
			drop = word_matches(copy, item.p, item.len);
		if (!drop)
			add_name(out, copy);
	}
}

static int resolve(struct buf *out, enum kex_list which, const char *spec,
		   struct name_list *bad)
{
	int err;

	switch (*spec) {
	case '+':
		err = add_list(out, which, default_list(which), bad);
		return err ? err : add_list(out, which, spec + 1, bad);
	case '^':
		err = add_list(out, which, spec + 1, bad);
		return err ? err :
			     add_list(out, which, default_list(which), bad);
	case '-':
		add_rest(out, which, spec + 1);
		return 0;
	default:
		return add_list(out, which, spec, bad);
	}
}

int kex_check_list(enum kex_list which, const char *spec, char **out,
		   char **bad)
{
	struct name_list item = { spec, strlen(spec) };
	struct buf names;
	int err;

	*out = NULL;
	buf_init(&names, LIST_MAX);
	err = resolve(&names, which, spec, &item);
	if (!err)
		err = buf_error(&names);
	if (!err && !buf_len(&names))
		err = -EINVAL;
	if (!err) {
		*out = strndup((const char *)buf_data(&names), buf_len(&names));
		err = *out ? 0 : -ENOMEM;
	} else if (err == -EINVAL && bad) {
		*bad = strndup(item.p, item.len);
	}
	buf_free(&names);
	return err;
}
