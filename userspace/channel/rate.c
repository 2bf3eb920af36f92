// SPDX-License-Identifier: MIT
/* A limit on bytes per second. */
#include "channel/rate.h"

#define NS_PER_S	UINT64_C(1000000000)
/* No debt is as old as this: the meter is of another boot, or damaged. */
#define DEBT_MAX_NS	(3600 * NS_PER_S)

uint64_t rate_wait_ns(const struct rate *rate, uint64_t now_ns)
{
	uint64_t due;

	if (!rate->bytes)
		return 0;
	due = atomic_load_explicit(&rate->meter->due_ns, memory_order_relaxed);
	if (due <= now_ns || due - now_ns > DEBT_MAX_NS)
		return 0;
	return due - now_ns;
}

static uint64_t cost_ns(const struct rate *rate, size_t n)
{
	uint64_t seconds = n / rate->bytes;
	double rest = n % rate->bytes;

	if (seconds >= DEBT_MAX_NS / NS_PER_S)
		return DEBT_MAX_NS;
	return seconds * NS_PER_S + (uint64_t)(rest / rate->bytes * NS_PER_S);
}

void rate_charge(const struct rate *rate, uint64_t now_ns, size_t n)
{
	uint64_t earliest, latest, due, to;

	if (!rate->bytes)
		return;
	earliest = now_ns > RATE_BURST_NS ? now_ns - RATE_BURST_NS : 0;
	latest = now_ns + DEBT_MAX_NS;
	due = atomic_load_explicit(&rate->meter->due_ns, memory_order_relaxed);
	do {
		to = due < earliest || due > latest ? earliest : due;
		to += cost_ns(rate, n);
		if (to > latest)
			to = latest;
	} while (!atomic_compare_exchange_weak_explicit(
		&rate->meter->due_ns, &due, to, memory_order_relaxed,
		memory_order_relaxed));
}
