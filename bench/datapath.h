/* SPDX-License-Identifier: MIT */
/* What the parts of bench/datapath share. */
#ifndef BENCH_DATAPATH_H
#define BENCH_DATAPATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define CHANNELS_MAX	64

_Noreturn __attribute__((format(printf, 1, 2))) void die(const char *fmt, ...);

/* datapath_path.c: the two ends of a connection */

enum path_id { PATH_TCP, PATH_KTLS, PATH_KTLS_NOPAD, PATH_KSSH };

struct suite {
	const char *name;
	uint16_t cipher;
	uint16_t mac;
	uint8_t key_len;
	uint8_t iv_len;
	uint8_t mac_key_len;
};

/* What a connection is made of. */
struct setup {
	enum path_id path;
	const struct suite *suite;
	unsigned int size; /* largest data part of a packet */
	unsigned int window;
	int nchan;
};

/* One end: the TCP socket, and what data are written to or read from. */
struct end {
	int sk;
	int data[CHANNELS_MAX];
	int ndata;
	bool raw; /* plain TCP, though the path is another */
	char driver[64];
};

const char *path_name(enum path_id path);
bool path_by_name(const char *name, enum path_id *path);
bool path_has_suite(enum path_id path, const struct suite *suite);
const struct suite *suite_by_index(size_t i);

void connect_ends(struct end *tx, struct end *rx);
void end_set_up(struct end *end, const struct setup *setup, bool sender);
void end_finish_tx(struct end *end, const struct setup *setup);
void end_ask_driver(struct end *end, const struct setup *setup, bool sender);
void end_close(struct end *end);

/* datapath_op.c: who moves the bytes */

enum op_id { OP_SEND, OP_SENDFILE, OP_RECV, OP_SPLICE };

/* A run of one side. Channel i carries [i * each, (i + 1) * each) of file. */
struct work {
	const struct end *end;
	size_t each;
	unsigned int size; /* bytes of a write */
	bool verify;
	int file; /* what is sent, or what should arrive */
	const uint8_t *data; /* the same, mapped */
};

const char *op_name(enum op_id op);
bool op_sends(enum op_id op);
void op_run(enum op_id op, const struct work *work);

/* The bytes on the wire, kept and sent again. Returns how many. */
size_t raw_record(int sk, int file);
void raw_replay(int sk, int file, size_t len);

/* datapath_clock.c: who spent how much, in ns */

struct clocks {
	int64_t elapsed;
	int64_t idle;
	int64_t self;
	int64_t kthreads;
	int64_t other; /* for the caller to fill in */
};

int64_t clock_process(void);
struct clocks clocks_now(void);
/* What passed from @from to @to. */
struct clocks clocks_between(const struct clocks *from,
			     const struct clocks *to);

#endif
