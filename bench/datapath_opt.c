// SPDX-License-Identifier: MIT
/* The command line of bench/datapath. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "datapath_opt.h"

struct options opt;

static void add_path(const char *word)
{
	if (!path_by_name(word, &opt.paths[opt.npaths++]))
		die("no path %s: tcp, ktls, ktls-nopad, kssh", word);
}

static void add_suite(const char *word)
{
	size_t i;

	for (i = 0; suite_by_index(i); i++) {
		if (strcmp(word, suite_by_index(i)->name))
			continue;
		opt.suites[opt.nsuites++] = suite_by_index(i);
		return;
	}
	fprintf(stderr, "datapath: no cipher %s; there are", word);
	for (i = 0; suite_by_index(i); i++)
		fprintf(stderr, " %s", suite_by_index(i)->name);
	fputc('\n', stderr);
	exit(1);
}

static void add_op(const char *word)
{
	int op;

	for (op = OP_SEND; op <= OP_SPLICE; op++) {
		if (strcmp(word, op_name(op)))
			continue;
		opt.ops[opt.nops++] = op;
		return;
	}
	die("no operation %s: send, sendfile, recv, splice", word);
}

static unsigned int number(const char *word, unsigned int max)
{
	char *end;
	unsigned long n = strtoul(word, &end, 10);

	if (*end || !n || n > max)
		die("%s is no number from 1 to %u", word, max);
	return n;
}

static void add_size(const char *word)
{
	opt.sizes[opt.nsizes++] = number(word, 256 * 1024);
}

static void add_chans(const char *word)
{
	opt.chans[opt.nchans++] = number(word, CHANNELS_MAX);
}

/* @text is "a,b,c". Instead of what was there before. */
static void each_word(const char *text, int *count, void (*add)(const char *))
{
	char copy[256], *save, *word;

	snprintf(copy, sizeof(copy), "%s", text);
	*count = 0;
	for (word = strtok_r(copy, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		if (*count == LIST_MAX)
			die("more than %d in %s", LIST_MAX, text);
		add(word);
	}
	if (!*count)
		die("an empty list");
}

static void usage(FILE *to)
{
	fputs("usage: datapath [OPTION]...\n"
	      "  -p PATHS     tcp,ktls,ktls-nopad,kssh (all)\n"
	      "  -c CIPHERS   of kSSH (those of the targets)\n"
	      "  -o OPS       send,sendfile,recv,splice (all)\n"
	      "  -s SIZES     of packets and of writes (1024,4096,16384,32768)\n"
	      "  -n CHANNELS  (1,16)\n"
	      "  -m MIB       of data in a run (64)\n"
	      "  -w BYTES     of a write, if not that of a packet\n"
	      "  -W KIB       window of a channel (unlimited; -M pair: 65536)\n"
	      "  -M MODE      solo: one end measured alone; pair: both at once\n"
	      "  -r N         runs of each, of which the table has the mean\n"
	      "  -N NICE      of the plain end: 0 to 19 (19)\n"
	      "  -C CTL,ACK   FIFOs of perf record --control\n",
	      to);
}

static void open_perf(char *fifos)
{
	char *comma = strchr(fifos, ',');

	if (!comma)
		die("-C wants two names");
	*comma = '\0';
	opt.perf = fopen(fifos, "we");
	opt.perf_ack = fopen(comma + 1, "re");
	if (!opt.perf || !opt.perf_ack)
		die("%s: %s", fifos, strerror(errno));
}

static void set_defaults(void)
{
	each_word("tcp,ktls,ktls-nopad,kssh", &opt.npaths, add_path);
	each_word("aes128-gcm,aes256-gcm,chacha20-poly1305,"
		  "aes128-ctr+hmac-sha2-256-etm,aes128-ctr+hmac-sha2-256",
		  &opt.nsuites, add_suite);
	each_word("send,sendfile,recv,splice", &opt.nops, add_op);
	each_word("1024,4096,16384,32768", &opt.nsizes, add_size);
	each_word("1,16", &opt.nchans, add_chans);
	opt.bytes = 64 * MIB;
	opt.repeat = 1;
	opt.nice = 19;
}

static void parse_one(int c, char *arg)
{
	switch (c) {
	case 'p':
		each_word(arg, &opt.npaths, add_path);
		break;
	case 'c':
		each_word(arg, &opt.nsuites, add_suite);
		break;
	case 'o':
		each_word(arg, &opt.nops, add_op);
		break;
	case 's':
		each_word(arg, &opt.nsizes, add_size);
		break;
	case 'n':
		each_word(arg, &opt.nchans, add_chans);
		break;
	case 'm':
		opt.bytes = (size_t)number(arg, 1024) * MIB;
		break;
	case 'w':
		opt.write = number(arg, MIB);
		break;
	case 'W':
		opt.window = number(arg, 4 * MIB - 1) * 1024;
		break;
	case 'M':
		opt.pair = !strcmp(arg, "pair");
		if (!opt.pair && strcmp(arg, "solo"))
			die("-M is solo or pair");
		break;
	case 'r':
		opt.repeat = number(arg, 1000);
		break;
	case 'N':
		opt.nice = strcmp(arg, "0") ? number(arg, 19) : 0;
		break;
	case 'C':
		open_perf(arg);
		break;
	}
}

void options_parse(int argc, char **argv)
{
	int c;

	set_defaults();
	while ((c = getopt(argc, argv, "p:c:o:s:n:m:w:W:M:r:N:C:h")) != -1) {
		if (c == 'h' || c == '?') {
			usage(c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
		parse_one(c, optarg);
	}
	if (optind < argc) {
		usage(stderr);
		exit(2);
	}
	/* a replayed stream waits for no window */
	if (!opt.window)
		opt.window = opt.pair ? 64 * MIB : UINT32_MAX;
	if (!opt.pair && opt.window < opt.bytes)
		die("-W of less than -m needs -M pair");
}
