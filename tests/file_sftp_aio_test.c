// SPDX-License-Identifier: MIT
/* SFTP while disks are slow: what waits for what, and who is answered. */
#include <sys/resource.h>
#include "lib/mem.h"
#include "sftp_client.h"
#include "slow_disk.h"
#include "stream/ring.h"

#define FILE_LEN	(1024 * 1024)
#define READ_LEN	4096

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
	slow = false;
	in_place = 0;
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

/* One is slow; the next are not waited for. */
static void make_slow(FIXTURE_DATA(aio) *self)
{
	slow = true;
	ASSERT_EQ(SSH_FX_OK, client_write(&self->cl, &self->handle, 0, "s", 1));
	slow = false;
	ASSERT_LE(1, in_place);
	in_place = 0;
	self->first_id = self->cl.req_id + 1;
}

static void queue_write(struct client *cl, const struct client_handle *handle,
			uint64_t off, const void *p, size_t len)
{
	client_fill_write(cl, handle, off, p, len);
	client_queue(cl);
}

/* @n pieces of @data from @off on, each of READ_LEN */
static void queue_writes(FIXTURE_DATA(aio) *self, const uint8_t *data,
			 uint64_t off, int n)
{
	int i;

	for (i = 0; i < n; i++)
		queue_write(&self->cl, &self->handle, off + i * READ_LEN,
			    data + i * READ_LEN, READ_LEN);
	fake_arrive_all(&self->cl.fake);
}

static void take_status(FIXTURE_DATA(aio) *self, int n, uint32_t status)
{
	int i;

	for (i = 0; i < n; i++) {
		ASSERT_TRUE(client_take(&self->cl));
		ASSERT_EQ(self->first_id++, self->cl.reply_id);
		ASSERT_EQ(status, client_status_of(&self->cl));
	}
}

static void expect_content(const char *path, uint64_t off, const void *want,
			   size_t len)
{
	uint8_t *have = malloc(len);
	int fd = open(path, O_RDONLY);

	ASSERT_EQ(len, pread(fd, have, len, off));
	EXPECT_MEMEQ(want, have, len);
	close(fd);
	free(have);
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

	if (sftp->aio_begun > most_ops)
		most_ops = sftp->aio_begun;
	if (sftp->handles.slot[0].aio_bytes > most_bytes)
		most_bytes = sftp->handles.slot[0].aio_bytes;
}

static void note_from_now(FIXTURE_DATA(aio) *self)
{
	self->ring.idle = note_most;
	self->ring.idle_arg = server_of(&self->cl);
	most_ops = 0;
	most_bytes = 0;
}

static void open_other(struct client *cl, const char *name, const void *data,
		       size_t len, struct client_handle *handle)
{
	make_file(name, data, len);
	ASSERT_EQ(SSH_FX_OK,
		  client_open_file(cl, name, SSH_FXF_READ | SSH_FXF_WRITE,
				   handle));
}

TEST_F(aio, holds_a_bounded_number)
{
	note_from_now(self);
	queue_reads(&self->cl, &self->handle, 200, 100);
	EXPECT_EQ(200, server_of(&self->cl)->aio_ops);
	EXPECT_EQ(64, server_of(&self->cl)->aio_begun);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(&self->cl, self->data, self->first_id, 200, 100);
	EXPECT_EQ(64, most_ops);
	EXPECT_EQ(0, server_of(&self->cl)->aio_ops);
}

TEST_F(aio, holds_a_bounded_memory)
{
	note_from_now(self);
	queue_reads(&self->cl, &self->handle, 100, SFTP_IO_MAX);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(&self->cl, self->data, self->first_id, 100, SFTP_IO_MAX);
	EXPECT_LE(4 << 20, most_bytes);
	EXPECT_GT((4 << 20) + SFTP_PACKET_MAX, most_bytes);
}

TEST_F(aio, takes_no_more_than_may_wait)
{
	struct client *cl = &self->cl;

	queue_reads(cl, &self->handle, SFTP_AIO_MAX + 10, 10);
	EXPECT_EQ(SFTP_AIO_MAX, server_of(cl)->aio_ops);
	EXPECT_EQ(64, server_of(cl)->aio_begun);
	ASSERT_EQ(0, ring_run(&self->ring));
	ASSERT_EQ(0, server_of(cl)->aio_ops);
	take_reads(cl, self->data, self->first_id, FILE_LEN / READ_LEN, 10);
}

/* Answers come for one file while another's disk gives nothing. */
TEST_F(aio, a_file_does_not_wait_for_another)
{
	struct client *cl = &self->cl;
	struct client_handle other;
	uint32_t id;

	open_other(cl, "other", self->data, FILE_LEN, &other);
	self->first_id = cl->req_id + 1;
	queue_reads(cl, &self->handle, 200, READ_LEN);
	/* cached: at once */
	cold = false;
	id = cl->req_id + 1;
	queue_reads(cl, &other, 3, READ_LEN);
	take_reads(cl, self->data, id, 3, READ_LEN);
	/* or not: it finds room, however many of the first are there */
	cold = true;
	server_of(cl)->handles.slot[1].warm = 0;
	queue_reads(cl, &other, 3, READ_LEN);
	EXPECT_EQ(203, server_of(cl)->aio_ops);
	EXPECT_EQ(67, server_of(cl)->aio_begun);
	EXPECT_FALSE(client_take(cl));
	ASSERT_EQ(0, ring_run(&self->ring));
	EXPECT_EQ(0, server_of(cl)->aio_ops);
}

/* An error is told before the bytes of what was asked for after it. */
TEST_F(aio, a_status_goes_before_the_data_behind_it)
{
	struct client *cl = &self->cl;

	queue_read(cl, &self->handle, FILE_LEN, READ_LEN);
	queue_reads(cl, &self->handle, 2, READ_LEN);
	cl->fake.room = 0;
	ASSERT_EQ(0, ring_run(&self->ring));
	fake_make_room(&cl->fake, -1);
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(self->first_id, cl->reply_id);
	EXPECT_EQ(SSH_FX_EOF, client_status_of(cl));
	take_reads(cl, self->data, self->first_id + 1, 2, READ_LEN);
}

/* However many answers there are, none is lost while the peer takes none. */
TEST_F(aio, many_statuses_wait_for_a_channel_that_takes_none)
{
	struct client *cl = &self->cl;
	uint32_t id;
	int fd, i;

	/* Every READ fails, and that with a long text. */
	fd = open("/", O_RDONLY | O_DIRECTORY);
	ASSERT_LE(0, dup2(fd, server_of(cl)->handles.slot[0].fd));
	close(fd);
	for (i = 0; i < SFTP_AIO_MAX - 1; i++)
		queue_read(cl, &self->handle, FILE_LEN, READ_LEN);
	fake_arrive_all(&cl->fake);
	cl->fake.room = 0;
	for (i = 0; i < 2000; i++) {
		buf_put_cstring(client_begin(cl, SSH_FXP_STAT), "file");
		client_queue(cl);
	}
	fake_arrive_all(&cl->fake);
	EXPECT_LE(SFTP_BACKLOG_MAX, server_of(cl)->reply_len);
	ASSERT_EQ(0, ring_run(&self->ring));
	ASSERT_FALSE(cl->fake.finished);
	fake_make_room(&cl->fake, -1);
	ASSERT_EQ(0, ring_run(&self->ring));
	id = self->first_id;
	for (i = 0; client_take(cl); i++)
		id += cl->reply_id == id;
	EXPECT_EQ(SFTP_AIO_MAX - 1 + 2000, i);
	EXPECT_EQ(self->first_id + SFTP_AIO_MAX - 1, id);
}

static void start_second(FIXTURE_DATA(aio) *self, struct client *cl)
{
	struct sftp_options options = { 0 };

	client_start(cl, &options, &self->ring, 0);
	client_init(cl);
	ASSERT_EQ(0, chdir(self->cl.dir)); /* both work there */
}

/* However much other channels have under way. */
TEST_F(aio, a_channel_has_room_for_one)
{
	struct client *cl = &self->cl, cl2;
	struct client_handle files[8], file2;
	size_t i;

	start_second(self, &cl2);
	ASSERT_EQ(SSH_FX_OK,
		  client_open_file(&cl2, "file", SSH_FXF_READ, &file2));
	for (i = 0; i < ARRAY_SIZE(files); i++)
		open_other(cl, "other", self->data, FILE_LEN, &files[i]);
	for (i = 0; i < ARRAY_SIZE(files); i++)
		queue_reads(cl, &files[i], 100, READ_LEN);
	EXPECT_GT(130, server_of(cl)->aio_begun);
	queue_reads(&cl2, &file2, 10, READ_LEN);
	EXPECT_LE(1, server_of(&cl2)->aio_begun);
	EXPECT_GT(10, server_of(&cl2)->aio_begun);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(&cl2, self->data, cl2.req_id - 9, 10, READ_LEN);
	EXPECT_EQ(0, server_of(cl)->aio_ops);
	client_close(&cl2);
}

/* The number of a file that was closed may be that of another soon. */
TEST_F(aio, a_write_goes_to_its_file_after_the_channel_went)
{
	struct client *cl = &self->cl, cl2;
	struct client_handle other;

	start_second(self, &cl2);
	make_file("other", "other", 5);
	make_slow(self);
	queue_write(cl, &self->handle, 0, "12345", 5);
	fake_arrive_all(&cl->fake);
	channel_end(&cl->fake.ch);
	cl->fake.finished = true;
	ASSERT_EQ(SSH_FX_OK,
		  client_open_file(&cl2, "other", SSH_FXF_WRITE, &other));
	ASSERT_EQ(0, ring_run(&self->ring));
	expect_content("other", 0, "other", 5);
	expect_content("file", 0, "12345", 5);
	client_close(&cl2);
}

TEST_F(aio, a_file_is_written_while_another_is_read)
{
	struct client *cl = &self->cl;
	struct client_handle other;
	uint32_t id;

	open_other(cl, "other", "", 0, &other);
	id = cl->req_id + 1;
	queue_reads(cl, &self->handle, 3, READ_LEN);
	EXPECT_EQ(SSH_FX_OK, client_write(cl, &other, 0, "abc", 3));
	expect_content("other", 0, "abc", 3);
	EXPECT_EQ(SSH_FX_OK, client_on_handle(cl, SSH_FXP_CLOSE, &other));
	EXPECT_EQ(SSH_FX_OK,
		  client_open_file(cl, "other", SSH_FXF_READ, &other));
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(cl, self->data, id, 3, READ_LEN);
}

/* By another handle it is the same file. */
TEST_F(aio, a_write_by_another_handle_waits_for_the_reads_before_it)
{
	struct client *cl = &self->cl;
	struct client_handle other;
	uint32_t id;

	ASSERT_EQ(0, link("file", "link"));
	ASSERT_EQ(SSH_FX_OK,
		  client_open_file(cl, "link", SSH_FXF_WRITE, &other));
	id = cl->req_id + 1;
	queue_reads(cl, &self->handle, 3, READ_LEN);
	queue_write(cl, &other, 0, "abc", 3);
	fake_arrive_all(&cl->fake);
	EXPECT_FALSE(client_take(cl));
	expect_content("file", 0, self->data, 3);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(cl, self->data, id, 3, READ_LEN);
	self->first_id = id + 3;
	take_status(self, 1, SSH_FX_OK);
	expect_content("file", 0, "abc", 3);
}

TEST_F(aio, an_open_that_truncates_waits_for_the_reads_before_it)
{
	struct client *cl = &self->cl;
	struct client_handle other;

	queue_reads(cl, &self->handle, 3, READ_LEN);
	client_fill_open(cl, "file", SSH_FXF_WRITE | SSH_FXF_TRUNC, -1);
	client_queue(cl);
	fake_arrive_all(&cl->fake);
	EXPECT_FALSE(client_take(cl));
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(cl, self->data, self->first_id, 3, READ_LEN);
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(SSH_FX_OK, client_handle_of(cl, &other));
}

TEST_F(aio, an_open_that_truncates_another_file_does_not)
{
	struct client *cl = &self->cl;
	struct client_handle other;
	uint32_t flags = SSH_FXF_WRITE | SSH_FXF_CREAT | SSH_FXF_TRUNC;

	make_file("other", "abc", 3);
	queue_reads(cl, &self->handle, 3, READ_LEN);
	EXPECT_EQ(SSH_FX_OK, client_open_file(cl, "other", flags, &other));
	EXPECT_EQ(SSH_FX_OK, client_open_file(cl, "new", flags, &other));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE,
		  client_open_file(cl, "no/new", flags, &other));
	EXPECT_TRUE(file_is("other", "", 0));
	ASSERT_EQ(0, ring_run(&self->ring));
	take_reads(cl, self->data, self->first_id, 3, READ_LEN);
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

TEST_F(aio, writes_that_are_fast_are_done_in_place)
{
	queue_writes(self, self->data + 1, 0, 50);
	take_status(self, 50, SSH_FX_OK);
	EXPECT_EQ(0, server_of(&self->cl)->aio_ops);
}

TEST_F(aio, slow_writes_are_done_meanwhile)
{
	make_slow(self);
	queue_writes(self, self->data + 1, 0, 40);
	EXPECT_FALSE(client_take(&self->cl));
	EXPECT_EQ(0, in_place);
	EXPECT_EQ(40, server_of(&self->cl)->aio_ops);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_status(self, 40, SSH_FX_OK);
	EXPECT_FALSE(client_take(&self->cl));
	expect_content("file", 0, self->data + 1, 40 * READ_LEN);
	EXPECT_EQ(40 * READ_LEN + 1, server_of(&self->cl)->bytes_received);
	EXPECT_FALSE(self->cl.fake.held);
}

TEST_F(aio, writes_keep_their_order)
{
	int i;

	make_slow(self);
	for (i = 0; i < 30; i++)
		queue_write(&self->cl, &self->handle, i, self->data + i * 8,
			    READ_LEN);
	fake_arrive_all(&self->cl.fake);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_status(self, 30, SSH_FX_OK);
	expect_content("file", 29, self->data + 29 * 8, READ_LEN);
	expect_content("file", 28, self->data + 28 * 8, 1);
}

TEST_F(aio, a_read_waits_for_the_writes_before_it)
{
	struct client *cl = &self->cl;
	uint32_t id;

	make_slow(self);
	queue_writes(self, self->data + 1, 0, 3);
	id = cl->req_id + 1;
	queue_read(cl, &self->handle, 0, READ_LEN);
	buf_put_string(client_begin(cl, SSH_FXP_CLOSE), self->handle.str,
		       self->handle.len);
	client_queue(cl);
	fake_arrive_all(&cl->fake);
	EXPECT_EQ(3, server_of(cl)->aio_ops);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_status(self, 3, SSH_FX_OK);
	take_reads(cl, self->data + 1, id, 1, READ_LEN);
	self->first_id = id + 1;
	take_status(self, 1, SSH_FX_OK);
}

TEST_F(aio, what_tells_a_length_waits_for_the_writes_before_it)
{
	struct client *cl = &self->cl;
	struct sftp_attrs attrs;
	struct buf *req;

	make_slow(self);
	queue_writes(self, self->data, FILE_LEN, 2);
	req = client_begin(cl, SSH_FXP_FSTAT);
	buf_put_string(req, self->handle.str, self->handle.len);
	client_queue(cl);
	fake_arrive_all(&cl->fake);
	EXPECT_FALSE(client_take(cl));
	ASSERT_EQ(0, ring_run(&self->ring));
	take_status(self, 2, SSH_FX_OK);
	ASSERT_TRUE(client_take(cl));
	ASSERT_EQ(SSH_FXP_ATTRS, cl->type);
	ASSERT_EQ(0, sftp_attrs_get(&cl->reply, &attrs));
	EXPECT_EQ(FILE_LEN + 2 * READ_LEN, attrs.size);
}

TEST_F(aio, holds_a_bounded_number_of_writes)
{
	make_slow(self);
	note_from_now(self);
	queue_writes(self, self->data, 0, 200);
	EXPECT_EQ(64, server_of(&self->cl)->aio_ops);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_status(self, 200, SSH_FX_OK);
	EXPECT_EQ(64, most_ops);
}

TEST_F(aio, holds_a_bounded_memory_of_writes)
{
	int i;

	make_slow(self);
	for (i = 0; i < 40; i++)
		queue_write(&self->cl, &self->handle, 0, self->data,
			    SFTP_IO_MAX);
	fake_arrive_all(&self->cl.fake);
	EXPECT_LE(4 << 20, server_of(&self->cl)->handles.slot[0].aio_bytes);
	EXPECT_GT((4 << 20) + SFTP_PACKET_MAX,
		  server_of(&self->cl)->handles.slot[0].aio_bytes);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_status(self, 40, SSH_FX_OK);
}

TEST_F(aio, writes_are_in_place_again_when_the_disk_is_fast)
{
	make_slow(self);
	queue_writes(self, self->data + 1, 0, 64);
	EXPECT_EQ(64, server_of(&self->cl)->aio_ops);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_status(self, 64, SSH_FX_OK);
	EXPECT_EQ(0, in_place);
	queue_writes(self, self->data + 1, 0, 5);
	EXPECT_EQ(0, server_of(&self->cl)->aio_ops);
	take_status(self, 5, SSH_FX_OK);
	EXPECT_LE(5, in_place);
}

TEST_F(aio, a_write_that_fails_is_the_one_that_is_told)
{
	const struct rlimit limit = { FILE_LEN, RLIM_INFINITY };
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };

	make_slow(self);
	queue_writes(self, self->data + 1, FILE_LEN - 2 * READ_LEN, 4);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	ASSERT_EQ(0, ring_run(&self->ring));
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &none));
	take_status(self, 2, SSH_FX_OK);
	take_status(self, 2, SSH_FX_FAILURE);
	queue_writes(self, self->data, 0, 1);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_status(self, 1, SSH_FX_OK);
}

static void open_on_other_disk(struct client *cl, struct client_handle *handle)
{
	open_other(cl, "other", "", 0, handle);
	server_of(cl)->handles.slot[1].file.dev++;
}

TEST_F(aio, a_fast_disk_does_not_wait_for_a_slow_one)
{
	struct client *cl = &self->cl;
	struct client_handle other;
	uint32_t id;

	open_on_other_disk(cl, &other);
	make_slow(self);
	queue_writes(self, self->data + 1, 0, 3);
	id = cl->req_id + 1;
	EXPECT_EQ(SSH_FX_OK, client_write(cl, &other, 0, "abc", 3));
	queue_read(cl, &other, 1, 2);
	EXPECT_EQ(id + 1, cl->req_id);
	cold = false;
	fake_arrive_all(&cl->fake);
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(id + 1, cl->reply_id);
	EXPECT_EQ(3, server_of(cl)->aio_ops);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_status(self, 3, SSH_FX_OK);
}

TEST_F(aio, two_slow_disks_are_both_slow)
{
	struct client *cl = &self->cl;
	struct client_handle other;
	int i;

	open_on_other_disk(cl, &other);
	make_slow(self);
	slow = true;
	EXPECT_EQ(SSH_FX_OK, client_write(cl, &other, 0, "x", 1));
	slow = false;
	in_place = 0;
	self->first_id = cl->req_id + 1;
	for (i = 0; i < 20; i++) {
		queue_write(cl, i % 2 ? &other : &self->handle, i, "x", 1);
		fake_arrive_all(&cl->fake);
		ASSERT_EQ(0, ring_run(&self->ring));
	}
	EXPECT_EQ(0, in_place);
	take_status(self, 20, SSH_FX_OK);
}

TEST_F(aio, slow_writes_append)
{
	struct client *cl = &self->cl;
	struct client_handle log;

	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "log",
					      SSH_FXF_WRITE | SSH_FXF_CREAT |
						      SSH_FXF_APPEND,
					      &log));
	make_slow(self);
	queue_write(cl, &log, 0, "one ", 4);
	queue_write(cl, &log, 0, "two ", 4);
	queue_write(cl, &log, 1, "three", 5);
	fake_arrive_all(&cl->fake);
	ASSERT_EQ(0, ring_run(&self->ring));
	take_status(self, 3, SSH_FX_OK);
	expect_content("log", 0, "one two three", 13);
}

TEST_F(aio, the_input_ends_within_a_slow_write)
{
	struct client *cl = &self->cl;

	make_slow(self);
	queue_write(cl, &self->handle, 0, self->data + 1, READ_LEN);
	queue_write(cl, &self->handle, READ_LEN, self->data, READ_LEN);
	cl->fake.in_len = cl->fake.in_ready + READ_LEN + 200;
	fake_arrive_all(&cl->fake);
	fake_send_end(&cl->fake);
	ASSERT_EQ(0, ring_run(&self->ring));
	EXPECT_TRUE(cl->fake.finished);
	expect_content("file", 0, self->data + 1, READ_LEN);
}

TEST_F(aio, the_channel_goes_within_a_slow_write)
{
	struct client *cl = &self->cl;

	make_slow(self);
	queue_write(cl, &self->handle, 0, self->data + 1, READ_LEN);
	queue_write(cl, &self->handle, READ_LEN, self->data, READ_LEN);
	fake_arrive(&cl->fake, READ_LEN + 200);
	channel_end(&cl->fake.ch);
	ASSERT_EQ(0, ring_run(&self->ring));
	cl->fake.finished = true;
}

TEST_HARNESS_MAIN
