// SPDX-License-Identifier: GPL-2.0-only
/*
 * kssh-top: what do the connections of the kernel data path do?
 *
 * A program on the tracepoints of kssh.ko counts; we print what came to it in
 * an interval. docs/man/kssh-top.8 says what the columns mean.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/types.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kssh_top.h"
#include "kssh_top.skel.h"

/**
 * struct seen - a connection as it was at the end of the last interval
 * @key: of the map
 * @conn: its counters then
 */
struct seen {
	__u64 key;
	struct top_conn conn;
};

static struct seen *before, *now;
static size_t n_before, n_now;
static bool json;
static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = 1;
}

static void usage(FILE *to)
{
	fputs("usage: kssh-top [--batch] [--json] [-i SECONDS] [-n COUNT]\n"
	      "  Prints each interval what each connection of the kernel data\n"
	      "  path has moved, and what held it up. Needs root and kssh.ko.\n"
	      "  -b, --batch       lines, for files and pipes (always)\n"
	      "  -j, --json        an object a line\n"
	      "  -i, --interval S  seconds (1)\n"
	      "  -n, --count N     so many intervals (without end)\n",
	      to);
}

static __attribute__((format(printf, 1, 2), noreturn)) void
fail(const char *fmt, ...)
{
	va_list ap;

	fputs("kssh-top: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return getenv("KSSH_TOP_DEBUG") ? vfprintf(stderr, fmt, ap) : 0;
}

/* One line that says what to do, for what users meet. */
static struct kssh_top_bpf *attach(void)
{
	struct kssh_top_bpf *skel;
	int err;

	if (access("/sys/module/kssh", F_OK))
		fail("kssh.ko is not loaded: modprobe kssh");
	if (access("/sys/kernel/btf/kssh", F_OK))
		fail("kssh.ko has no BTF: build it against headers with vmlinux, for a kernel with CONFIG_DEBUG_INFO_BTF");
	libbpf_set_print(quiet);
	skel = kssh_top_bpf__open_and_load();
	if (!skel && errno == EPERM)
		fail("not permitted to load BPF programs: run it as root");
	if (!skel)
		fail("cannot load the BPF program: %s (KSSH_TOP_DEBUG=1 says more)",
		     strerror(errno));
	err = kssh_top_bpf__attach(skel);
	if (err)
		fail("cannot attach to the tracepoints: %s", strerror(-err));
	return skel;
}

static void read_map(int fd)
{
	__u64 key, *prev = NULL;
	struct seen *to;

	n_now = 0;
	while (n_now < TOP_CONNS_MAX && !bpf_map_get_next_key(fd, prev, &key)) {
		to = &now[n_now];
		to->key = key;
		if (!bpf_map_lookup_elem(fd, &key, &to->conn))
			n_now++;
		prev = &key;
	}
}

static int by_key(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

/* What came since the last interval. */
static struct top_conn difference(const struct seen *seen)
{
	struct top_conn d = seen->conn;
	const struct seen *old;

	old = bsearch(seen, before, n_before, sizeof(*before), by_key);
	if (!old || old->conn.sport != d.sport || old->conn.dport != d.dport)
		return d;
	d.tx_bytes -= old->conn.tx_bytes;
	d.rx_bytes -= old->conn.rx_bytes;
	d.tx_packets -= old->conn.tx_packets;
	d.rx_packets -= old->conn.rx_packets;
	d.shuts -= old->conn.shuts;
	d.shut_us -= old->conn.shut_us;
	d.rekeys -= old->conn.rekeys;
	d.rekey_us -= old->conn.rekey_us;
	return d;
}

static void add(struct top_conn *sum, const struct top_conn *d)
{
	sum->tx_bytes += d->tx_bytes;
	sum->rx_bytes += d->rx_bytes;
	sum->tx_packets += d->tx_packets;
	sum->rx_packets += d->rx_packets;
	sum->shuts += d->shuts;
	sum->shut_us += d->shut_us;
	sum->rekeys += d->rekeys;
	sum->rekey_us += d->rekey_us;
}

static const char *address(const struct top_conn *conn, bool ours, char *to,
			   size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "?";
	bool v6 = conn->family == AF_INET6;

	inet_ntop(conn->family, ours ? conn->saddr : conn->daddr, ip,
		  sizeof(ip));
	snprintf(to, size, v6 ? "[%s]:%u" : "%s:%u", ip,
		 ours ? conn->sport : conn->dport);
	return to;
}

static void print_text(const char *stamp, const char *local, const char *remote,
		       const struct top_conn *d)
{
	printf("%s %-24s %-24s %12llu %12llu %9llu %9llu %6llu %9.1f %6llu %9.1f %5d\n",
	       stamp, local, remote, d->tx_bytes, d->rx_bytes, d->tx_packets,
	       d->rx_packets, d->shuts, d->shut_us / 1e3, d->rekeys,
	       d->rekey_us / 1e3, d->last_err);
}

static void print_json(const char *stamp, const char *local, const char *remote,
		       const struct top_conn *d)
{
	printf("{\"time\": \"%s\", \"local\": \"%s\", \"remote\": \"%s\", "
	       "\"tx_bytes\": %llu, \"rx_bytes\": %llu, "
	       "\"tx_packets\": %llu, \"rx_packets\": %llu, "
	       "\"window_stalls\": %llu, \"window_stall_us\": %llu, "
	       "\"rekeys\": %llu, \"rekey_stall_us\": %llu, "
	       "\"error\": %d}\n",
	       stamp, local, remote, d->tx_bytes, d->rx_bytes, d->tx_packets,
	       d->rx_packets, d->shuts, d->shut_us, d->rekeys, d->rekey_us,
	       d->last_err);
}

static void print(const char *local, const char *remote,
		  const struct top_conn *d)
{
	char stamp[16];
	time_t t = time(NULL);
	struct tm tm;

	strftime(stamp, sizeof(stamp), "%H:%M:%S", localtime_r(&t, &tm));
	(json ? print_json : print_text)(stamp, local, remote, d);
}

static void print_header(void)
{
	if (!json)
		printf("%-8s %-24s %-24s %12s %12s %9s %9s %6s %9s %6s %9s %5s\n",
		       "time", "local", "remote", "tx-bytes", "rx-bytes",
		       "tx-pkts", "rx-pkts", "shuts", "shut-ms", "rekeys",
		       "stall-ms", "error");
	fflush(stdout);
}

static void interval(int fd)
{
	struct top_conn sum = { 0 }, d;
	char local[64], remote[64];
	struct seen *swap = before;
	size_t i;

	read_map(fd);
	qsort(now, n_now, sizeof(*now), by_key);
	for (i = 0; i < n_now; i++) {
		d = difference(&now[i]);
		if (!d.tx_packets && !d.rx_packets && !d.rekeys && !d.shuts)
			continue;
		add(&sum, &d);
		print(address(&d, true, local, sizeof(local)),
		      address(&d, false, remote, sizeof(remote)), &d);
	}
	print("total", "", &sum);
	fflush(stdout);
	before = now;
	n_before = n_now;
	now = swap;
}

static double parse(const char *what, const char *text, double least)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= least && value <= 1e6))
		fail("%s %s: not a number from %g to 1000000", what, text,
		     least);
	return value;
}

static void pause_for(double seconds)
{
	struct timespec ts = { .tv_sec = (time_t)seconds };

	ts.tv_nsec = (long)((seconds - (double)ts.tv_sec) * 1e9);
	nanosleep(&ts, NULL);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "batch", no_argument, NULL, 'b' },
		{ "json", no_argument, NULL, 'j' },
		{ "interval", required_argument, NULL, 'i' },
		{ "count", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct sigaction act = { .sa_handler = on_signal };
	struct kssh_top_bpf *skel;
	double seconds = 1;
	long count = 0, i;
	int opt;

	while ((opt = getopt_long(argc, argv, "bji:n:h", options, NULL)) !=
	       -1) {
		switch (opt) {
		case 'b':
			break;
		case 'j':
			json = true;
			break;
		case 'i':
			seconds = parse("-i", optarg, 0.01);
			break;
		case 'n':
			count = (long)parse("-n", optarg, 1);
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc) {
		usage(stderr);
		return 2;
	}
	before = calloc(TOP_CONNS_MAX, sizeof(*before));
	now = calloc(TOP_CONNS_MAX, sizeof(*now));
	if (!before || !now)
		fail("no memory");
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);

	skel = attach();
	print_header();
	for (i = 0; !stop && (!count || i < count); i++) {
		pause_for(seconds);
		interval(bpf_map__fd(skel->maps.conns));
	}
	kssh_top_bpf__destroy(skel);
	free(before);
	free(now);
	return 0;
}
