// SPDX-License-Identifier: MIT
/* Addresses of Match: networks in CIDR notation, addresses, patterns. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_impl.h"
#include "lib/word.h"

#define TEXT_MAX	64

/**
 * struct network - an address is one of full length
 * @family: AF_INET or AF_INET6
 * @bytes: address
 * @bits: how many of them count
 */
struct network {
	int family;
	uint8_t bytes[16];
	unsigned int bits;
};

static unsigned int all_bits(const struct network *net)
{
	return net->family == AF_INET ? 32 : 128;
}

/* IPv4 in IPv6 is IPv4, wherever it comes from. */
static void unmap(struct network *net)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (net->family != AF_INET6 || memcmp(net->bytes, mapped, 12))
		return;
	net->family = AF_INET;
	memmove(net->bytes, net->bytes + 12, 4);
}

static bool parse_address(struct network *net, const char *text, size_t len)
{
	char copy[TEXT_MAX];
	char *scope;

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = 0;
	scope = strchr(copy, '%');
	if (scope)
		*scope = 0;
	memset(net, 0, sizeof(*net));
	net->family = AF_INET;
	if (inet_pton(AF_INET, copy, net->bytes) != 1) {
		net->family = AF_INET6;
		if (inet_pton(AF_INET6, copy, net->bytes) != 1)
			return false;
		unmap(net);
	}
	net->bits = all_bits(net);
	return true;
}

static bool same_network(const struct network *a, const struct network *net)
{
	unsigned int whole = net->bits / 8;
	unsigned int rest = net->bits % 8;

	if (a->family != net->family || memcmp(a->bytes, net->bytes, whole))
		return false;
	return !rest || !((a->bytes[whole] ^ net->bytes[whole]) >> (8 - rest));
}

/* Is nothing set behind the bits that count? */
static bool is_network(const struct network *net)
{
	struct network zero = *net;
	unsigned int i;

	for (i = net->bits; i < all_bits(net); i++)
		zero.bytes[i / 8] &= ~(0x80 >> i % 8);
	return !memcmp(zero.bytes, net->bytes, sizeof(zero.bytes));
}

/* 1: an address or a network; 0: a pattern; -EINVAL: neither */
static int parse_item(struct network *net, const char *text, size_t len)
{
	const char *slash = memchr(text, '/', len);
	unsigned int bits = 0;
	const char *p;

	if (!slash)
		return len ? parse_address(net, text, len) : -EINVAL;
	if (!parse_address(net, text, slash - text))
		return -EINVAL;
	for (p = slash + 1; p < text + len; p++) {
		if (*p < '0' || *p > '9' || bits > 128)
			return -EINVAL;
		bits = bits * 10 + (*p - '0');
	}
	if (p == slash + 1 || bits > net->bits)
		return -EINVAL;
	net->bits = bits;
	return is_network(net) ? 1 : -EINVAL;
}

static bool item_matches(const struct network *from, const char *addr,
			 const char *text, size_t len)
{
	struct network net;
	int kind = parse_item(&net, text, len);

	if (kind > 0)
		return same_network(from, &net);
	return !kind && word_matches(addr, text, len);
}

bool conf_address_matches(const char *addr, const char *list)
{
	struct network from;
	bool found = false;
	bool negated;
	size_t len;

	if (!parse_address(&from, addr, strlen(addr)))
		return false;
	for (; *list; list += len + (list[len] == ',')) {
		len = strcspn(list, ",");
		negated = *list == '!';
		if (!item_matches(&from, addr, list + negated, len - negated))
			continue;
		if (negated)
			return false;
		found = true;
	}
	return found;
}

int conf_address_check(const char *list, char *bad, size_t bad_len)
{
	struct network net;
	bool negated;
	size_t len;

	for (; *list; list += len + (list[len] == ',')) {
		len = strcspn(list, ",");
		negated = *list == '!';
		if (parse_item(&net, list + negated, len - negated) >= 0)
			continue;
		snprintf(bad, bad_len, "%.*s", (int)(len > 64 ? 64 : len),
			 list);
		return -EINVAL;
	}
	return 0;
}
