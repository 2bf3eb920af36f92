/* SPDX-License-Identifier: MIT */
/* Secrets in memory, and small helpers that libc lacks. */
#ifndef KSSH_LIB_MEM_H
#define KSSH_LIB_MEM_H

#include <stdbool.h>
#include <stddef.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* The structure that @ptr is the member of. */
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

/* Overwrite, never optimised away. */
void mem_wipe(void *p, size_t len);
/* Constant time. */
bool mem_equal(const void *a, const void *b, size_t len);
/* Exactly @len random bytes; 0 or -errno. */
int mem_random(void *p, size_t len);
/* Wipe and free; NULL is fine. */
void mem_free_secret(void *p, size_t len);

#endif
