/* SPDX-License-Identifier: MIT */
/* What bench/datapath found, and how it is shown. */
#ifndef BENCH_DATAPATH_TABLE_H
#define BENCH_DATAPATH_TABLE_H

#include <stdio.h>

#include "datapath.h"

struct result {
	struct setup setup;
	bool pair;
	int tx_op; /* or -1: replayed */
	int rx_op; /* or -1: recorded */
	size_t bytes;
	int64_t sender; /* ns, as the following */
	int64_t receiver;
	int64_t kthreads;
	int64_t other;
	char driver[64];
};

/* Prints to stdout, and keeps for the table. */

void table_add(const struct result *res);
void table_print(FILE *to);

#endif
