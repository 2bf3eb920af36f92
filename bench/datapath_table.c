// SPDX-License-Identifier: MIT
/* JSON, a table, and what the targets ask for. */
#include <stdlib.h>
#include <string.h>

#include "datapath_table.h"

/* A line of the table: the mean of runs that are alike. */
static struct row {
	struct result sum;
	int runs;
	double least, most;
} *rows;
static size_t nrows;

static double per_byte(const struct result *res, int64_t ns)
{
	return (double)ns / res->bytes;
}

/* What is charged to the end that is measured; of a pair all. */
static double cost(const struct result *res)
{
	int64_t ns = res->kthreads;

	if (res->tx_op >= 0)
		ns += res->sender;
	if (res->rx_op >= 0)
		ns += res->receiver;
	return per_byte(res, ns);
}

static const char *cipher(const struct result *res)
{
	return res->setup.path == PATH_TCP ? "none" : res->setup.suite->name;
}

static void op_text(const struct result *res, char *text, size_t size)
{
	if (res->pair)
		snprintf(text, size, "%s+%s", op_name(res->tx_op),
			 op_name(res->rx_op));
	else
		snprintf(text, size, "%s",
			 op_name(res->tx_op >= 0 ? res->tx_op : res->rx_op));
}

static void print_json(const struct result *res)
{
	char op[32];

	op_text(res, op, sizeof(op));
	printf("{\"path\": \"%s\", \"cipher\": \"%s\", \"op\": \"%s\", "
	       "\"size\": %u, \"channels\": %d, \"bytes\": %zu, ",
	       path_name(res->setup.path), cipher(res), op, res->setup.size,
	       res->setup.nchan, res->bytes);
	printf("\"ins_per_byte\": %.3f, \"sender\": %.3f, \"receiver\": %.3f, "
	       "\"kthreads\": %.3f, \"other\": %.3f, \"driver\": \"%s\"}\n",
	       cost(res), per_byte(res, res->sender),
	       per_byte(res, res->receiver), per_byte(res, res->kthreads),
	       per_byte(res, res->other), res->driver);
	fflush(stdout);
}

static bool alike(const struct result *a, const struct result *b)
{
	return a->setup.path == b->setup.path &&
	       a->setup.suite == b->setup.suite &&
	       a->setup.size == b->setup.size &&
	       a->setup.nchan == b->setup.nchan && a->tx_op == b->tx_op &&
	       a->rx_op == b->rx_op;
}

static struct row *row_of(const struct result *res)
{
	size_t i;

	for (i = 0; i < nrows; i++)
		if (alike(&rows[i].sum, res))
			return &rows[i];
	rows = reallocarray(rows, nrows + 1, sizeof(*rows));
	if (!rows)
		die("no memory");
	rows[nrows] = (struct row){ .sum = { .setup = res->setup } };
	return &rows[nrows++];
}

void table_add(const struct result *res)
{
	struct row *row = row_of(res);
	struct result *sum = &row->sum;
	double is = cost(res);

	print_json(res);
	sum->pair = res->pair;
	sum->tx_op = res->tx_op;
	sum->rx_op = res->rx_op;
	sum->bytes += res->bytes;
	sum->sender += res->sender;
	sum->receiver += res->receiver;
	sum->kthreads += res->kthreads;
	sum->other += res->other;
	if (!row->runs || is < row->least)
		row->least = is;
	if (!row->runs || is > row->most)
		row->most = is;
	row->runs++;
}

/* The targets. */

/* 0 if it was not measured. */
static double find(enum path_id path, const char *suite, int op,
		   unsigned int size)
{
	size_t i;

	for (i = 0; i < nrows; i++) {
		const struct result *res = &rows[i].sum;

		if (!res->pair && res->setup.path == path &&
		    res->setup.size == size && res->setup.nchan == 1 &&
		    !strcmp(res->setup.suite->name, suite) &&
		    (res->tx_op == op || res->rx_op == op))
			return cost(res);
	}
	return 0;
}

static const struct target {
	const char *suite;
	enum op_id op;
	enum path_id than; /* or kSSH: the limit is of instructions */
	double limit;
} targets[] = {
	{ "aes128-gcm", OP_SENDFILE, PATH_KTLS, 0.90 },
	{ "aes128-gcm", OP_RECV, PATH_KTLS, 0.95 },
	{ "aes128-gcm", OP_RECV, PATH_KTLS_NOPAD, 0.95 },
	{ "chacha20-poly1305", OP_SENDFILE, PATH_KSSH, 6.0 },
	{ "chacha20-poly1305", OP_RECV, PATH_KSSH, 6.5 },
	{ "aes128-ctr+hmac-sha2-256-etm", OP_SENDFILE, PATH_KSSH, 5.3 },
	{ "aes128-ctr+hmac-sha2-256-etm", OP_RECV, PATH_KSSH, 5.6 },
};

/* kTLS' records are of 16 KiB, however large the writes. */
static double find_ktls(enum path_id path, const struct target *target)
{
	double is = find(path, target->suite, target->op, 16384);

	return is > 0 ? is : find(path, target->suite, target->op, 32768);
}

static void target_print(FILE *to, const struct target *target)
{
	double is = find(PATH_KSSH, target->suite, target->op, 32768);
	double than = 0;

	if (is <= 0)
		return;
	if (target->than == PATH_KSSH) {
		fprintf(to, "# kssh %s %s: %.2f", target->suite,
			op_name(target->op), is);
	} else {
		than = find_ktls(target->than, target);
		if (than <= 0)
			return;
		fprintf(to, "# kssh %s %s / %s: %.2f / %.2f = %.2f",
			target->suite, op_name(target->op),
			path_name(target->than), is, than, is / than);
		is /= than;
	}
	fprintf(to, ", target %.2f: %s\n", target->limit,
		is <= target->limit ? "met" : "missed");
}

static void row_print(FILE *to, const struct row *row)
{
	const struct result *sum = &row->sum;
	double is = cost(sum);
	char op[32];

	op_text(sum, op, sizeof(op));
	fprintf(to, "# %-10s %-28s %-15s %5u %2d %6.2f",
		path_name(sum->setup.path), cipher(sum), op, sum->setup.size,
		sum->setup.nchan, is);
	fprintf(to, " %6.2f %8.2f %8.2f %5.2f", per_byte(sum, sum->sender),
		per_byte(sum, sum->receiver), per_byte(sum, sum->kthreads),
		per_byte(sum, sum->other));
	if (row->runs > 1)
		fprintf(to, " %5.1f%%", (row->most - row->least) / is * 100);
	fputc('\n', to);
}

void table_print(FILE *to)
{
	size_t i;

	fprintf(to, "# %-10s %-28s %-15s %5s %2s %6s %6s %8s %8s %5s %s\n",
		"path", "cipher", "op", "size", "ch", "i/B", "sender",
		"receiver", "kthreads", "other", "spread");
	for (i = 0; i < nrows; i++)
		row_print(to, &rows[i]);
	for (i = 0; i < ARRAY_SIZE(targets); i++)
		target_print(to, &targets[i]);
}
