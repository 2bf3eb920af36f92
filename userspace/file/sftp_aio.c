// SPDX-License-Identifier: MIT
/*
 * What a disk would make the whole connection wait for, done by io_uring
 * meanwhile: READ of what is not in the page cache, fsync@openssh.com, WRITE
 * when one to that disk has taken long: then more dirty pages are there than it
 * takes. What may overtake what, sftp_order.c says.
 *
 * READs of a handle overlap with each other and are answered in their order:
 * many a client writes to its file what it gets as it comes, and resumes by the
 * file's length after it was killed; it must have no holes then. Those that
 * find no room wait, without memory for their bytes, for their turn.
 *
 * WRITEs of a handle are done one after the other: they may overlap, and a file
 * takes one at a time anyway.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include "file/sftp_server.h"
#include "lib/clock.h"
#include "stream/ring.h"

/*
 * Of what may be under way, in all channels, a handle has no more than is left
 * to the others: by itself half, and no file that stands still takes all. Where
 * nothing is left a channel has one, or nothing would wake it.
 */
#define AIO_BEGUN_MAX	128
#define AIO_BYTES_MAX	(8 * 1024 * 1024)
/* A file found in the cache so often in a row is asked seldom. */
#define WARM_SURE	4
#define WARM_SKIP	16
/* A WRITE that takes longer is slow, and those to its disk that follow, too. */
#define SLOW_NS		UINT64_C(10000000)
#define SLOW_WRITES	64

/**
 * struct sftp_aio - an operation: it waits for room, is under way, or is done
 * @op: in the ring
 * @next: of those of the server, or of those that have none
 * @prev: where @next of the one before is
 * @sftp: its server, NULL: gone
 * @req_id: request
 * @kind: what it does
 * @slot: of its handle, which is not closed before the answer
 * @turn: its place in the order of the handle's answers
 * @fd: file; the kernel holds it
 * @off: where to read or write
 * @since_ns: when it began, for a WRITE
 * @len: bytes that are wanted, or to be written
 * @gathered: of a WRITE, bytes that are there
 * @got: bytes that are read or written
 * @err: -errno it ended by
 * @begun: it has room
 * @done: to be answered
 * @data: header of the answer, then the bytes; NULL unless @begun
 */
struct sftp_aio {
	struct ring_op op;
	struct sftp_aio *next;
	struct sftp_aio **prev;
	struct sftp *sftp;
	uint32_t req_id;
	enum sftp_aio_kind kind;
	uint32_t slot;
	uint32_t turn;
	int fd;
	uint64_t off;
	uint64_t since_ns;
	uint32_t len;
	uint32_t gathered;
	uint32_t got;
	int err;
	bool begun;
	bool done;
	uint8_t *data;
};

/* Whose server has gone while they were under way */
static struct sftp_aio *orphans;
/* Of all channels, what is under way or done, and the memory it holds */
static unsigned int all_begun;
static size_t all_bytes;

void sftp_aio_init(struct sftp *sftp)
{
	sftp->aio_end = &sftp->aio;
}

static void link_aio(struct sftp_aio *aio)
{
	struct sftp *sftp = aio->sftp;

	aio->prev = sftp->aio_end;
	*sftp->aio_end = aio;
	sftp->aio_end = &aio->next;
}

static void unlink_aio(struct sftp_aio *aio)
{
	*aio->prev = aio->next;
	if (aio->next)
		aio->next->prev = aio->prev;
	else if (aio->sftp)
		aio->sftp->aio_end = aio->prev;
}

static struct sftp_handle *handle_of(const struct sftp_aio *aio)
{
	return &aio->sftp->handles.slot[aio->slot];
}

static void uncount(struct sftp_aio *aio)
{
	struct sftp *sftp = aio->sftp;
	struct sftp_handle *handle = handle_of(aio);

	sftp->aio_ops--;
	sftp->aio_kinds[aio->kind]--;
	handle->aio_ops--;
	if (!aio->begun)
		return;
	sftp->aio_begun--;
	handle->aio_begun--;
	handle->aio_bytes -= aio->len;
}

void sftp_aio_free(struct sftp_aio *aio)
{
	if (aio->sftp)
		uncount(aio);
	if (aio->begun) {
		all_begun--;
		all_bytes -= aio->len;
	}
	unlink_aio(aio);
	free(aio->data);
	free(aio);
}

static void read_on(struct sftp_aio *aio)
{
	ring_read(aio->sftp->ring, &aio->op, aio->fd,
		  aio->data + SFTP_DATA_HDR_LEN + aio->got, aio->len - aio->got,
		  aio->off + aio->got);
}

static void write_on(struct sftp_aio *aio)
{
	ring_write(aio->sftp->ring, &aio->op, aio->fd, aio->data + aio->got,
		   aio->len - aio->got, aio->off + aio->got);
}

static void go_on(struct sftp_aio *aio)
{
	switch (aio->kind) {
	case SFTP_AIO_READ:
		read_on(aio);
		break;
	case SFTP_AIO_WRITE:
		write_on(aio);
		break;
	default:
		ring_fsync(aio->sftp->ring, &aio->op, aio->fd);
	}
}

/* The first WRITE that is not done, if it has its data and is not under way. */
static void next_write(struct sftp *sftp, uint32_t slot)
{
	struct sftp_aio *aio;

	for (aio = sftp->aio; aio; aio = aio->next)
		if (aio->slot == slot && aio->kind == SFTP_AIO_WRITE &&
		    !aio->done)
			break;
	if (!aio || aio->gathered < aio->len || !ring_op_idle(&aio->op))
		return;
	aio->since_ns = sftp_aio_now();
	write_on(aio);
}

/* To be answered when those before it of its handle are. */
static void end(struct sftp_aio *aio, int err)
{
	aio->err = err;
	aio->done = true;
	aio->sftp->aio_done++;
	aio->sftp->aio_news = true;
}

static void completed(struct ring_op *op, int res)
{
	struct sftp_aio *aio = op->arg;
	struct sftp *sftp = aio->sftp;

	if (!sftp) {
		sftp_aio_free(aio);
		return;
	}
	if (res > 0)
		aio->got += res;
	/* draft 6.4: "as many bytes as it can", so a short read goes on */
	if (res == -EINTR || (res > 0 && aio->got < aio->len)) {
		go_on(aio);
		return;
	}
	if (aio->kind == SFTP_AIO_WRITE) {
		end(aio, res > 0 ? 0 : res ? res : -EIO);
		sftp_aio_wrote(sftp, handle_of(aio),
			       sftp_aio_now() - aio->since_ns);
		next_write(sftp, aio->slot);
	} else {
		end(aio, res < 0 ? res : 0);
	}
	sftp_run(sftp);
}

static struct sftp_aio *alloc_aio(struct sftp *sftp, enum sftp_aio_kind kind,
				  uint32_t req_id, struct sftp_handle *handle)
{
	struct sftp_aio *aio = malloc(sizeof(*aio));

	if (!aio)
		return NULL;
	*aio = (struct sftp_aio){
		.op = { .fn = completed, .arg = aio },
		.sftp = sftp,
		.req_id = req_id,
		.kind = kind,
		.slot = handle - sftp->handles.slot,
		.turn = handle->aio_next++,
		.fd = handle->fd,
	};
	link_aio(aio);
	sftp->aio_ops++;
	sftp->aio_kinds[kind]++;
	handle->aio_ops++;
	return aio;
}

bool sftp_aio_has_room(const struct sftp *sftp,
		       const struct sftp_handle *handle)
{
	return !sftp->aio_begun ||
	       (handle->aio_begun + all_begun < AIO_BEGUN_MAX &&
		handle->aio_bytes + all_bytes < AIO_BYTES_MAX);
}

/* It takes its room; 0 or -ENOMEM. */
static int begin(struct sftp_aio *aio)
{
	struct sftp_handle *handle = handle_of(aio);

	if (aio->len) {
		aio->data = malloc(SFTP_DATA_HDR_LEN + aio->len);
		if (!aio->data)
			return -ENOMEM;
	}
	aio->begun = true;
	all_begun++;
	all_bytes += aio->len;
	aio->sftp->aio_begun++;
	handle->aio_begun++;
	handle->aio_bytes += aio->len;
	return 0;
}

/* False: without memory it goes on waiting, if there is what to wait for. */
static bool begin_read(struct sftp_aio *aio)
{
	int err = begin(aio);

	if (!err) {
		read_on(aio);
		return true;
	}
	if (aio->sftp->aio_begun)
		return false;
	end(aio, err);
	aio->sftp->again = true;
	return true;
}

/* READs that wait for room, in their order. */
static void begin_reads(struct sftp *sftp)
{
	struct sftp_aio *aio;

	for (aio = sftp->aio; aio && sftp->aio_begun < sftp->aio_ops;
	     aio = aio->next) {
		if (aio->begun || aio->done ||
		    !sftp_aio_has_room(sftp, handle_of(aio)))
			continue;
		if (!begin_read(aio))
			break;
	}
}

static bool is_cold(int fd, uint64_t off)
{
	struct iovec iov;
	uint8_t byte;

	iov = (struct iovec){ .iov_base = &byte, .iov_len = 1 };
	return preadv2(fd, &iov, 1, off, RWF_NOWAIT) < 0 && errno == EAGAIN;
}

bool sftp_aio_wants(struct sftp *sftp, const struct sftp_read *rd)
{
	struct sftp_handle *handle = rd->handle;

	if (!sftp->ring)
		return false;
	/* Not past those before it. */
	if (handle->aio_ops)
		return true;
	if (handle->warm >= WARM_SURE && ++handle->warm % WARM_SKIP)
		return false;
	if (is_cold(handle->fd, rd->off) ||
	    (!handle->small && is_cold(handle->fd, rd->off + rd->len - 1))) {
		handle->warm = 0;
		return true;
	}
	if (handle->warm < WARM_SURE)
		handle->warm++;
	return false;
}

int sftp_aio_read(struct sftp *sftp, const struct sftp_read *rd)
{
	struct sftp_handle *handle = rd->handle;
	bool first = handle->aio_begun == handle->aio_ops;
	struct sftp_aio *aio;

	aio = alloc_aio(sftp, SFTP_AIO_READ, rd->req_id, handle);
	if (!aio)
		return -ENOMEM;
	aio->off = rd->off;
	aio->len = rd->len;
	if (first && sftp_aio_has_room(sftp, handle))
		(void)begin_read(aio);
	return 0;
}

uint64_t sftp_aio_now(void)
{
	return clock_ns(CLOCK_MONOTONIC_COARSE);
}

static struct sftp_slow *find_slow(struct sftp *sftp, dev_t dev)
{
	struct sftp_slow *slow;

	for (slow = sftp->slow; slow < sftp->slow + SFTP_SLOW_DISKS; slow++)
		if (slow->writes && slow->dev == dev)
			return slow;
	return NULL;
}

/* A place for one more; the one that is the least slow goes. */
static struct sftp_slow *add_slow(struct sftp *sftp, dev_t dev)
{
	struct sftp_slow *slow, *least = sftp->slow;

	for (slow = sftp->slow; slow < sftp->slow + SFTP_SLOW_DISKS; slow++)
		if (slow->writes < least->writes)
			least = slow;
	least->dev = dev;
	return least;
}

void sftp_aio_wrote(struct sftp *sftp, const struct sftp_handle *handle,
		    uint64_t ns)
{
	struct sftp_slow *slow = find_slow(sftp, handle->file.dev);

	if (ns > SLOW_NS) {
		if (!slow)
			slow = add_slow(sftp, handle->file.dev);
		slow->writes = SLOW_WRITES;
	} else if (slow) {
		slow->writes--;
	}
}

bool sftp_aio_wants_write(struct sftp *sftp, const struct sftp_handle *handle)
{
	/* Not past those before it. */
	return sftp->ring && handle->seekable &&
	       (handle->aio_ops || find_slow(sftp, handle->file.dev));
}

int sftp_aio_write(struct sftp *sftp, uint32_t len)
{
	struct sftp_write *wr = &sftp->write;
	struct sftp_aio *aio;
	int err;

	aio = alloc_aio(sftp, SFTP_AIO_WRITE, wr->req_id, wr->handle);
	if (!aio)
		return -ENOMEM;
	aio->off = wr->off;
	aio->len = len;
	err = begin(aio);
	if (err) {
		wr->handle->aio_next--;
		sftp_aio_free(aio);
		return err;
	}
	wr->aio = aio;
	return 0;
}

void sftp_aio_gather(struct sftp_aio *aio, const uint8_t *p, size_t n)
{
	if (!n)
		return;
	memcpy(aio->data + aio->gathered, p, n);
	aio->gathered += n;
	next_write(aio->sftp, aio->slot);
}

int sftp_aio_fsync(struct sftp *sftp, uint32_t req_id,
		   struct sftp_handle *handle)
{
	struct sftp_aio *aio;

	aio = alloc_aio(sftp, SFTP_AIO_FSYNC, req_id, handle);
	if (!aio)
		return -ENOMEM;
	(void)begin(aio); /* it needs no memory */
	go_on(aio);
	return 0;
}

bool sftp_aio_any(const struct sftp *sftp, enum sftp_aio_kind kind,
		  const struct sftp_file *file,
		  const struct sftp_handle *except)
{
	const struct sftp_handle *handle;
	const struct sftp_aio *aio;

	if (!sftp->aio_kinds[kind] || !file)
		return sftp->aio_kinds[kind];
	for (aio = sftp->aio; aio; aio = aio->next) {
		if (aio->kind != kind)
			continue;
		handle = handle_of(aio);
		if (handle != except && handle->file.dev == file->dev &&
		    handle->file.ino == file->ino)
			return true;
	}
	return false;
}

static int answer_write(struct sftp *sftp, const struct sftp_aio *aio)
{
	if (!aio->err) {
		handle_of(aio)->bytes_written += aio->len;
		sftp->bytes_received += aio->len;
	}
	return sftp_reply_errno(sftp, aio->req_id, aio->err);
}

/* 0 taken by the channel; -EAGAIN; other -errno: dead */
static int answer_data(struct sftp *sftp, struct sftp_aio *aio)
{
	unsigned int flags = sftp->aio_done > 1 ? CHANNEL_MORE : 0;
	int err;

	/* Not past the answers that are gathered. */
	err = sftp_push_replies(sftp, CHANNEL_MORE);
	if (err)
		return err;
	sftp_fill_data_hdr(aio->data, aio->req_id, aio->got);
	err = channel_write(sftp->ch, aio->data, SFTP_DATA_HDR_LEN + aio->got,
			    flags);
	if (err)
		return err;
	sftp->held = flags;
	handle_of(aio)->bytes_read += aio->got;
	sftp->bytes_sent += aio->got;
	return 0;
}

static int answer(struct sftp *sftp, struct sftp_aio *aio)
{
	int err = 0;

	if (aio->kind != SFTP_AIO_WRITE && aio->got)
		return answer_data(sftp, aio);
	if (sftp->reply_len >= SFTP_GATHER_OUT)
		err = sftp_push_replies(sftp, CHANNEL_MORE);
	if (err)
		return err;
	if (aio->kind == SFTP_AIO_WRITE)
		err = answer_write(sftp, aio);
	else if (aio->kind == SFTP_AIO_READ && !aio->err)
		err = sftp_reply_status(sftp, aio->req_id, SSH_FX_EOF);
	else
		err = sftp_reply_errno(sftp, aio->req_id, aio->err);
	return err == SFTP_ANSWERED ? 0 : err;
}

int sftp_aio_push(struct sftp *sftp)
{
	struct sftp_aio *aio, *next;
	int err = 0;

	if (!sftp->aio_news)
		return 0;
	for (aio = sftp->aio; aio; aio = next) {
		next = aio->next;
		if (!aio->done || aio->turn != handle_of(aio)->aio_turn)
			continue;
		err = answer(sftp, aio);
		if (err)
			break;
		handle_of(aio)->aio_turn++;
		sftp->aio_done--;
		sftp_aio_free(aio);
	}
	sftp->aio_news = err;
	begin_reads(sftp);
	return err;
}

/* It ends by itself; completed() frees it. */
static void orphan(struct sftp_aio *aio)
{
	unlink_aio(aio);
	aio->sftp = NULL;
	aio->next = orphans;
	aio->prev = &orphans;
	if (orphans)
		orphans->prev = &aio->next;
	orphans = aio;
}

void sftp_aio_exit(struct sftp *sftp)
{
	struct sftp_aio *aio, *next;

	if (sftp->aio)
		ring_submit(sftp->ring);
	for (aio = sftp->aio; aio; aio = next) {
		next = aio->next;
		if (ring_op_idle(&aio->op))
			sftp_aio_free(aio);
		else
			orphan(aio);
	}
}
