/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the fuzzers of kssh.ko share: numbers from a seed, rounds, a watchdog, and
 * a connection beside them that must go on.
 */
#ifndef _TESTS_KSSH_FUZZ_H
#define _TESTS_KSSH_FUZZ_H

/* Each round is guarded by itself: ROUND_SECS. */
#define TEST_TIMEOUT 86400
#include <limits.h>

#include "kssh_peer.h"

#define ROUND_SECS 60

static const int suites[] = {
	KSSH_CIPHER_AES_128_GCM,
	KSSH_CIPHER_AES_256_GCM,
	KSSH_CIPHER_CHACHA20_POLY1305,
	CTR128_256_ETM,
	CTR192_512_ETM,
	CTR128_512,
	CTR256_256,
};

struct rng {
	uint64_t state;
};

/* A Weyl sequence, mixed: any seed is as good as another. */
static uint64_t rng_next(struct rng *rng)
{
	uint64_t v = rng->state += 0x9e3779b97f4a7c15;

	v = (v ^ v >> 32) * 0xd6e8feb86659fd93;
	v = (v ^ v >> 32) * 0xd6e8feb86659fd93;
	return v ^ v >> 32;
}

/* 0 to @n - 1 */
static uint32_t below(struct rng *rng, uint32_t n)
{
	return (rng_next(rng) >> 16) % n;
}

static bool one_in(struct rng *rng, uint32_t n)
{
	return !below(rng, n);
}

static void rng_fill(struct rng *rng, unsigned char *buf, size_t len)
{
	fill(buf, len, rng_next(rng));
}

/* Another stream of numbers, for a thread. */
static struct rng rng_fork(struct rng *rng)
{
	return (struct rng){ rng_next(rng) };
}

/* Numbers where faults are. */
static uint32_t edge(struct rng *rng)
{
	static const uint32_t edges[] = {
		0,	    1,		2,	    3,		4,
		5,	    7,		8,	    9,		255,
		256,	    32767,	32768,	    65535,	65536,
		0x7ffffffe, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff
	};
	uint32_t v = rng_next(rng) >> 20;

	switch (below(rng, 3)) {
	case 0:
		return v;
	case 1:
		return v >> below(rng, 32);
	}
	return edges[v % ARRAY_SIZE(edges)];
}

static char round_name[160];

/* Where each thread is, in place of this program. */
static void on_watchdog(int sig)
{
	static const char text[] = " hangs\n";
	static char show[] = "cd /proc/$PPID/task; for t in *; do "
			     "echo \"# thread $t: $(cat $t/syscall)\"; "
			     "sed 's/^/#   /' $t/stack; done";
	pid_t pid;

	(void)sig;
	if (write(1, round_name, strlen(round_name)) > 0 &&
	    write(1, text, sizeof(text) - 1) > 0) {
		pid = fork();
		if (!pid)
			execl("/bin/sh", "sh", "-c", show, NULL);
		waitpid(pid, NULL, 0);
	}
	_exit(TH_FAIL);
}

/* Nobody sleeps for long in a call on @fd. */
static void limit_sleep(int fd)
{
	struct timeval tv = { .tv_usec = 4000 };

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

/* A connection nobody harms, with a channel. */
struct bystander {
	int fd[2], ch[2];
};

static void bystander_open(struct bystander *by)
{
	int i;

	ASSERT_EQ(0, tcp_pair(by->fd));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, attach(by->fd[i]));
		ASSERT_EQ(0, new_keys(by->fd[i], KSSH_TX,
				      KSSH_CIPHER_AES_128_GCM, i + 1, 0, 0));
		ASSERT_EQ(0, new_keys(by->fd[i], KSSH_RX,
				      KSSH_CIPHER_AES_128_GCM, 2 - i, 0, 0));
		by->ch[i] = channel(by->fd[i], 1, 1);
		ASSERT_LE(0, by->ch[i]);
	}
}

static void bystander_check(struct bystander *by, uint32_t seed)
{
	unsigned char out[3000], in[3000];

	fill(out, sizeof(out), seed);
	ASSERT_EQ(sizeof(out), write_all(by->ch[0], out, sizeof(out)));
	ASSERT_EQ(sizeof(in), read_all(by->ch[1], in, sizeof(in)));
	ASSERT_MEMEQ(out, in, sizeof(in));
}

static void bystander_close(struct bystander *by)
{
	int i;

	for (i = 0; i < 2; i++) {
		close(by->ch[i]);
		close(by->fd[i]);
	}
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value && *value ? strtoull(value, NULL, 0) : otherwise;
}

/*
 * Rounds until one fails: KSSH_FUZZ_ROUNDS of them, or as many as begin within
 * KSSH_FUZZ_SECS, from KSSH_FUZZ_SEED on (0: the clock's), each with a seed of
 * its own, one more than the last.
 */
static void fuzz_rounds(unsigned int rounds, void (*fn)(uint64_t seed))
{
	uint64_t seed = env_number("KSSH_FUZZ_SEED", 1);
	time_t secs = env_number("KSSH_FUZZ_SECS", 0), end = time(NULL) + secs;
	struct bystander by;
	unsigned int i;

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	rounds = env_number("KSSH_FUZZ_ROUNDS", secs ? UINT_MAX : rounds);
	if (!seed)
		seed = (uint64_t)time(NULL) << 20;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, on_watchdog);
	bystander_open(&by);
	for (i = 0; i < rounds && !th_state.result->failed; i++) {
		if (secs && time(NULL) >= end)
			break;
		snprintf(round_name, sizeof(round_name),
			 "# KSSH_FUZZ_SEED=%llu KSSH_FUZZ_ROUNDS=1 %s",
			 (unsigned long long)seed + i, th_state.current);
		alarm(ROUND_SECS);
		fn(seed + i);
		bystander_check(&by, i);
		if (th_state.result->failed)
			printf("%s fails\n", round_name);
	}
	alarm(0);
	bystander_close(&by);
	printf("# %u rounds from seed %llu\n", i, (unsigned long long)seed);
}

#endif
