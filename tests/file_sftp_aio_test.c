// SPDX-License-Identifier: MIT
/* SFTP while disks are slow: what waits for what, and who is answered. */
#include <sys/uio.h>
#include "sftp_client.h"
#include "stream/ring.h"

#define FILE_LEN	(1024 * 1024)
#define READ_LEN	4096

/* In front of libc's: the page cache has what the test says. */
static bool cold;
static unsigned int asked;

ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	asked++;
	if (cold) {
		errno = EAGAIN;
		return -1;
	}
	return preadv(fd, iov, n, off);
}

FIXTURE(aio)
{
	struct client cl;
	struct ring ring;
	struct client_handle handle;
	uint8_t *data;
	uint32_t first_id;
};

FIXTURE_VARIANT(aio)
{
	size_t piece;
};

FIXTURE_VARIANT_ADD(aio, whole){ .piece = 0 };
FIXTURE_VARIANT_ADD(aio, sevens){ .piece = 7 };

FIXTURE_SETUP(aio)
{
	struct sftp_options options = { 0 };
	int err = ring_init(&self->ring, 8);

	if (err == -EPERM || err == -ENOSYS)
		SKIP(return, "no io_uring here");
	ASSERT_EQ(0, err);
	client_start(&self->cl, &options, &self->ring, variant->piece);
	client_init(&self->cl);
	self->data = make_data(FILE_LEN);
	make_file("file", self->data, FILE_LEN);
	ASSERT_EQ(SSH_FX_OK, client_open_file(&self->cl, "file",
					      SSH_FXF_READ | SSH_FXF_WRITE,
					      &self->handle));
	self->first_id = self->cl.req_id + 1;
	cold = true;
	asked = 0;
}

FIXTURE_TEARDOWN(aio)
{
	client_close(&self->cl);
	ring_exit(&self->ring);
	free(self->data);
}

static struct sftp *server_of(struct client *cl)
{
	return cl->fake.ch.arg;
}

static void queue_read(struct client *cl, const struct client_handle *handle,
		       uint64_t off, uint32_t len)
{
	client_fill_read(cl, handle, off, len);
	client_queue(cl);
}

static void queue_reads(struct client *cl, const struct client_handle *handle,
			int n, uint32_t len)
{
	int i;

	for (i = 0; i < n; i++)
		queue_read(cl, handle, (uint64_t)i * READ_LEN, len);
	fake_arrive_all(&cl->fake);
}

/* Take @n answers, in their order, to READs as queue_reads() sent them. */
static void take_reads(struct client *cl, const uint8_t *data,
		       uint32_t first_id, int n, uint32_t len)
{
	const uint8_t *p;
	size_t have;
	int i;

	for (i = 0; i < n; i++) {
		ASSERT_TRUE(client_take(cl));
		ASSERT_EQ(SSH_FXP_DATA, cl->type);
		ASSERT_EQ(first_id + i, cl->reply_id);
		ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &have));
		ASSERT_EQ(len, have);
		ASSERT_MEMEQ(data + (size_t)i * READ_LEN, p, len);
	}
}

TEST_F(aio, reads_overlap_and_are_all_answered)
{
	struct client *cl = &self->cl;

	queue_reads(cl, &self->handle, 40, READ_LEN);
	EXPECT_FALSE(client_take(cl));
	EXPECT_EQ(40, server_of(cl)->aio_ops);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(cl, self->data, self->first_id, 40, READ_LEN);
	EXPECT_FALSE(client_take(cl));
	EXPECT_FALSE(cl->fake.held);
}

/* A client that is killed halfway must not have holes in its file. */
TEST_F(aio, a_cached_read_goes_not_past_a_cold_one)
{
	struct client *cl = &self->cl;

	queue_reads(cl, &self->handle, 3, READ_LEN);
	cold = false;
	queue_read(cl, &self->handle, 3 * READ_LEN, READ_LEN);
	fake_arrive_all(&cl->fake);
	EXPECT_FALSE(client_take(cl));
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(cl, self->data, self->first_id, 4, READ_LEN);
	/* and then it is read at once again */
	queue_read(cl, &self->handle, 0, READ_LEN);
	fake_arrive_all(&cl->fake);
	take_reads(cl, self->data, self->first_id + 4, 1, READ_LEN);
}

TEST_F(aio, one_that_is_done_waits_for_those_before_it)
{
	struct client *cl = &self->cl;
	const uint8_t *p;
	size_t n;

	/* Only a second read finds the end of the file. */
	queue_read(cl, &self->handle, FILE_LEN - 10, READ_LEN);
	queue_read(cl, &self->handle, 0, READ_LEN);
	fake_arrive_all(&cl->fake);
	ASSERT_EQ(0, ring_run(&self->ring));
	ASSERT_TRUE(client_take(cl));
	ASSERT_EQ(self->first_id, cl->reply_id);
	ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &n));
	EXPECT_EQ(10, n);
	take_reads(cl, self->data, self->first_id + 1, 1, READ_LEN);
	EXPECT_FALSE(cl->fake.held);
}

static unsigned int most_ops;
static size_t most_bytes;

static void note_most(void *arg)
{
	struct sftp *sftp = arg;

	if (sftp->aio_ops > most_ops)
		most_ops = sftp->aio_ops;
	if (sftp->aio_bytes > most_bytes)
		most_bytes = sftp->aio_bytes;
}

TEST_F(aio, holds_a_bounded_number)
{
	self->ring.idle = note_most;
	self->ring.idle_arg = server_of(&self->cl);
	queue_reads(&self->cl, &self->handle, 200, 100);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(&self->cl, self->data, self->first_id, 200, 100);
	EXPECT_EQ(64, most_ops);
}

TEST_F(aio, holds_a_bounded_memory)
{
	self->ring.idle = note_most;
	self->ring.idle_arg = server_of(&self->cl);
	queue_reads(&self->cl, &self->handle, 100, SFTP_IO_MAX);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(&self->cl, self->data, self->first_id, 100, SFTP_IO_MAX);
	EXPECT_LE(4 << 20, most_bytes);
	EXPECT_GT((4 << 20) + SFTP_PACKET_MAX, most_bytes);
}

TEST_F(aio, a_write_waits_for_the_reads_before_it)
{
	struct client *cl = &self->cl;
	uint8_t other[READ_LEN] = { 0 }, now[READ_LEN];
	int fd;

	queue_reads(cl, &self->handle, 3, READ_LEN);
	client_fill_write(cl, &self->handle, 0, other, READ_LEN);
	client_queue(cl);
	fake_arrive_all(&cl->fake);
	/* nor has it begun */
	fd = open("file", O_RDONLY);
	ASSERT_EQ(READ_LEN, read(fd, now, READ_LEN));
	EXPECT_MEMEQ(self->data, now, READ_LEN);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(cl, self->data, self->first_id, 3, READ_LEN);
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(cl->req_id, cl->reply_id);
	EXPECT_EQ(SSH_FX_OK, client_status_of(cl));
	ASSERT_EQ(READ_LEN, pread(fd, now, READ_LEN, 0));
	EXPECT_MEMEQ(other, now, READ_LEN);
	close(fd);
}

TEST_F(aio, a_close_waits_for_the_reads_before_it)
{
	struct client *cl = &self->cl;

	queue_reads(cl, &self->handle, 3, READ_LEN);
	buf_put_string(client_begin(cl, SSH_FXP_CLOSE), self->handle.str,
		       self->handle.len);
	client_queue(cl);
	fake_arrive_all(&cl->fake);
	EXPECT_FALSE(client_take(cl));
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(cl, self->data, self->first_id, 3, READ_LEN);
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(SSH_FX_OK, client_status_of(cl));
}

TEST_F(aio, what_changes_nothing_goes_past_a_read)
{
	struct client *cl = &self->cl;
	struct sftp_attrs attrs;

	queue_reads(cl, &self->handle, 3, READ_LEN);
	buf_put_cstring(client_begin(cl, SSH_FXP_STAT), "file");
	EXPECT_EQ(SSH_FX_OK, client_attrs(cl, &attrs));
	EXPECT_EQ(FILE_LEN, attrs.size);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(cl, self->data, self->first_id, 3, READ_LEN);
}

TEST_F(aio, the_end_of_the_file)
{
	struct client *cl = &self->cl;
	const uint8_t *p;
	size_t n;

	queue_read(cl, &self->handle, FILE_LEN - 10, READ_LEN);
	fake_arrive_all(&cl->fake);
	ASSERT_EQ(0, ring_run(&self->ring));
	ASSERT_TRUE(client_take(cl));
	ASSERT_EQ(SSH_FXP_DATA, cl->type);
	ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &n));
	ASSERT_EQ(10, n);
	EXPECT_MEMEQ(self->data + FILE_LEN - 10, p, 10);

	/* cut off while it is read */
	queue_reads(cl, &self->handle, 2, READ_LEN);
	ASSERT_EQ(0, truncate("file", 0));
	ASSERT_EQ(0, ring_run(&self->ring));
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(SSH_FX_EOF, client_status_of(cl));
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(SSH_FX_EOF, client_status_of(cl));
}

TEST_F(aio, answers_wait_for_a_channel_that_takes_none)
{
	struct client *cl = &self->cl;

	queue_reads(cl, &self->handle, 5, READ_LEN);
	cl->fake.room = 2;
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(cl, self->data, self->first_id, 2, READ_LEN);
	EXPECT_FALSE(client_take(cl));
	fake_make_room(&cl->fake, -1);
	EXPECT_TRUE(client_take(cl));
	EXPECT_TRUE(client_take(cl));
	EXPECT_TRUE(client_take(cl));
	EXPECT_FALSE(client_take(cl));
	EXPECT_FALSE(cl->fake.held);
}

TEST_F(aio, the_peer_ends_before_its_answers)
{
	struct client *cl = &self->cl;

	queue_reads(cl, &self->handle, 5, READ_LEN);
	fake_send_end(&cl->fake);
	EXPECT_FALSE(cl->fake.finished);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(cl, self->data, self->first_id, 5, READ_LEN);
	EXPECT_TRUE(cl->fake.finished);
}

TEST_F(aio, the_channel_goes_meanwhile)
{
	struct client *cl = &self->cl;

	queue_reads(cl, &self->handle, 5, READ_LEN);
	channel_end(&cl->fake.ch);
	/* what is under way ends by itself, and its memory goes */
	ASSERT_EQ(0, ring_run(&self->ring));
	EXPECT_FALSE(client_take(cl));
	cl->fake.finished = true;
}

TEST_F(aio, the_connection_goes_meanwhile)
{
	queue_reads(&self->cl, &self->handle, 5, READ_LEN);
	channel_end(&self->cl.fake.ch);
	self->cl.fake.finished = true;
}

TEST_F(aio, fsync_is_done_meanwhile)
{
	struct client *cl = &self->cl;

	buf_put_string(client_begin_ext(cl, "fsync@openssh.com"),
		       self->handle.str, self->handle.len);
	client_queue(cl);
	client_fill_write(cl, &self->handle, 0, "x", 1);
	client_queue(cl);
	fake_arrive_all(&cl->fake);
	EXPECT_FALSE(client_take(cl));
	ASSERT_EQ(0, ring_run(&self->ring));
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(self->first_id, cl->reply_id);
	EXPECT_EQ(SSH_FX_OK, client_status_of(cl));
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(SSH_FX_OK, client_status_of(cl));
}

TEST_F(aio, fsync_tells_its_error)
{
	struct client *cl = &self->cl;
	struct client_handle fifo;

	ASSERT_EQ(0, mkfifo("fifo", 0600));
	ASSERT_EQ(SSH_FX_OK,
		  client_open_file(cl, "fifo", SSH_FXF_READ | SSH_FXF_WRITE,
				   &fifo));
	buf_put_string(client_begin_ext(cl, "fsync@openssh.com"), fifo.str,
		       fifo.len);
	client_queue(cl);
	fake_arrive_all(&cl->fake);
	ASSERT_EQ(0, ring_run(&self->ring));
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status_of(cl)); /* EINVAL */
}

TEST_F(aio, a_cached_file_is_read_at_once_and_seldom_asked_about)
{
	struct client *cl = &self->cl;

	cold = false;
	queue_reads(cl, &self->handle, 200, READ_LEN);
	take_reads(cl, self->data, self->first_id, 200, READ_LEN);
	EXPECT_EQ(0, server_of(cl)->aio_ops);
	EXPECT_LE(8, asked);
	EXPECT_GT(50, asked);
	/* but soon enough */
	cold = true;
	queue_reads(cl, &self->handle, 20, READ_LEN);
	EXPECT_NE(0, server_of(cl)->aio_ops);
	ASSERT_EQ(0, ring_run(&self->ring));
}

TEST_HARNESS_MAIN
