// SPDX-License-Identifier: MIT
/*
 * What a disk would make the whole connection wait for, done by io_uring
 * meanwhile: READ of what is not in the page cache, fsync@openssh.com, WRITE
 * when one has taken long: then more dirty pages are there than the disk takes.
 *
 * draft 3: "the server may process non-overlapping read/write requests to the
 * same file in parallel, but overlapping reads and writes cannot be reordered
 * or parallelized": while something is under way only requests that change
 * nothing are taken, so that READs overlap with each other. Still they are
 * answered in their order: many a client writes to its file what it gets as it
 * comes, and resumes by the file's length after it was killed; it must have no
 * holes then.
 *
 * WRITEs are done one after the other: they may overlap, and a file takes one
 * at a time anyway. Nothing else is taken before they are done.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include "file/sftp_server.h"
#include "lib/clock.h"
#include "stream/ring.h"

#define AIO_OPS_MAX	64
#define AIO_BYTES_MAX	(4 * 1024 * 1024)
/* A file found in the cache so often in a row is asked seldom. */
#define WARM_SURE	4
#define WARM_SKIP	16
/* A WRITE that takes longer is slow, and those that follow are, too. */
#define SLOW_NS		UINT64_C(10000000)
#define SLOW_WRITES	64

/**
 * struct sftp_aio - an operation under way, or done and not answered
 * @op: in the ring
 * @next: of all there are, so that they are found when the process ends
 * @prev: where @next of the one before is
 * @sftp: its server, NULL: gone
 * @req_id: request
 * @slot: of its handle, which is not closed before the answer
 * @fd: file; the kernel holds it
 * @off: where to read or write
 * @write: WRITE
 * @len: bytes of @data that are wanted, or to be written; 0: fsync
 * @gathered: of a WRITE, bytes that are there
 * @got: bytes that are read or written
 * @since_ns: when it began, for a WRITE
 * @err: -errno it ended by
 * @done: to be answered
 * @data: header of the answer, then the bytes
 */
struct sftp_aio {
	struct ring_op op;
	struct sftp_aio *next;
	struct sftp_aio **prev;
	struct sftp *sftp;
	uint32_t req_id;
	uint32_t slot;
	int fd;
	uint64_t off;
	uint64_t since_ns;
	uint32_t len;
	uint32_t gathered;
	uint32_t got;
	bool write;
	int err;
	bool done;
	uint8_t data[];
};

static struct sftp_aio *all;
static struct sftp_aio **all_end = &all;

static void unlink_aio(struct sftp_aio *aio)
{
	*aio->prev = aio->next;
	if (aio->next)
		aio->next->prev = aio->prev;
	else
		all_end = aio->prev;
}

static void link_aio(struct sftp_aio *aio)
{
	aio->next = NULL;
	aio->prev = all_end;
	*all_end = aio;
	all_end = &aio->next;
}

void sftp_aio_free(struct sftp_aio *aio)
{
	if (aio->sftp) {
		aio->sftp->aio_ops--;
		aio->sftp->aio_writes -= aio->write;
		aio->sftp->aio_bytes -= aio->len;
	}
	unlink_aio(aio);
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
	if (aio->write)
		write_on(aio);
	else if (aio->len)
		read_on(aio);
	else
		ring_fsync(aio->sftp->ring, &aio->op, aio->fd);
}

/* The first WRITE that is not done, if it has its data and is not under way. */
static void next_write(struct sftp *sftp)
{
	struct sftp_aio *aio;

	for (aio = all; aio; aio = aio->next)
		if (aio->sftp == sftp && aio->write && !aio->done)
			break;
	if (!aio || aio->gathered < aio->len || !ring_op_idle(&aio->op))
		return;
	aio->since_ns = sftp_aio_now();
	write_on(aio);
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
	else
		aio->err = !res && aio->write ? -EIO : res;
	/* draft 6.4: "as many bytes as it can", so a short read goes on */
	if (res == -EINTR || (res > 0 && aio->got < aio->len)) {
		aio->err = 0;
		go_on(aio);
		return;
	}
	aio->done = true;
	sftp->aio_done++;
	if (aio->write) {
		sftp_aio_wrote(sftp, sftp_aio_now() - aio->since_ns);
		next_write(sftp);
	}
	sftp_run(sftp);
}

static struct sftp_aio *alloc_aio(struct sftp *sftp, uint32_t req_id, int fd,
				  uint32_t len)
{
	struct sftp_aio *aio;

	aio = malloc(sizeof(*aio) + (len ? SFTP_DATA_HDR_LEN + len : 0));
	if (!aio)
		return NULL;
	*aio = (struct sftp_aio){
		.op = { .fn = completed, .arg = aio },
		.sftp = sftp,
		.req_id = req_id,
		.fd = fd,
		.len = len,
	};
	link_aio(aio);
	sftp->aio_ops++;
	sftp->aio_bytes += len;
	return aio;
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
	/* Not past those that are under way. */
	if (sftp->aio_ops)
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
	struct sftp_aio *aio;

	aio = alloc_aio(sftp, rd->req_id, rd->handle->fd, rd->len);
	if (!aio)
		return -ENOMEM;
	aio->slot = rd->handle - sftp->handles.slot;
	aio->off = rd->off;
	read_on(aio);
	return 0;
}

uint64_t sftp_aio_now(void)
{
	return clock_ns(CLOCK_MONOTONIC_COARSE);
}

void sftp_aio_wrote(struct sftp *sftp, uint64_t ns)
{
	if (ns > SLOW_NS)
		sftp->slow_writes = SLOW_WRITES;
	else if (sftp->slow_writes)
		sftp->slow_writes--;
}

bool sftp_aio_wants_write(const struct sftp *sftp,
			  const struct sftp_handle *handle)
{
	/* Not past those that are under way. */
	return sftp->ring && handle->seekable &&
	       (sftp->slow_writes || sftp->aio_writes);
}

int sftp_aio_write(struct sftp *sftp, uint32_t len)
{
	struct sftp_write *wr = &sftp->write;
	struct sftp_aio *aio;

	aio = alloc_aio(sftp, wr->req_id, wr->handle->fd, len);
	if (!aio)
		return -ENOMEM;
	aio->slot = wr->handle - sftp->handles.slot;
	aio->off = wr->off;
	aio->write = true;
	sftp->aio_writes++;
	wr->aio = aio;
	return 0;
}

void sftp_aio_gather(struct sftp_aio *aio, const uint8_t *p, size_t n)
{
	if (!n)
		return;
	memcpy(aio->data + aio->gathered, p, n);
	aio->gathered += n;
	next_write(aio->sftp);
}

int sftp_aio_fsync(struct sftp *sftp, uint32_t req_id, int fd)
{
	struct sftp_aio *aio;

	aio = alloc_aio(sftp, req_id, fd, 0);
	if (!aio)
		return -ENOMEM;
	ring_fsync(sftp->ring, &aio->op, fd);
	return 0;
}

bool sftp_aio_blocks(const struct sftp *sftp, uint8_t type)
{
	bool full = sftp->aio_ops >= AIO_OPS_MAX ||
		    sftp->aio_bytes >= AIO_BYTES_MAX;

	if (!sftp->aio_ops)
		return false;
	if (sftp->aio_writes)
		return type != SSH_FXP_WRITE || full;
	switch (type) {
	case SSH_FXP_READ:
		return full;
	case SSH_FXP_LSTAT:
	case SSH_FXP_FSTAT:
	case SSH_FXP_STAT:
	case SSH_FXP_OPENDIR:
	case SSH_FXP_READDIR:
	case SSH_FXP_REALPATH:
	case SSH_FXP_READLINK:
		return false;
	default:
		return true;
	}
}

static int answer_write(struct sftp *sftp, const struct sftp_aio *aio)
{
	if (!aio->err) {
		sftp->handles.slot[aio->slot].bytes_written += aio->len;
		sftp->bytes_received += aio->len;
	}
	return sftp_reply_errno(sftp, aio->req_id, aio->err);
}

/* 0 taken by the channel; -EAGAIN; other -errno: dead */
static int answer(struct sftp *sftp, struct sftp_aio *aio)
{
	unsigned int flags = sftp->aio_done > 1 ? CHANNEL_MORE : 0;
	int err = aio->err;

	if (aio->write) {
		err = answer_write(sftp, aio);
		return err == SFTP_ANSWERED ? 0 : err;
	}
	if (aio->got) {
		sftp_fill_data_hdr(aio->data, aio->req_id, aio->got);
		err = channel_write(sftp->ch, aio->data,
				    SFTP_DATA_HDR_LEN + aio->got, flags);
		if (err)
			return err;
		sftp->held = flags;
		sftp->handles.slot[aio->slot].bytes_read += aio->got;
		sftp->bytes_sent += aio->got;
		return 0;
	}
	if (aio->len && !err)
		err = sftp_reply_status(sftp, aio->req_id, SSH_FX_EOF);
	else
		err = sftp_reply_errno(sftp, aio->req_id, err);
	return err == SFTP_ANSWERED ? 0 : err;
}

int sftp_aio_push(struct sftp *sftp)
{
	struct sftp_aio *aio, *next;
	int err;

	for (aio = all; aio && sftp->aio_done; aio = next) {
		next = aio->next;
		if (aio->sftp != sftp)
			continue;
		if (!aio->done)
			break;
		err = answer(sftp, aio);
		if (err)
			return err;
		sftp->aio_done--;
		sftp_aio_free(aio);
	}
	return 0;
}

void sftp_aio_exit(struct sftp *sftp)
{
	struct sftp_aio *aio, *next;

	for (aio = all; aio; aio = next) {
		next = aio->next;
		if (aio->sftp != sftp)
			continue;
		/* completed() frees it, if it has begun */
		if (ring_op_idle(&aio->op))
			sftp_aio_free(aio);
		else
			aio->sftp = NULL;
	}
}
