/* SPDX-License-Identifier: MIT */
/* A limit on bytes per second. */
#ifndef KSSH_CHANNEL_RATE_H
#define KSSH_CHANNEL_RATE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct rate_meter - what has been sent, as the time when it is paid for
 * @due_ns: CLOCK_MONOTONIC
 *
 * May be shared by processes.
 */
struct rate_meter {
	_Atomic uint64_t due_ns;
};

/**
 * struct rate - a limit
 * @bytes: per second, 0: none
 * @meter: of those who share it
 */
struct rate {
	uint64_t bytes;
	struct rate_meter *meter;
};

/* A rate that was not used up counts this long afterwards. */
#define RATE_BURST_NS	UINT64_C(100000000)

/*
 * Nanoseconds until more may go, 0: now. A piece goes whole and is paid for
 * afterwards.
 */
uint64_t rate_wait_ns(const struct rate *rate, uint64_t now_ns);
/* @n bytes have gone. */
void rate_charge(const struct rate *rate, uint64_t now_ns, size_t n);

#endif
