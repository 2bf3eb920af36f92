// SPDX-License-Identifier: MIT
/* Secrets in memory. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/mem.h"

void mem_wipe(void *p, size_t len)
{
	if (len)
		explicit_bzero(p, len);
}

bool mem_equal(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a;
	const volatile uint8_t *y = b;
	uint8_t diff = 0;
	size_t i;

	for (i = 0; i < len; i++)
		diff |= x[i] ^ y[i];
	return !diff;
}

int mem_random(void *p, size_t len)
{
	uint8_t *out = p;
	ssize_t n;

	while (len) {
		n = getrandom(out, len, 0);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		out += n;
		len -= n;
	}
	return 0;
}

void mem_free_secret(void *p, size_t len)
{
	if (!p)
		return;
	mem_wipe(p, len);
	free(p);
}
