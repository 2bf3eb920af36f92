// SPDX-License-Identifier: MIT
/* channel/rate.c: how long who has sent must wait. */
#include "channel/rate.h"
#include "harness.h"

#define S	UINT64_C(1000000000)
#define MS	(S / 1000)
#define START	(1000 * S)

FIXTURE(rate)
{
	struct rate_meter meter;
	struct rate rate;
};

FIXTURE_SETUP(rate)
{
	self->meter.due_ns = 0;
	self->rate.bytes = 1000000;
	self->rate.meter = &self->meter;
}

FIXTURE_TEARDOWN(rate)
{
	(void)self;
}

TEST_F(rate, none_holds_nobody)
{
	struct rate none = { 0 };

	rate_charge(&none, START, 1 << 30);
	EXPECT_EQ(0, rate_wait_ns(&none, START));
}

TEST_F(rate, is_paid_afterwards)
{
	EXPECT_EQ(0, rate_wait_ns(&self->rate, START));
	rate_charge(&self->rate, START, 1100000);
	/* the last 100 ms were not used */
	EXPECT_EQ(S, rate_wait_ns(&self->rate, START));
	EXPECT_EQ(1, rate_wait_ns(&self->rate, START + S - 1));
	EXPECT_EQ(0, rate_wait_ns(&self->rate, START + S));
	EXPECT_EQ(0, rate_wait_ns(&self->rate, START + 2 * S));
}

TEST_F(rate, is_kept_over_many_pieces)
{
	uint64_t now = START;
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		now += rate_wait_ns(&self->rate, now);
		rate_charge(&self->rate, now, 33333);
	}
	now += rate_wait_ns(&self->rate, now);
	EXPECT_LE(START + 33333 * MS - RATE_BURST_NS - MS, now);
	EXPECT_LE(now, START + 33333 * MS);
}

TEST_F(rate, does_not_save_up)
{
	rate_charge(&self->rate, START, 1000);
	rate_charge(&self->rate, START + 500 * S, 1100000);
	EXPECT_EQ(S, rate_wait_ns(&self->rate, START + 500 * S));
}

TEST_F(rate, counts_what_others_send)
{
	struct rate slow = { .bytes = 1000, .meter = &self->meter };

	rate_charge(&self->rate, START, 1100000);
	rate_charge(&slow, START, 1000);
	EXPECT_EQ(2 * S, rate_wait_ns(&self->rate, START));
	EXPECT_EQ(2 * S, rate_wait_ns(&slow, START));
}

TEST_F(rate, survives_a_clock_that_begins_anew)
{
	rate_charge(&self->rate, START * 100, 1100000);
	EXPECT_EQ(0, rate_wait_ns(&self->rate, START));
	rate_charge(&self->rate, START, 1100000);
	EXPECT_EQ(S, rate_wait_ns(&self->rate, START));
}

TEST_F(rate, knows_no_number_that_is_too_large)
{
	struct rate one = { .bytes = 1, .meter = &self->meter };
	struct rate all = { .bytes = UINT64_MAX, .meter = &self->meter };

	rate_charge(&all, START, SIZE_MAX);
	EXPECT_LE(rate_wait_ns(&all, START), S);
	rate_charge(&one, START, SIZE_MAX);
	EXPECT_LE(rate_wait_ns(&one, START), 3600 * S);
	EXPECT_LT(3000 * S, rate_wait_ns(&one, START));
	rate_charge(&one, 50 * MS, 1);
	EXPECT_LE(rate_wait_ns(&one, 50 * MS), S);
}

TEST_HARNESS_MAIN
