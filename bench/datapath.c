// SPDX-License-Identifier: MIT
/*
 * What does a byte cost in the data path? Instructions per byte of kSSH's
 * channel sockets, of kTLS and of plain TCP, over loopback, with static keys.
 * bench/datapath.sh runs this in the VM with -icount, where a nanosecond of
 * CPU time is an instruction; elsewhere the figures are nanoseconds.
 *
 *	file -> sender -> TCP -> recorder -> stream	measures the sender
 *	stream -> replayer -> TCP -> receiver		measures the receiver
 *
 * In these "solo" runs one end alone is what is measured; the other is a plain
 * TCP socket that keeps the stream, or sends what was kept. So all that kernel
 * threads do meanwhile is the work of the one end, and is charged to it. In
 * "pair" runs (-M pair) both ends are real, and windows are granted and spent;
 * what kernel threads do is then shown apart.
 *
 * The plain end is nice (-N): it gets what the other leaves of the processor, as
 * if the network were what is slow. Without that (-N 0) the scheduler decides
 * how much is moved at a turn, and figures of runs differ by some per cent.
 *
 * TCP's own work for an end is done in soft interrupts, on the time of whoever
 * runs: mostly the peer for acknowledgments, the sender for input. That is the
 * same for all paths. "other" is the time of the machine that is charged to
 * nobody: all of it, less idle time, both processes, kernel threads and us.
 *
 * Before it is measured each setup has moved 8 MiB, and the data were compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "datapath.h"
#include "datapath_opt.h"
#include "datapath_table.h"

#define WARM_BYTES	((size_t)8 * MIB)
#define LATE_USEC	50000

static int file, stream; /* what is sent, and what went over the wire */
static size_t stream_len;
static uint8_t *data;

void die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("datapath: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

/* A side of a run, in a process of its own. */
struct side {
	struct end end;
	enum op_id op; /* not of a raw end */
	struct work work;
	const struct setup *setup;
	bool sender;
	int up[2]; /* a byte each: ready, done */
	int down[2]; /* a byte: go; end of file: exit */
	pid_t pid;
};

/* What the processes find out. */
static struct shared {
	int64_t ns[2];
	size_t stream_len;
} *shared;

static void side_run(struct side *side)
{
	if (!side->end.raw)
		op_run(side->op, &side->work);
	else if (side->sender)
		raw_replay(side->end.sk, stream, stream_len);
	else
		shared->stream_len = raw_record(side->end.sk, stream);
}

static _Noreturn void side_main(struct side *side)
{
	int64_t ns;
	char c = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, side->sender ? "sender" : "receiver");
	if (side->end.raw && setpriority(PRIO_PROCESS, 0, opt.nice))
		die("nice: %s", strerror(errno));
	/* for the page tables of this process */
	if (mmap(data, opt.bytes, PROT_READ,
		 MAP_SHARED | MAP_FIXED | MAP_POPULATE, file, 0) == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	if (write(side->up[1], &c, 1) != 1 || read(side->down[0], &c, 1) != 1)
		_exit(1);
	ns = clock_process();
	side_run(side);
	shared->ns[!side->sender] = clock_process() - ns;
	if (side->sender)
		end_finish_tx(&side->end, side->setup);
	if (write(side->up[1], &c, 1) != 1)
		_exit(1);
	while (read(side->down[0], &c, 1) > 0)
		;
	_exit(0);
}

static void side_start(struct side *side)
{
	if (pipe2(side->up, O_CLOEXEC) || pipe2(side->down, O_CLOEXEC))
		die("pipe: %s", strerror(errno));
	fflush(NULL);
	side->pid = fork();
	if (side->pid < 0)
		die("fork: %s", strerror(errno));
	if (!side->pid) {
		close(side->down[1]);
		close(side->up[0]);
		side_main(side);
	}
	close(side->down[0]);
	close(side->up[1]);
}

static void side_wait(struct side *side)
{
	char c;

	if (read(side->up[0], &c, 1) != 1)
		die("the %s has failed", side->sender ? "sender" : "receiver");
}

static void side_go(struct side *side)
{
	char c = 0;

	if (write(side->down[1], &c, 1) != 1)
		die("go: %s", strerror(errno));
}

static void side_stop(struct side *side)
{
	close(side->down[1]);
	close(side->up[0]);
	waitpid(side->pid, NULL, 0);
}

static void perf_say(const char *word)
{
	char ack[16];

	if (!opt.perf)
		return;
	fprintf(opt.perf, "%s\n", word);
	fflush(opt.perf);
	if (!fgets(ack, sizeof(ack), opt.perf_ack))
		die("perf does not answer");
}

/* Both sides start at once; what the machine did meanwhile. */
static struct clocks sides_run(struct side *tx, struct side *rx, bool measured)
{
	struct clocks from, to, took, late;

	/* the receiver first: the sender must find it connected */
	side_start(rx);
	side_start(tx);
	side_wait(rx);
	side_wait(tx);
	if (measured)
		perf_say("enable");
	from = clocks_now();
	side_go(rx);
	side_go(tx);
	side_wait(tx);
	side_wait(rx);
	to = clocks_now();
	took = clocks_between(&from, &to);
	took.other = took.elapsed - took.idle - took.self - took.kthreads -
		     shared->ns[0] - shared->ns[1];
	/* kernel threads may have a last thing to do */
	usleep(LATE_USEC);
	from = to;
	to = clocks_now();
	late = clocks_between(&from, &to);
	took.kthreads += late.kthreads;
	if (measured)
		perf_say("disable");
	end_ask_driver(&tx->end, tx->setup, true);
	end_ask_driver(&rx->end, rx->setup, false);
	side_stop(tx);
	side_stop(rx);
	end_close(&tx->end);
	end_close(&rx->end);
	return took;
}

static struct work work_of(const struct setup *setup, const struct end *end,
			   size_t bytes)
{
	return (struct work){
		.end = end,
		.each = bytes / setup->nchan,
		.size = opt.write ? opt.write : setup->size,
		.file = file,
		.data = data,
	};
}

/* One of the two may be NULL: that end is raw. */
struct run {
	const struct setup *setup;
	const enum op_id *tx_op;
	const enum op_id *rx_op;
	size_t bytes;
	unsigned int write; /* instead of the usual size of writes */
	bool verify;
};

static void run(const struct run *run, struct result *res)
{
	struct side tx = { .setup = run->setup, .sender = true };
	struct side rx = { .setup = run->setup };
	struct clocks took;

	connect_ends(&tx.end, &rx.end);
	tx.end.raw = !run->tx_op;
	rx.end.raw = !run->rx_op;
	/* who receives first: keys must be there before data */
	end_set_up(&rx.end, run->setup, false);
	end_set_up(&tx.end, run->setup, true);
	tx.work = work_of(run->setup, &tx.end, run->bytes);
	rx.work = work_of(run->setup, &rx.end, run->bytes);
	rx.work.verify = run->verify;
	if (run->write)
		tx.work.size = run->write;
	if (run->tx_op)
		tx.op = *run->tx_op;
	if (run->rx_op)
		rx.op = *run->rx_op;

	took = sides_run(&tx, &rx, res);
	if (rx.end.raw)
		stream_len = shared->stream_len;
	if (!res)
		return;
	*res = (struct result){
		.setup = *run->setup,
		.pair = run->tx_op && run->rx_op,
		.tx_op = run->tx_op ? (int)*run->tx_op : -1,
		.rx_op = run->rx_op ? (int)*run->rx_op : -1,
		.bytes = run->bytes,
		.sender = shared->ns[0],
		.receiver = shared->ns[1],
		.kthreads = took.kthreads,
		.other = took.other,
	};
	memcpy(res->driver, run->tx_op ? tx.end.driver : rx.end.driver,
	       sizeof(res->driver));
}

static void measure(const struct run *how)
{
	struct result res;

	run(how, &res);
	table_add(&res);
}

/* Keep a stream of packets as large as may be. */
static void record(const struct setup *setup, size_t bytes)
{
	static const enum op_id op = OP_SEND;
	struct run how = { .setup = setup, .tx_op = &op, .bytes = bytes };

	if (setup->path == PATH_KSSH)
		how.write = 4 * setup->size;
	if (ftruncate(stream, 0))
		die("ftruncate: %s", strerror(errno));
	run(&how, NULL);
}

static void warm_up(const struct setup *setup, size_t bytes)
{
	static const enum op_id op = OP_RECV;
	struct run how = {
		.setup = setup, .rx_op = &op, .bytes = bytes, .verify = true
	};

	record(setup, bytes);
	run(&how, NULL);
}

static void measure_solo(const struct setup *setup, size_t bytes)
{
	struct run how = { .setup = setup, .bytes = bytes };
	int i, left = 0;

	for (i = 0; i < opt.nops; i++) {
		how.tx_op = &opt.ops[i];
		if (!op_sends(opt.ops[i]))
			left++;
		else if (setup->path != PATH_KTLS_NOPAD) /* of receivers */
			measure(&how);
	}
	if (!left)
		return;
	record(setup, bytes);
	how.tx_op = NULL;
	for (i = 0; i < opt.nops; i++) {
		how.rx_op = &opt.ops[i];
		if (!op_sends(opt.ops[i]))
			measure(&how);
	}
}

/* The first way to send with the first to receive, and so on. */
static void measure_pairs(const struct setup *setup, size_t bytes)
{
	struct run how = { .setup = setup, .bytes = bytes };
	const enum op_id *tx[LIST_MAX], *rx[LIST_MAX];
	int i, ntx = 0, nrx = 0;

	for (i = 0; i < opt.nops; i++) {
		if (op_sends(opt.ops[i]))
			tx[ntx++] = &opt.ops[i];
		else
			rx[nrx++] = &opt.ops[i];
	}
	if (!ntx || !nrx)
		die("a pair is an operation that sends and one that receives");
	for (i = 0; i < (ntx > nrx ? ntx : nrx); i++) {
		how.tx_op = tx[i % ntx];
		how.rx_op = rx[i % nrx];
		measure(&how);
	}
}

static void measure_setup(const struct setup *setup)
{
	size_t bytes = opt.bytes - opt.bytes % setup->nchan;
	size_t warm = bytes < WARM_BYTES ? bytes : WARM_BYTES;
	int i;

	warm_up(setup, warm - warm % setup->nchan);
	for (i = 0; i < opt.repeat; i++) {
		if (opt.pair)
			measure_pairs(setup, bytes);
		else
			measure_solo(setup, bytes);
	}
}

/* The @i-th of all combinations; of the last list fastest. */
static struct setup setup_of(int i)
{
	struct setup setup = { .nchan = opt.chans[i % opt.nchans] };

	/* what they all add up to has a limit */
	setup.window = opt.window / setup.nchan;
	i /= opt.nchans;
	setup.size = opt.sizes[i % opt.nsizes];
	i /= opt.nsizes;
	setup.suite = opt.suites[i % opt.nsuites];
	i /= opt.nsuites;
	setup.path = opt.paths[i];
	return setup;
}

static void measure_all(void)
{
	int i, n = opt.npaths * opt.nsuites * opt.nsizes * opt.nchans;

	for (i = 0; i < n; i++) {
		struct setup setup = setup_of(i);

		if (path_has_suite(setup.path, setup.suite) &&
		    (setup.nchan == 1 || setup.path == PATH_KSSH))
			measure_setup(&setup);
	}
}

/* Files in memory: what is sent, in no two places the same, and the stream. */
static void make_files(void)
{
	uint64_t x = 88172645463325252ULL, *p;

	file = memfd_create("file", MFD_CLOEXEC);
	stream = memfd_create("stream", MFD_CLOEXEC);
	if (file < 0 || stream < 0 || ftruncate(file, opt.bytes))
		die("memfd: %s", strerror(errno));
	data = mmap(NULL, opt.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file,
		    0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED || shared == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	for (p = (uint64_t *)data; p < (uint64_t *)(data + opt.bytes); p++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		*p = x;
	}
}

int main(int argc, char **argv)
{
	options_parse(argc, argv);
	make_files();
	measure_all();
	table_print(stderr);
	return 0;
}
