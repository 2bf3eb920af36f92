// SPDX-License-Identifier: MIT
/* SSH_MSG_KEXINIT: fill, parse, agree. RFC 4253 7.1 */
#include <errno.h>
#include <string.h>

#include "core/core.h"
#include "kex/internal.h"
#include "lib/mem.h"

#define COOKIE_LEN	16

bool name_list_next(struct name_list *list, struct name_list *name)
{
	const char *comma;

	while (list->len) {
		comma = memchr(list->p, ',', list->len);
		name->p = list->p;
		name->len = comma ? (size_t)(comma - list->p) : list->len;
		list->p += name->len + (comma ? 1 : 0);
		list->len -= name->len + (comma ? 1 : 0);
		if (name->len)
			return true;
	}
	return false;
}

static bool name_equal(const struct name_list *a, const struct name_list *b)
{
	return a->len == b->len && !memcmp(a->p, b->p, a->len);
}

bool name_list_has(struct name_list list, const char *name)
{
	struct name_list want = { name, strlen(name) };
	struct name_list have;

	while (name_list_next(&list, &have))
		if (name_equal(&have, &want))
			return true;
	return false;
}

/* Our methods, as far as libcrypto has them. */
static void put_kex_list(struct buf *out, const char *list, bool first)
{
	static const char markers[] = "ext-info-s,kex-strict-s-v00@openssh.com";
	struct name_list left = { list, strlen(list) };
	const struct kex_alg *alg;
	struct name_list name;
	struct buf names;

	buf_init(&names, 4096);
	while (name_list_next(&left, &name)) {
		alg = kex_alg_by_name(name.p, name.len);
		if (!alg || !kex_alg_available(alg))
			continue;
		if (buf_len(&names))
			buf_put_u8(&names, ',');
		buf_put_raw(&names, name.p, name.len);
	}
	if (first) {
		if (buf_len(&names))
			buf_put_u8(&names, ',');
		buf_put_raw(&names, markers, strlen(markers));
	}
	if (buf_error(&names))
		out->err = buf_error(&names);
	else
		buf_put_buf(out, &names);
	buf_free(&names);
}

/*
 * RFC 4253 7.1: "byte SSH_MSG_KEXINIT, byte[16] cookie (random bytes),
 * name-list kex_algorithms, ... boolean first_kex_packet_follows, uint32 0
 * (reserved for future extension)". The markers stand in the first KEXINIT
 * only (RFC 8308 2.1, OpenSSH PROTOCOL 1.10).
 */
int kexinit_fill(struct buf *out, const struct kex_proposal *proposal,
		 bool first)
{
	uint8_t cookie[COOKIE_LEN];
	int err;

	err = mem_random(cookie, sizeof(cookie));
	if (err)
		return err;
	buf_put_u8(out, SSH_MSG_KEXINIT);
	buf_put_raw(out, cookie, sizeof(cookie));
	put_kex_list(out, proposal->kex, first);
	buf_put_cstring(out, proposal->hostkey_algs);
	buf_put_cstring(out, proposal->ciphers);
	buf_put_cstring(out, proposal->ciphers);
	buf_put_cstring(out, proposal->macs);
	buf_put_cstring(out, proposal->macs);
	buf_put_cstring(out, "none");
	buf_put_cstring(out, "none");
	buf_put_cstring(out, "");
	buf_put_cstring(out, "");
	buf_put_bool(out, false);
	buf_put_u32(out, 0);
	return buf_error(out);
}

/*
 * RFC 4251 6: names "MUST consist solely of printable US-ASCII characters"
 * and must not contain white space. Empty names are left out later: they do
 * no harm and have been seen.
 */
static bool is_name_list(const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] <= ' ' || p[i] >= 127)
			return false;
	return true;
}

/*
 * RFC 4253 7.1: "byte SSH_MSG_KEXINIT, byte[16] cookie (random bytes),
 * name-list kex_algorithms, ... boolean first_kex_packet_follows, uint32 0
 * (reserved for future extension)"
 */
int kexinit_parse(const uint8_t *payload, size_t len, struct kexinit *init)
{
	uint32_t reserved;
	const uint8_t *p;
	struct buf in;
	size_t n;
	int i;

	buf_ref(&in, payload, len);
	if (buf_skip(&in, 1 + COOKIE_LEN))
		return -EPROTO;
	for (i = 0; i < KEXINIT_LISTS; i++) {
		if (buf_get_string(&in, &p, &n) || !is_name_list(p, n))
			return -EPROTO;
		init->lists[i].p = (const char *)p;
		init->lists[i].len = n;
	}
	if (buf_get_bool(&in, &init->follows) || buf_get_u32(&in, &reserved) ||
	    buf_end(&in))
		return -EPROTO;
	return 0;
}

/*
 * RFC 4253 7.1: "The first algorithm on the client's name-list that is also on
 * the server's name-list." The markers of RFC 8308 and of strict-kex are on no
 * list of the other side, hence never chosen.
 */
static int choose(const struct kexinit *client, const struct kexinit *server,
		  enum kexinit_list which, struct kex_choice *choice,
		  char name[KEX_NAME_MAX + 1])
{
	struct name_list left = client->lists[which];
	struct name_list theirs;

	choice->at = which;
	while (name_list_next(&left, &theirs)) {
		if (theirs.len > KEX_NAME_MAX)
			continue;
		memcpy(name, theirs.p, theirs.len);
		name[theirs.len] = 0;
		if (name_list_has(server->lists[which], name))
			return 0;
	}
	return -ENOMSG;
}

static int choose_cipher(const struct kexinit *client,
			 const struct kexinit *server, bool c2s,
			 struct kex_choice *choice)
{
	const struct cipher_desc **cipher = c2s ? &choice->cipher_c2s :
						  &choice->cipher_s2c;
	const struct mac_desc **mac = c2s ? &choice->mac_c2s : &choice->mac_s2c;
	char name[KEX_NAME_MAX + 1];

	if (choose(client, server,
		   c2s ? KEXINIT_CIPHER_C2S : KEXINIT_CIPHER_S2C, choice, name))
		return -ENOMSG;
	*cipher = cipher_by_name(name);
	*mac = NULL;
	if (!*cipher)
		return -ENOMSG;
	/* RFC 5647 5.1 asks for a MAC name; OpenSSH's AEADs for none */
	if ((*cipher)->tag_len)
		return 0;
	if (choose(client, server, c2s ? KEXINIT_MAC_C2S : KEXINIT_MAC_S2C,
		   choice, name))
		return -ENOMSG;
	*mac = mac_by_name(name);
	return *mac ? 0 : -ENOMSG;
}

/*
 * RFC 4253 7: the guess is wrong if "the kex algorithm and/or the host key
 * algorithm is guessed wrong (server and client have different preferred
 * algorithm)".
 */
static bool is_guess_wrong(const struct kexinit *client,
			   const struct kexinit *server)
{
	static const enum kexinit_list which[] = { KEXINIT_KEX,
						   KEXINIT_HOSTKEY };
	struct name_list left, right, a, b;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(which); i++) {
		left = client->lists[which[i]];
		right = server->lists[which[i]];
		if (!name_list_next(&left, &a) || !name_list_next(&right, &b) ||
		    !name_equal(&a, &b))
			return true;
	}
	return false;
}

int kexinit_negotiate(const struct kexinit *client,
		      const struct kexinit *server, struct kex_choice *choice)
{
	char name[KEX_NAME_MAX + 1];

	memset(choice, 0, sizeof(*choice));
	if (choose(client, server, KEXINIT_KEX, choice, name))
		return -ENOMSG;
	choice->kex = kex_alg_by_name(name, strlen(name));
	if (!choice->kex)
		return -ENOMSG;
	if (choose(client, server, KEXINIT_HOSTKEY, choice, choice->hostkey) ||
	    choose_cipher(client, server, true, choice) ||
	    choose_cipher(client, server, false, choice) ||
	    choose(client, server, KEXINIT_COMP_C2S, choice, name) ||
	    choose(client, server, KEXINIT_COMP_S2C, choice, name))
		return -ENOMSG;
	choice->wrong_guess = client->follows && is_guess_wrong(client, server);
	return 0;
}
