// SPDX-License-Identifier: MIT
/* SFTP: what each request does to files. */
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include "sftp_client.h"

#define RW	(SSH_FXF_READ | SSH_FXF_WRITE)
#define NEW	(SSH_FXF_WRITE | SSH_FXF_CREAT | SSH_FXF_TRUNC)

FIXTURE(sftp)
{
	struct client cl;
};
FIXTURE_VARIANT(sftp)
{
	size_t piece;
};
FIXTURE_VARIANT_ADD(sftp, whole){ .piece = 0 };
FIXTURE_VARIANT_ADD(sftp, pieces){ .piece = 11 };
FIXTURE_SETUP(sftp)
{
	client_open(&self->cl, false, variant->piece);
	client_init(&self->cl);
}
FIXTURE_TEARDOWN(sftp)
{
	client_close(&self->cl);
}

FIXTURE(read_only)
{
	struct client cl;
};
FIXTURE_SETUP(read_only)
{
	client_open(&self->cl, true, 5);
	client_init(&self->cl);
	make_file("f", "0123456789", 10);
}
FIXTURE_TEARDOWN(read_only)
{
	client_close(&self->cl);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? 0 : st.st_mode & 07777;
}

static bool exists(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

/* ---- OPEN, CLOSE ---- */

TEST_F(sftp, open_makes_files_with_the_mode_asked_for_and_the_umask)
{
	static const struct {
		int mode;
		mode_t want;
	} modes[] = {
		{ -1, 0644 },
		{ 0600, 0600 },
		{ 0777, 0755 },
		{ 0100666, 0644 },
		{ 0, 0 },
	};
	struct client_handle handle;
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		EXPECT_EQ(SSH_FX_OK, client_open_mode(&self->cl, "f", NEW,
						      modes[i].mode, &handle));
		EXPECT_EQ(modes[i].want, mode_of("f"));
		EXPECT_EQ(SSH_FX_OK,
			  client_on_handle(&self->cl, SSH_FXP_CLOSE, &handle));
		unlink("f");
	}
}

TEST_F(sftp, open_honours_its_flags)
{
	struct client *cl = &self->cl;
	struct client_handle handle;

	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, client_open_file(cl, "f", RW, &handle));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE,
		  client_open_file(cl, "d/f", NEW, &handle));
	make_file("f", "0123456789", 10);
	EXPECT_EQ(SSH_FX_FAILURE,
		  client_open_file(cl, "f", NEW | SSH_FXF_EXCL, &handle));
	EXPECT_TRUE(file_is("f", "0123456789", 10));
	EXPECT_EQ(SSH_FX_OK,
		  client_open_file(cl, "f", SSH_FXF_WRITE | SSH_FXF_CREAT,
				   &handle));
	EXPECT_EQ(SSH_FX_OK, client_write(cl, &handle, 2, "xy", 2));
	EXPECT_TRUE(file_is("f", "01xy456789", 10));
	EXPECT_EQ(SSH_FX_OK, client_open_file(cl, "f", NEW, &handle));
	EXPECT_TRUE(file_is("f", "", 0));
}

TEST_F(sftp, open_for_append_writes_at_the_end_whatever_the_offset)
{
	struct client_handle handle;

	make_file("f", "0123", 4);
	EXPECT_EQ(SSH_FX_OK,
		  client_open_file(&self->cl, "f",
				   SSH_FXF_WRITE | SSH_FXF_APPEND, &handle));
	EXPECT_EQ(SSH_FX_OK, client_write(&self->cl, &handle, 0, "45", 2));
	EXPECT_EQ(SSH_FX_OK, client_write(&self->cl, &handle, 99, "67", 2));
	EXPECT_TRUE(file_is("f", "01234567", 8));
}

TEST_F(sftp, open_of_a_fifo_does_not_wait)
{
	struct client *cl = &self->cl;
	struct client_handle rd, wr;
	const uint8_t *p;
	size_t len;

	ASSERT_EQ(0, mkfifo("p", 0600));
	EXPECT_EQ(SSH_FX_FAILURE,
		  client_open_file(cl, "p", SSH_FXF_WRITE, &wr));
	EXPECT_EQ(SSH_FX_OK, client_open_file(cl, "p", SSH_FXF_READ, &rd));
	EXPECT_EQ(SSH_FX_EOF, client_read(cl, &rd, 0, 10, &p, &len));
	EXPECT_EQ(SSH_FX_OK, client_open_file(cl, "p", SSH_FXF_WRITE, &wr));
	EXPECT_EQ(SSH_FX_FAILURE, client_read(cl, &rd, 0, 10, &p, &len));
	EXPECT_EQ(SSH_FX_OK, client_write(cl, &wr, 0, "0123456789", 10));
	EXPECT_EQ(SSH_FX_OK, client_read(cl, &rd, 5, 4, &p, &len));
	EXPECT_EQ(4, len);
	EXPECT_EQ(SSH_FX_OK, client_on_handle(cl, SSH_FXP_CLOSE, &rd));
	/* EPIPE, and no signal */
	EXPECT_EQ(SSH_FX_FAILURE, client_write(cl, &wr, 0, "x", 1));
}

TEST_F(sftp, close_is_once)
{
	struct client *cl = &self->cl;
	struct client_handle handle, dir;

	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "f", NEW, &handle));
	ASSERT_EQ(SSH_FX_OK, client_opendir(cl, ".", &dir));
	EXPECT_EQ(SSH_FX_OK, client_on_handle(cl, SSH_FXP_CLOSE, &handle));
	EXPECT_EQ(SSH_FX_FAILURE, client_on_handle(cl, SSH_FXP_CLOSE, &handle));
	EXPECT_EQ(SSH_FX_OK, client_on_handle(cl, SSH_FXP_CLOSE, &dir));
	EXPECT_EQ(SSH_FX_FAILURE, client_on_handle(cl, SSH_FXP_CLOSE, &dir));
	EXPECT_EQ(SSH_FX_FAILURE, client_on_handle(cl, SSH_FXP_READDIR, &dir));
	EXPECT_EQ(SSH_FX_FAILURE, client_write(cl, &handle, 0, "x", 1));
}

TEST_F(sftp, handles_that_are_none_are_refused_everywhere)
{
	static const struct client_handle bad[] = {
		{ { 0 }, 0 },
		{ { 0, 0, 0, 0, 0, 0, 0, 1 }, 8 },
		{ { 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1 }, 8 },
		{ { 0 }, 64 },
	};
	static const char *const exts[] = {
		"fsync@openssh.com",
		"fstatvfs@openssh.com",
	};
	struct client *cl = &self->cl;
	const uint8_t *p;
	size_t len;
	size_t i, j;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(SSH_FX_FAILURE,
			  client_on_handle(cl, SSH_FXP_CLOSE, &bad[i]));
		EXPECT_EQ(SSH_FX_FAILURE,
			  client_on_handle(cl, SSH_FXP_READDIR, &bad[i]));
		EXPECT_EQ(SSH_FX_FAILURE,
			  client_on_handle(cl, SSH_FXP_FSTAT, &bad[i]));
		EXPECT_EQ(SSH_FX_FAILURE,
			  client_on_handle(cl, SSH_FXP_FSETSTAT, &bad[i]));
		EXPECT_EQ(SSH_FX_FAILURE,
			  client_read(cl, &bad[i], 0, 1, &p, &len));
		EXPECT_EQ(SSH_FX_FAILURE,
			  client_write(cl, &bad[i], 0, "0123456789", 10));
		for (j = 0; j < 2; j++) {
			buf_put_string(client_begin_ext(cl, exts[j]),
				       bad[i].str, bad[i].len);
			EXPECT_EQ(SSH_FX_FAILURE, client_status(cl));
		}
	}
}

TEST_F(sftp, handles_of_the_other_kind_are_refused)
{
	struct client *cl = &self->cl;
	struct client_handle file, dir;
	const uint8_t *p;
	size_t len;

	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "f", NEW | RW, &file));
	ASSERT_EQ(SSH_FX_OK, client_opendir(cl, ".", &dir));
	EXPECT_EQ(SSH_FX_FAILURE, client_on_handle(cl, SSH_FXP_READDIR, &file));
	EXPECT_EQ(SSH_FX_FAILURE, client_read(cl, &dir, 0, 1, &p, &len));
	EXPECT_EQ(SSH_FX_FAILURE, client_write(cl, &dir, 0, "x", 1));
}

TEST_F(sftp, too_many_handles_are_refused_and_harmless)
{
	struct rlimit rl = { .rlim_cur = 100, .rlim_max = 4096 };
	struct client_handle handle;
	struct client *cl = &self->cl;
	uint64_t max;
	int n = 0;

	client_begin_ext(cl, "limits@openssh.com");
	ASSERT_EQ(SSH_FXP_EXTENDED_REPLY, client_call(cl));
	buf_get_u64(&cl->reply, &max);
	EXPECT_EQ(256 * 1024, max);
	buf_get_u64(&cl->reply, &max);
	EXPECT_EQ(255 * 1024, max);
	buf_get_u64(&cl->reply, &max);
	EXPECT_EQ(255 * 1024, max);
	ASSERT_EQ(0, buf_get_u64(&cl->reply, &max));
	EXPECT_LE(16, max);
	/* The limit of the system may be met first. */
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &rl));
	while (!client_open_file(cl, "/dev/null", SSH_FXF_READ, &handle))
		ASSERT_GT(1100, ++n);
	EXPECT_LT(16, n);
	EXPECT_EQ(1000 + SSH_FXP_ATTRS, client_on_path(cl, SSH_FXP_STAT, "."));
	EXPECT_EQ(SSH_FX_FAILURE, client_opendir(cl, ".", &handle));
	EXPECT_EQ(SSH_FX_OK, client_on_handle(cl, SSH_FXP_CLOSE, &handle));
	EXPECT_EQ(SSH_FX_OK, client_opendir(cl, ".", &handle));
}

/* ---- READ ---- */

TEST_F(sftp, read_gives_what_is_there_and_then_the_end)
{
	struct client *cl = &self->cl;
	struct client_handle handle;
	const uint8_t *p;
	size_t len;

	make_file("f", "0123456789", 10);
	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "f", SSH_FXF_READ, &handle));
	ASSERT_EQ(SSH_FX_OK, client_read(cl, &handle, 3, 4, &p, &len));
	ASSERT_EQ(4, len);
	EXPECT_MEMEQ("3456", p, 4);
	ASSERT_EQ(SSH_FX_OK, client_read(cl, &handle, 8, 4, &p, &len));
	ASSERT_EQ(2, len);
	EXPECT_MEMEQ("89", p, 2);
	EXPECT_EQ(SSH_FX_EOF, client_read(cl, &handle, 10, 4, &p, &len));
	EXPECT_EQ(SSH_FX_EOF,
		  client_read(cl, &handle, INT64_MAX - 9, 4, &p, &len));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE,
		  client_read(cl, &handle, 1ULL << 63, 4, &p, &len));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE,
		  client_read(cl, &handle, UINT64_MAX, 4, &p, &len));
	EXPECT_EQ(SSH_FX_OK, client_read(cl, &handle, 3, 0, &p, &len));
	EXPECT_EQ(0, len);
}

TEST_F(sftp, read_of_more_than_the_limit_gives_the_limit)
{
	uint8_t *data = make_data(600000);
	struct client_handle handle;
	const uint8_t *p;
	size_t len;

	make_file("f", data, 600000);
	ASSERT_EQ(SSH_FX_OK,
		  client_open_file(&self->cl, "f", SSH_FXF_READ, &handle));
	ASSERT_EQ(SSH_FX_OK,
		  client_read(&self->cl, &handle, 7, UINT32_MAX, &p, &len));
	ASSERT_EQ(255 * 1024, len);
	EXPECT_MEMEQ(data + 7, p, len);
	free(data);
}

TEST_F(sftp, read_of_a_file_that_has_grown_gives_all_that_is_asked_for)
{
	uint8_t *data = make_data(100000);
	struct client_handle handle;
	const uint8_t *p;
	size_t len;

	make_file("f", data, 10);
	ASSERT_EQ(SSH_FX_OK,
		  client_open_file(&self->cl, "f", SSH_FXF_READ, &handle));
	ASSERT_EQ(SSH_FX_OK,
		  client_read(&self->cl, &handle, 3, 100000, &p, &len));
	ASSERT_EQ(7, len);
	EXPECT_MEMEQ(data + 3, p, 7);
	make_file("f", data, 100000);
	ASSERT_EQ(SSH_FX_OK,
		  client_read(&self->cl, &handle, 3, 90000, &p, &len));
	ASSERT_EQ(90000, len);
	EXPECT_MEMEQ(data + 3, p, 90000);
	free(data);
}

TEST_F(sftp, read_needs_a_handle_open_for_it)
{
	struct client_handle handle;
	const uint8_t *p;
	size_t len;

	ASSERT_EQ(SSH_FX_OK, client_open_file(&self->cl, "f", NEW, &handle));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE,
		  client_read(&self->cl, &handle, 0, 1, &p, &len));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE,
		  client_read(&self->cl, &handle, 0, 0, &p, &len));
}

TEST_F(sftp, read_of_a_device_or_directory_is_answered)
{
	struct client *cl = &self->cl;
	struct client_handle handle;
	const uint8_t *p;
	size_t len;

	ASSERT_EQ(SSH_FX_OK,
		  client_open_file(cl, "/dev/zero", SSH_FXF_READ, &handle));
	ASSERT_EQ(SSH_FX_OK, client_read(cl, &handle, 5, 100000, &p, &len));
	EXPECT_EQ(32 * 1024, len);
	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, ".", SSH_FXF_READ, &handle));
	EXPECT_EQ(SSH_FX_FAILURE, client_read(cl, &handle, 0, 1, &p, &len));
	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "/proc/self/status",
					      SSH_FXF_READ, &handle));
	ASSERT_EQ(SSH_FX_OK, client_read(cl, &handle, 0, 100000, &p, &len));
	EXPECT_LT(100, len);
}

/* ---- WRITE ---- */

TEST_F(sftp, write_puts_bytes_where_it_should)
{
	uint8_t *data = make_data(SFTP_PACKET_MAX);
	struct client *cl = &self->cl;
	struct client_handle handle;

	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "f", NEW, &handle));
	EXPECT_EQ(SSH_FX_OK,
		  client_write(cl, &handle, 0, data, SFTP_PACKET_MAX));
	EXPECT_TRUE(file_is("f", data, SFTP_PACKET_MAX));
	EXPECT_EQ(SSH_FX_OK, client_write(cl, &handle, 1000, "x", 1));
	data[1000] = 'x';
	EXPECT_TRUE(file_is("f", data, SFTP_PACKET_MAX));
	EXPECT_EQ(SSH_FX_OK, client_write(cl, &handle, 1 << 30, "", 0));
	EXPECT_TRUE(file_is("f", data, SFTP_PACKET_MAX));
	free(data);
}

TEST_F(sftp, write_far_behind_the_end_leaves_a_hole)
{
	struct client_handle handle;
	struct stat st;

	ASSERT_EQ(SSH_FX_OK, client_open_file(&self->cl, "f", NEW, &handle));
	EXPECT_EQ(SSH_FX_OK,
		  client_write(&self->cl, &handle, 1LL << 33, "end", 3));
	ASSERT_EQ(0, stat("f", &st));
	EXPECT_EQ((1LL << 33) + 3, st.st_size);
}

TEST_F(sftp, write_at_impossible_offsets_is_refused_and_in_step)
{
	struct client *cl = &self->cl;
	struct client_handle handle;

	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "f", NEW, &handle));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE,
		  client_write(cl, &handle, 1ULL << 63, "0123456789", 10));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE,
		  client_write(cl, &handle, INT64_MAX - 3, "0123456789", 10));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE,
		  client_write(cl, &handle, UINT64_MAX, "0123456789", 10));
	EXPECT_EQ(SSH_FX_OK, client_write(cl, &handle, 0, "ok", 2));
	EXPECT_TRUE(file_is("f", "ok", 2));
}

TEST_F(sftp, write_that_fails_midway_is_answered_once_and_in_step)
{
	struct rlimit rl = { .rlim_cur = 100, .rlim_max = 1 << 20 };
	uint8_t *data = make_data(1000);
	struct client *cl = &self->cl;
	struct client_handle handle;

	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "f", NEW, &handle));
	/* EFBIG, and no signal */
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &rl));
	EXPECT_EQ(SSH_FX_FAILURE, client_write(cl, &handle, 0, data, 1000));
	rl.rlim_cur = rl.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &rl));
	EXPECT_TRUE(file_is("f", data, 100));
	EXPECT_EQ(SSH_FX_OK, client_write(cl, &handle, 0, data, 1000));
	EXPECT_TRUE(file_is("f", data, 1000));
	free(data);
}

TEST_F(sftp, write_that_failed_is_not_taken_up_again)
{
	struct rlimit rl = { .rlim_cur = 4, .rlim_max = 1 << 20 };
	struct client *cl = &self->cl;
	struct client_handle handle;

	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "f", NEW, &handle));
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &rl));
	client_fill_write(cl, &handle, 0, "0123456789", 10);
	client_queue(cl);
	fake_arrive(&cl->fake, buf_len(&cl->req) - 4);
	EXPECT_FALSE(client_take(cl));
	rl.rlim_cur = rl.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &rl));
	fake_arrive_all(&cl->fake);
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(SSH_FX_FAILURE, client_status_of(cl));
	EXPECT_TRUE(file_is("f", "0123", 4));
}

TEST_F(sftp, write_to_a_full_disk_says_so)
{
	struct client *cl = &self->cl;
	struct client_handle handle;
	uint32_t status;
	char *message;

	ASSERT_EQ(SSH_FX_OK,
		  client_open_file(cl, "/dev/full", SSH_FXF_WRITE, &handle));
	client_fill_write(cl, &handle, 0, "0123456789", 10);
	ASSERT_EQ(SSH_FXP_STATUS, client_call(cl));
	ASSERT_EQ(0, buf_get_u32(&cl->reply, &status));
	EXPECT_EQ(SSH_FX_FAILURE, status);
	ASSERT_EQ(0, buf_get_cstring(&cl->reply, &message));
	EXPECT_STREQ("No space left on device", message);
	free(message);
}

TEST_F(sftp, write_needs_a_handle_open_for_it)
{
	struct client_handle handle;

	make_file("f", "old", 3);
	ASSERT_EQ(SSH_FX_OK,
		  client_open_file(&self->cl, "f", SSH_FXF_READ, &handle));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE,
		  client_write(&self->cl, &handle, 0, "0123456789", 10));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE,
		  client_write(&self->cl, &handle, 0, "", 0));
	EXPECT_TRUE(file_is("f", "old", 3));
}

/* ---- directories ---- */

/* All names of ".": marks those that are numbers, counts the rest. */
static int read_all(struct client *cl, const struct client_handle *handle,
		    uint8_t *seen, uint32_t n_seen)
{
	struct sftp_attrs attrs;
	char *name, *line;
	uint32_t n, i;
	int others = 0;

	for (;;) {
		buf_put_string(client_begin(cl, SSH_FXP_READDIR), handle->str,
			       handle->len);
		if (client_call(cl) != SSH_FXP_NAME)
			break;
		EXPECT_GE(34000, buf_len(&cl->reply));
		ASSERT_EQ(0, buf_get_u32(&cl->reply, &n));
		ASSERT_LT(0, n);
		while (n--) {
			ASSERT_EQ(0, buf_get_cstring(&cl->reply, &name));
			ASSERT_EQ(0, buf_get_cstring(&cl->reply, &line));
			ASSERT_EQ(0, sftp_attrs_get(&cl->reply, &attrs));
			EXPECT_STREQ(name, line + strlen(line) - strlen(name));
			EXPECT_EQ(15, attrs.flags);
			i = strtoul(name, NULL, 10);
			if (i && i < n_seen)
				seen[i]++;
			else
				others++;
			free(name);
			free(line);
		}
		EXPECT_EQ(0, buf_len(&cl->reply));
	}
	EXPECT_EQ(SSH_FX_EOF, client_status_of(cl));
	return others;
}

#define MANY	3000

TEST_F(sftp, readdir_lists_every_entry_once)
{
	static uint8_t seen[MANY];
	struct client_handle handle;
	char name[64];
	int i;

	for (i = 1; i < MANY; i++) {
		snprintf(name, sizeof(name), "%d-with-a-longer-name", i);
		make_file(name, "", 0);
	}
	ASSERT_EQ(SSH_FX_OK, client_opendir(&self->cl, ".", &handle));
	EXPECT_EQ(2, read_all(&self->cl, &handle, seen, MANY));
	for (i = 1; i < MANY; i++)
		EXPECT_EQ(1, seen[i]);
	EXPECT_EQ(SSH_FX_EOF,
		  client_on_handle(&self->cl, SSH_FXP_READDIR, &handle));
}

TEST_F(sftp, names_of_255_odd_bytes_pass_through)
{
	struct client *cl = &self->cl;
	struct client_handle handle;
	uint8_t seen[300] = { 0 };
	char name[257];
	int i;

	memset(name, 'x', sizeof(name));
	for (i = 1; i < 256; i++)
		name[i - 1] = i == '/' ? ' ' : i;
	name[255] = '\0';
	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, name, NEW, &handle));
	EXPECT_TRUE(exists(name));
	for (i = 1; i < 300; i++) {
		char many[256];

		snprintf(many, sizeof(many), "%0255d", i);
		make_file(many, "", 0);
	}
	ASSERT_EQ(SSH_FX_OK, client_opendir(cl, "", &handle));
	EXPECT_EQ(3, read_all(cl, &handle, seen, 300));
	for (i = 1; i < 300; i++)
		EXPECT_EQ(1, seen[i]);
	name[255] = 'x';
	name[256] = '\0';
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_open_file(cl, name, NEW, &handle));
}

TEST_F(sftp, opendir_wants_a_directory)
{
	struct client_handle handle;

	make_file("f", "", 0);
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, client_opendir(&self->cl, "f", &handle));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE,
		  client_opendir(&self->cl, "none", &handle));
	ASSERT_EQ(0, mkfifo("p", 0600));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, client_opendir(&self->cl, "p", &handle));
}

static uint32_t make_dir(struct client *cl, const char *path, int mode)
{
	struct buf *req = client_begin(cl, SSH_FXP_MKDIR);

	buf_put_cstring(req, path);
	buf_put_u32(req, mode < 0 ? 0 : SSH_FILEXFER_ATTR_PERMISSIONS);
	if (mode >= 0)
		buf_put_u32(req, mode);
	return client_status(cl);
}

TEST_F(sftp, mkdir_and_rmdir)
{
	struct client *cl = &self->cl;

	EXPECT_EQ(SSH_FX_OK, make_dir(cl, "d", -1));
	EXPECT_EQ(0755, mode_of("d"));
	EXPECT_EQ(SSH_FX_OK, make_dir(cl, "d/e", 040700));
	EXPECT_EQ(0700, mode_of("d/e"));
	EXPECT_EQ(SSH_FX_FAILURE, make_dir(cl, "d", -1));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, make_dir(cl, "x/y", -1));
	EXPECT_EQ(SSH_FX_FAILURE, client_on_path(cl, SSH_FXP_RMDIR, "d"));
	EXPECT_EQ(SSH_FX_FAILURE, client_on_path(cl, SSH_FXP_REMOVE, "d/e"));
	EXPECT_EQ(SSH_FX_OK, client_on_path(cl, SSH_FXP_RMDIR, "d/e"));
	EXPECT_EQ(SSH_FX_OK, client_on_path(cl, SSH_FXP_RMDIR, "d"));
	EXPECT_FALSE(exists("d"));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, client_on_path(cl, SSH_FXP_RMDIR, "d"));
	make_file("f", "", 0);
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, client_on_path(cl, SSH_FXP_RMDIR, "f"));
	EXPECT_EQ(SSH_FX_OK, client_on_path(cl, SSH_FXP_REMOVE, "f"));
	EXPECT_FALSE(exists("f"));
}

/* ---- names ---- */

TEST_F(sftp, rename_never_overwrites)
{
	struct client *cl = &self->cl;

	make_file("a", "a", 1);
	make_file("b", "b", 1);
	ASSERT_EQ(0, mkdir("d", 0755));
	ASSERT_EQ(0, mkdir("e", 0755));
	ASSERT_EQ(0, symlink("none", "l"));
	EXPECT_EQ(SSH_FX_FAILURE, client_on_two(cl, SSH_FXP_RENAME, "a", "b"));
	EXPECT_EQ(SSH_FX_FAILURE, client_on_two(cl, SSH_FXP_RENAME, "a", "a"));
	EXPECT_EQ(SSH_FX_FAILURE, client_on_two(cl, SSH_FXP_RENAME, "a", "l"));
	EXPECT_EQ(SSH_FX_FAILURE, client_on_two(cl, SSH_FXP_RENAME, "d", "e"));
	EXPECT_TRUE(file_is("a", "a", 1));
	EXPECT_TRUE(file_is("b", "b", 1));
	EXPECT_EQ(SSH_FX_OK, client_on_two(cl, SSH_FXP_RENAME, "a", "c"));
	EXPECT_FALSE(exists("a"));
	EXPECT_TRUE(file_is("c", "a", 1));
	EXPECT_EQ(SSH_FX_OK, client_on_two(cl, SSH_FXP_RENAME, "d", "e/d"));
	EXPECT_TRUE(exists("e/d"));
	EXPECT_EQ(SSH_FX_OK, client_on_two(cl, SSH_FXP_RENAME, "l", "m"));
	EXPECT_TRUE(exists("m"));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE,
		  client_on_two(cl, SSH_FXP_RENAME, "e", "e/d/e"));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE,
		  client_on_two(cl, SSH_FXP_RENAME, "none", "x"));
}

TEST_F(sftp, posix_rename_overwrites)
{
	struct client *cl = &self->cl;

	make_file("a", "a", 1);
	make_file("b", "b", 1);
	buf_put_cstring(client_begin_ext(cl, "posix-rename@openssh.com"), "a");
	buf_put_cstring(&cl->req, "b");
	EXPECT_EQ(SSH_FX_OK, client_status(cl));
	EXPECT_TRUE(file_is("b", "a", 1));
	EXPECT_FALSE(exists("a"));
}

TEST_F(sftp, links_are_made_and_read)
{
	struct client *cl = &self->cl;
	struct stat st;
	char *name;

	make_file("f", "", 0);
	/* target, then link, as OpenSSH has it */
	EXPECT_EQ(SSH_FX_OK, client_on_two(cl, SSH_FXP_SYMLINK, "f", "s"));
	ASSERT_EQ(SSH_FX_OK, client_name(cl, SSH_FXP_READLINK, "s", &name));
	EXPECT_STREQ("f", name);
	free(name);
	EXPECT_EQ(SSH_FX_FAILURE, client_on_two(cl, SSH_FXP_SYMLINK, "f", "s"));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE,
		  client_on_path(cl, SSH_FXP_READLINK, "f"));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE,
		  client_on_path(cl, SSH_FXP_READLINK, "none"));
	buf_put_cstring(client_begin_ext(cl, "hardlink@openssh.com"), "f");
	buf_put_cstring(&cl->req, "h");
	EXPECT_EQ(SSH_FX_OK, client_status(cl));
	ASSERT_EQ(0, stat("h", &st));
	EXPECT_EQ(2, st.st_nlink);
}

TEST_F(sftp, realpath_answers_with_an_absolute_name)
{
	struct client *cl = &self->cl;
	char want[128];
	char *name;

	ASSERT_EQ(SSH_FX_OK, client_name(cl, SSH_FXP_REALPATH, ".", &name));
	EXPECT_STREQ(cl->dir, name);
	free(name);
	ASSERT_EQ(SSH_FX_OK, client_name(cl, SSH_FXP_REALPATH, "", &name));
	EXPECT_STREQ(cl->dir, name);
	free(name);
	snprintf(want, sizeof(want), "%s/none", cl->dir);
	ASSERT_EQ(SSH_FX_OK,
		  client_name(cl, SSH_FXP_REALPATH, "./none", &name));
	EXPECT_STREQ(want, name);
	free(name);
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE,
		  client_on_path(cl, SSH_FXP_REALPATH, "none/none"));
}

TEST(relative_names_begin_at_the_start_directory)
{
	struct sftp_options options = { .start_dir = "/tmp" };
	char want[128];
	struct client cl;
	char *name;

	client_open(&cl, false, 0);
	ASSERT_EQ(0, mkdir("sub", 0755));
	fake_send_end(&cl.fake);
	fake_exit(&cl.fake);
	fake_init(&cl.fake);
	snprintf(want, sizeof(want), "%s/sub", cl.dir);
	options.start_dir = want;
	ASSERT_EQ(0, sftp_start(&cl.fake.ch, &options));
	client_init(&cl);
	ASSERT_EQ(SSH_FX_OK, client_name(&cl, SSH_FXP_REALPATH, ".", &name));
	EXPECT_STREQ(want, name);
	free(name);
	EXPECT_EQ(SSH_FX_OK, make_dir(&cl, "x", -1));
	EXPECT_TRUE(exists("sub/x"));
	EXPECT_EQ(SSH_FX_OK, client_on_two(&cl, SSH_FXP_SYMLINK, "x", "s"));
	ASSERT_EQ(SSH_FX_OK, client_name(&cl, SSH_FXP_READLINK, "s", &name));
	EXPECT_STREQ("x", name);
	free(name);
	ASSERT_EQ(SSH_FX_OK, client_name(&cl, SSH_FXP_REALPATH, "/", &name));
	EXPECT_STREQ("/", name);
	free(name);
	client_close(&cl);
}

/* ---- attributes ---- */

TEST_F(sftp, stat_follows_links_and_lstat_does_not)
{
	struct client *cl = &self->cl;
	struct client_handle handle;
	struct sftp_attrs attrs;

	make_file("f", "12345", 5);
	ASSERT_EQ(0, symlink("f", "s"));
	buf_put_cstring(client_begin(cl, SSH_FXP_STAT), "s");
	ASSERT_EQ(SSH_FX_OK, client_attrs(cl, &attrs));
	EXPECT_EQ(15, attrs.flags);
	EXPECT_EQ(5, attrs.size);
	EXPECT_EQ(S_IFREG | 0644, attrs.perm);
	EXPECT_EQ(getuid(), attrs.uid);
	buf_put_cstring(client_begin(cl, SSH_FXP_LSTAT), "s");
	ASSERT_EQ(SSH_FX_OK, client_attrs(cl, &attrs));
	EXPECT_EQ(1, attrs.size);
	EXPECT_EQ(S_IFLNK | 0777, attrs.perm);
	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "s", SSH_FXF_READ, &handle));
	buf_put_string(client_begin(cl, SSH_FXP_FSTAT), handle.str, handle.len);
	ASSERT_EQ(SSH_FX_OK, client_attrs(cl, &attrs));
	EXPECT_EQ(5, attrs.size);
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE,
		  client_on_path(cl, SSH_FXP_STAT, "none"));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, client_on_path(cl, SSH_FXP_STAT, "f/x"));
}

static void fill_attrs(struct client *cl, uint32_t flags, uint64_t size,
		       uint32_t perm, uint32_t time)
{
	struct sftp_attrs attrs = {
		.flags = flags,
		.size = size,
		.uid = getuid(),
		.gid = getgid(),
		.perm = perm,
		.atime = time,
		.mtime = time + 1,
	};

	sftp_attrs_put(&cl->req, &attrs);
}

TEST_F(sftp, setstat_sets_what_is_asked_for)
{
	struct client *cl = &self->cl;
	struct stat st;

	make_file("f", "12345", 5);
	buf_put_cstring(client_begin(cl, SSH_FXP_SETSTAT), "f");
	fill_attrs(cl, 15, 3, 0106751, 1000);
	EXPECT_EQ(SSH_FX_OK, client_status(cl));
	ASSERT_EQ(0, stat("f", &st));
	EXPECT_EQ(3, st.st_size);
	EXPECT_EQ(S_IFREG | 06751, st.st_mode);
	EXPECT_EQ(1000, st.st_atime);
	EXPECT_EQ(1001, st.st_mtime);
	buf_put_cstring(client_begin(cl, SSH_FXP_SETSTAT), "f");
	fill_attrs(cl, 0, 0, 0, 0);
	EXPECT_EQ(SSH_FX_OK, client_status(cl));
	buf_put_cstring(client_begin(cl, SSH_FXP_SETSTAT), "none");
	fill_attrs(cl, SSH_FILEXFER_ATTR_PERMISSIONS, 0, 0600, 0);
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, client_status(cl));
	buf_put_cstring(client_begin(cl, SSH_FXP_SETSTAT), "f");
	fill_attrs(cl, SSH_FILEXFER_ATTR_SIZE, 1ULL << 63, 0, 0);
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(cl));
}

TEST_F(sftp, setstat_that_fails_in_part_does_the_rest_and_says_so)
{
	struct client *cl = &self->cl;

	ASSERT_EQ(0, mkdir("d", 0755));
	buf_put_cstring(client_begin(cl, SSH_FXP_SETSTAT), "d");
	fill_attrs(cl, SSH_FILEXFER_ATTR_SIZE | SSH_FILEXFER_ATTR_PERMISSIONS,
		   3, 0700, 0);
	EXPECT_EQ(SSH_FX_FAILURE, client_status(cl));
	EXPECT_EQ(0700, mode_of("d"));
}

TEST_F(sftp, setstat_tells_the_first_failure)
{
	struct client *cl = &self->cl;
	struct sftp_attrs attrs = {
		.flags = SSH_FILEXFER_ATTR_UIDGID | SSH_FILEXFER_ATTR_ACMODTIME,
		.mtime = 7,
	};
	struct stat st;

	make_file("f", "", 0);
	ASSERT_EQ(0, chmod(".", 0755));
	if (geteuid() || chown("f", 65534, 65534) || seteuid(65534))
		SKIP(return, "needs root");
	buf_put_cstring(client_begin(cl, SSH_FXP_SETSTAT), "f");
	sftp_attrs_put(&cl->req, &attrs);
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED, client_status(cl));
	ASSERT_EQ(0, stat("f", &st));
	EXPECT_EQ(7, st.st_mtime);
	EXPECT_EQ(0, seteuid(0));
}

TEST_F(sftp, fsetstat_works_on_the_open_file)
{
	struct client *cl = &self->cl;
	struct client_handle handle;
	struct stat st;

	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "f", NEW, &handle));
	ASSERT_EQ(0, rename("f", "g"));
	buf_put_string(client_begin(cl, SSH_FXP_FSETSTAT), handle.str,
		       handle.len);
	fill_attrs(cl, 15, 12345, 0600, 77);
	EXPECT_EQ(SSH_FX_OK, client_status(cl));
	ASSERT_EQ(0, stat("g", &st));
	EXPECT_EQ(12345, st.st_size);
	EXPECT_EQ(S_IFREG | 0600, st.st_mode);
	EXPECT_EQ(78, st.st_mtime);
}

TEST_F(sftp, lsetstat_sets_the_link_itself)
{
	struct client *cl = &self->cl;
	struct stat st;

	make_file("f", "", 0);
	ASSERT_EQ(0, symlink("f", "s"));
	buf_put_cstring(client_begin_ext(cl, "lsetstat@openssh.com"), "s");
	fill_attrs(cl, SSH_FILEXFER_ATTR_UIDGID | SSH_FILEXFER_ATTR_ACMODTIME,
		   0, 0, 500);
	EXPECT_EQ(SSH_FX_OK, client_status(cl));
	ASSERT_EQ(0, lstat("s", &st));
	EXPECT_EQ(501, st.st_mtime);
	ASSERT_EQ(0, stat("s", &st));
	EXPECT_NE(501, st.st_mtime);
	buf_put_cstring(client_begin_ext(cl, "lsetstat@openssh.com"), "s");
	fill_attrs(cl, SSH_FILEXFER_ATTR_SIZE, 5, 0, 0);
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(cl));
	ASSERT_EQ(0, stat("f", &st));
	EXPECT_EQ(0, st.st_size);
}

TEST_F(sftp, statvfs_tells_of_the_file_system)
{
	struct client *cl = &self->cl;
	struct client_handle handle;
	struct statvfs vfs;
	uint64_t field[11];
	int way, i;

	make_file("f", "", 0);
	ASSERT_EQ(0, statvfs(".", &vfs));
	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "f", SSH_FXF_READ, &handle));
	for (way = 0; way < 2; way++) {
		if (way)
			buf_put_cstring(client_begin_ext(cl,
							 "statvfs@openssh.com"),
					".");
		else
			buf_put_string(client_begin_ext(cl,
							"fstatvfs@openssh.com"),
				       handle.str, handle.len);
		ASSERT_EQ(SSH_FXP_EXTENDED_REPLY, client_call(cl));
		for (i = 0; i < 11; i++)
			ASSERT_EQ(0, buf_get_u64(&cl->reply, &field[i]));
		ASSERT_EQ(0, buf_end(&cl->reply));
		EXPECT_EQ(vfs.f_bsize, field[0]);
		EXPECT_EQ(vfs.f_frsize, field[1]);
		EXPECT_EQ(vfs.f_blocks, field[2]);
		EXPECT_EQ(vfs.f_files, field[5]);
		EXPECT_EQ(vfs.f_fsid, field[8]);
		EXPECT_EQ(vfs.f_namemax, field[10]);
	}
	buf_put_cstring(client_begin_ext(cl, "statvfs@openssh.com"), "none");
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, client_status(cl));
}

TEST_F(sftp, fsync_of_an_open_file)
{
	struct client_handle handle;

	ASSERT_EQ(SSH_FX_OK, client_open_file(&self->cl, "f", NEW, &handle));
	buf_put_string(client_begin_ext(&self->cl, "fsync@openssh.com"),
		       handle.str, handle.len);
	EXPECT_EQ(SSH_FX_OK, client_status(&self->cl));
}

TEST_F(sftp, permissions_of_the_user_hold)
{
	struct client *cl = &self->cl;
	struct client_handle handle;

	make_file("f", "", 0);
	ASSERT_EQ(0, chmod("f", 0600));
	ASSERT_EQ(0, chmod(".", 0755));
	if (geteuid() || seteuid(65534))
		SKIP(return, "needs root");
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED,
		  client_open_file(cl, "f", SSH_FXF_READ, &handle));
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED,
		  client_open_file(cl, "g", NEW, &handle));
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED,
		  client_on_path(cl, SSH_FXP_REMOVE, "f"));
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED,
		  client_on_two(cl, SSH_FXP_RENAME, "f", "g"));
	buf_put_cstring(client_begin(cl, SSH_FXP_SETSTAT), "f");
	fill_attrs(cl, SSH_FILEXFER_ATTR_PERMISSIONS, 0, 0777, 0);
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED, client_status(cl));
	EXPECT_EQ(0, seteuid(0));
}

/* ---- read-only servers ---- */

TEST_F(read_only, whatever_changes_files_is_refused)
{
	static const char *const paths[] = {
		"lsetstat@openssh.com",
		"posix-rename@openssh.com",
		"hardlink@openssh.com",
	};
	struct client *cl = &self->cl;
	struct client_handle handle;
	uint32_t denied = SSH_FX_PERMISSION_DENIED;
	size_t i;

	EXPECT_EQ(denied, client_open_file(cl, "f", SSH_FXF_WRITE, &handle));
	EXPECT_EQ(denied, client_open_file(cl, "f", RW, &handle));
	EXPECT_EQ(denied,
		  client_open_file(cl, "g", SSH_FXF_READ | SSH_FXF_CREAT,
				   &handle));
	EXPECT_EQ(denied,
		  client_open_file(cl, "f", SSH_FXF_READ | SSH_FXF_TRUNC,
				   &handle));
	EXPECT_EQ(denied, client_on_path(cl, SSH_FXP_REMOVE, "f"));
	EXPECT_EQ(denied, client_on_path(cl, SSH_FXP_RMDIR, "."));
	EXPECT_EQ(denied, make_dir(cl, "d", -1));
	EXPECT_EQ(denied, client_on_two(cl, SSH_FXP_RENAME, "f", "g"));
	EXPECT_EQ(denied, client_on_two(cl, SSH_FXP_SYMLINK, "f", "g"));
	buf_put_cstring(client_begin(cl, SSH_FXP_SETSTAT), "f");
	fill_attrs(cl, 15, 0, 0, 0);
	EXPECT_EQ(denied, client_status(cl));
	for (i = 0; i < 3; i++) {
		buf_put_cstring(client_begin_ext(cl, paths[i]), "f");
		buf_put_cstring(&cl->req, "g");
		EXPECT_EQ(denied, client_status(cl));
	}
	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "f", SSH_FXF_READ, &handle));
	EXPECT_EQ(denied, client_write(cl, &handle, 0, "0123456789", 10));
	buf_put_string(client_begin(cl, SSH_FXP_FSETSTAT), handle.str,
		       handle.len);
	fill_attrs(cl, 15, 0, 0, 0);
	EXPECT_EQ(denied, client_status(cl));
	EXPECT_EQ(0644, mode_of("f"));
	EXPECT_TRUE(file_is("f", "0123456789", 10));
}

TEST_F(read_only, whatever_only_reads_works)
{
	struct client *cl = &self->cl;
	struct client_handle handle;
	const uint8_t *p;
	size_t len;
	char *name;

	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "f", SSH_FXF_READ, &handle));
	EXPECT_EQ(SSH_FX_OK, client_read(cl, &handle, 0, 10, &p, &len));
	EXPECT_EQ(10, len);
	EXPECT_EQ(SSH_FX_OK, client_on_handle(cl, SSH_FXP_CLOSE, &handle));
	EXPECT_EQ(SSH_FX_OK, client_opendir(cl, ".", &handle));
	EXPECT_EQ(1000 + SSH_FXP_NAME,
		  client_on_handle(cl, SSH_FXP_READDIR, &handle));
	ASSERT_EQ(SSH_FX_OK, client_name(cl, SSH_FXP_REALPATH, ".", &name));
	free(name);
	EXPECT_EQ(1000 + SSH_FXP_ATTRS, client_on_path(cl, SSH_FXP_STAT, "f"));
}

TEST_HARNESS_MAIN
