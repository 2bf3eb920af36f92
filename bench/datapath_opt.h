/* SPDX-License-Identifier: MIT */
/* What bench/datapath is asked to do. */
#ifndef BENCH_DATAPATH_OPT_H
#define BENCH_DATAPATH_OPT_H

#include <stdio.h>

#include "datapath.h"

#define MIB		(1024 * 1024)
#define LIST_MAX	16

struct options {
	enum path_id paths[LIST_MAX];
	int npaths;
	const struct suite *suites[LIST_MAX];
	int nsuites;
	enum op_id ops[LIST_MAX];
	int nops;
	unsigned int sizes[LIST_MAX];
	int nsizes;
	int chans[LIST_MAX];
	int nchans;
	size_t bytes;
	unsigned int window;
	unsigned int write; /* 0: as large as a packet */
	int repeat;
	int nice; /* of the raw end */
	bool pair;
	FILE *perf; /* commands for perf record --control */
	FILE *perf_ack;
};

extern struct options opt;

void options_parse(int argc, char **argv);

#endif
