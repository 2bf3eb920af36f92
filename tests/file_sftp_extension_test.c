// SPDX-License-Identifier: MIT
/*
 * SFTP: extensions that copy, hash and look up on the server's side, and that
 * what takes long there does not stop others.
 */
#include <grp.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include "lib/crypto.h"
#include "lib/mem.h"
#include "sftp_client.h"

#define RW	(SSH_FXF_READ | SSH_FXF_WRITE)
#define NEW	(SSH_FXF_WRITE | SSH_FXF_CREAT | SSH_FXF_TRUNC)
#define NOBODY	0x7ffffff3	/* no user or group has this id */

/* More than one turn does. */
#define LONG_LEN	(3 * SFTP_TURN_MAX + 12345)

FIXTURE(ext)
{
	struct client cl;
};
FIXTURE_VARIANT(ext)
{
	size_t piece;
};
FIXTURE_VARIANT_ADD(ext, whole){ .piece = 0 };
FIXTURE_VARIANT_ADD(ext, pieces){ .piece = 11 };
FIXTURE_SETUP(ext)
{
	client_open(&self->cl, false, variant->piece);
	client_init(&self->cl);
}
FIXTURE_TEARDOWN(ext)
{
	client_close(&self->cl);
}

/* Turns of the loop come one by one. */
FIXTURE(turns)
{
	struct client cl;
	uint8_t *data;
};
FIXTURE_SETUP(turns)
{
	client_open(&self->cl, false, 0);
	client_init(&self->cl);
	self->data = make_data(LONG_LEN);
	make_file("long", self->data, LONG_LEN);
	self->cl.fake.by_hand = true;
}
FIXTURE_TEARDOWN(turns)
{
	self->cl.fake.by_hand = false;
	client_close(&self->cl);
	free(self->data);
}

FIXTURE(read_only)
{
	struct client cl;
};
FIXTURE_SETUP(read_only)
{
	client_open(&self->cl, true, 0);
	client_init(&self->cl);
	make_file("f", "0123456789", 10);
}
FIXTURE_TEARDOWN(read_only)
{
	client_close(&self->cl);
}

static struct client_handle must_open(struct client *cl, const char *path,
				      uint32_t pflags)
{
	struct client_handle handle = { .len = 0 };

	/* By hand or not, this answers at once. */
	EXPECT_EQ(SSH_FX_OK, client_open_file(cl, path, pflags, &handle))
	{
		TH_LOG("open %s", path);
	}
	return handle;
}

/* ---- copy-data ---- */

static void fill_copy(struct client *cl, const struct client_handle *from,
		      uint64_t from_off, uint64_t len,
		      const struct client_handle *to, uint64_t to_off)
{
	struct buf *req = client_begin_ext(cl, "copy-data");

	buf_put_string(req, from->str, from->len);
	buf_put_u64(req, from_off);
	buf_put_u64(req, len);
	buf_put_string(req, to->str, to->len);
	buf_put_u64(req, to_off);
}

static uint32_t copy(struct client *cl, const struct client_handle *from,
		     uint64_t from_off, uint64_t len,
		     const struct client_handle *to, uint64_t to_off)
{
	fill_copy(cl, from, from_off, len, to, to_off);
	return client_status(cl);
}

TEST_F(ext, copy_of_a_whole_file)
{
	uint8_t *data = make_data(LONG_LEN);
	struct client *cl = &self->cl;
	struct client_handle from, to;

	make_file("f", data, LONG_LEN);
	from = must_open(cl, "f", SSH_FXF_READ);
	to = must_open(cl, "g", NEW);
	EXPECT_EQ(SSH_FX_OK, copy(cl, &from, 0, 0, &to, 0));
	EXPECT_TRUE(file_is("g", data, LONG_LEN));
	EXPECT_EQ(SSH_FX_OK, client_on_handle(cl, SSH_FXP_CLOSE, &from));
	EXPECT_EQ(SSH_FX_OK, client_on_handle(cl, SSH_FXP_CLOSE, &to));
	free(data);
}

TEST_F(ext, copy_of_a_range_to_an_offset)
{
	struct client *cl = &self->cl;
	struct client_handle from, to;

	make_file("f", "0123456789", 10);
	make_file("g", "abcdefghij", 10);
	from = must_open(cl, "f", SSH_FXF_READ);
	to = must_open(cl, "g", SSH_FXF_WRITE);
	EXPECT_EQ(SSH_FX_OK, copy(cl, &from, 2, 3, &to, 1));
	EXPECT_TRUE(file_is("g", "a234efghij", 10));
	EXPECT_EQ(SSH_FX_OK, copy(cl, &from, 7, 0, &to, 12));
	EXPECT_TRUE(file_is("g",
			    "a234efghij\0\0"
			    "789",
			    15));
}

TEST_F(ext, copy_beyond_the_end_tells_so)
{
	struct client *cl = &self->cl;
	struct client_handle from, to;

	make_file("f", "0123456789", 10);
	from = must_open(cl, "f", SSH_FXF_READ);
	to = must_open(cl, "g", NEW);
	EXPECT_EQ(SSH_FX_EOF, copy(cl, &from, 5, 6, &to, 0));
	EXPECT_TRUE(file_is("g", "56789", 5));
	EXPECT_EQ(SSH_FX_EOF, copy(cl, &from, 5, UINT64_MAX, &to, 0));
	EXPECT_TRUE(file_is("g", "56789", 5));
	EXPECT_EQ(SSH_FX_EOF, copy(cl, &from, 10, 1, &to, 0));
	EXPECT_EQ(SSH_FX_OK, copy(cl, &from, 10, 0, &to, 0));
	EXPECT_EQ(SSH_FX_OK, copy(cl, &from, INT64_MAX, 0, &to, 0));
	EXPECT_TRUE(file_is("g", "56789", 5));
}

TEST_F(ext, copy_at_impossible_offsets_is_refused)
{
	struct client *cl = &self->cl;
	struct client_handle from, to;

	make_file("f", "0123456789", 10);
	from = must_open(cl, "f", SSH_FXF_READ);
	to = must_open(cl, "g", NEW);
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, copy(cl, &from, 1ULL << 63, 1, &to, 0));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, copy(cl, &from, 0, 1, &to, 1ULL << 63));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE,
		  copy(cl, &from, UINT64_MAX, UINT64_MAX, &to, UINT64_MAX));
	EXPECT_TRUE(file_is("g", "", 0));
	EXPECT_NE(SSH_FX_OK, copy(cl, &from, 0, 0, &to, INT64_MAX - 2));
}

TEST_F(ext, copy_within_a_file_but_not_over_itself)
{
	static const struct {
		uint64_t from_off, len, to_off;
		uint32_t status;
	} cases[] = {
		{ 0, 4, 0, SSH_FX_FAILURE },
		{ 0, 4, 3, SSH_FX_FAILURE },
		{ 3, 4, 0, SSH_FX_FAILURE },
		{ 0, 0, 9, SSH_FX_FAILURE },
		{ 0, UINT64_MAX, 10, SSH_FX_FAILURE },
		{ 0, INT64_MAX, INT64_MAX - 1, SSH_FX_FAILURE },
		{ 0, 3, 3, SSH_FX_OK },
		{ 6, 3, 0, SSH_FX_OK },
		{ 0, 0, 10, SSH_FX_OK },
	};
	struct client *cl = &self->cl;
	struct client_handle one, two;
	size_t i;

	make_file("f", "0123456789", 10);
	ASSERT_EQ(0, link("f", "other"));
	one = must_open(cl, "f", RW);
	two = must_open(cl, "other", SSH_FXF_WRITE);
	for (i = 0; i < ARRAY_SIZE(cases) - 3; i++) {
		EXPECT_EQ(cases[i].status,
			  copy(cl, &one, cases[i].from_off, cases[i].len, &one,
			       cases[i].to_off))
		{
			TH_LOG("case %zu", i);
		}
		EXPECT_EQ(cases[i].status,
			  copy(cl, &one, cases[i].from_off, cases[i].len, &two,
			       cases[i].to_off));
		EXPECT_TRUE(file_is("f", "0123456789", 10));
	}
	for (; i < ARRAY_SIZE(cases); i++)
		EXPECT_EQ(cases[i].status,
			  copy(cl, &one, cases[i].from_off, cases[i].len, &two,
			       cases[i].to_off));
	EXPECT_TRUE(file_is("f", "67801267896780126789", 20));
}

TEST_F(ext, copy_appends_to_a_file_open_for_it)
{
	struct client *cl = &self->cl;
	struct client_handle from, to;

	make_file("f", "0123456789", 10);
	make_file("g", "abc", 3);
	from = must_open(cl, "f", SSH_FXF_READ);
	to = must_open(cl, "g", SSH_FXF_WRITE | SSH_FXF_APPEND);
	EXPECT_EQ(SSH_FX_OK, copy(cl, &from, 5, 2, &to, 0));
	EXPECT_TRUE(file_is("g", "abc56", 5));
	/* To itself: once, not again and again. */
	from = must_open(cl, "g", SSH_FXF_READ);
	EXPECT_EQ(SSH_FX_OK, copy(cl, &from, 0, 0, &to, 0));
	EXPECT_TRUE(file_is("g", "abc56abc56", 10));
	EXPECT_EQ(SSH_FX_FAILURE, copy(cl, &from, 0, 11, &to, 0));
	EXPECT_TRUE(file_is("g", "abc56abc56", 10));
}

TEST_F(ext, copy_needs_handles_open_for_it)
{
	static const struct client_handle none = { { 0 }, 8 };
	struct client *cl = &self->cl;
	struct client_handle rd, wr, dir;

	make_file("f", "0123456789", 10);
	rd = must_open(cl, "f", SSH_FXF_READ);
	wr = must_open(cl, "g", NEW);
	ASSERT_EQ(SSH_FX_OK, client_opendir(cl, ".", &dir));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, copy(cl, &wr, 0, 0, &wr, 0));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, copy(cl, &rd, 0, 0, &rd, 0));
	EXPECT_EQ(SSH_FX_FAILURE, copy(cl, &none, 0, 0, &wr, 0));
	EXPECT_EQ(SSH_FX_FAILURE, copy(cl, &rd, 0, 0, &none, 0));
	EXPECT_EQ(SSH_FX_FAILURE, copy(cl, &dir, 0, 0, &wr, 0));
	EXPECT_EQ(SSH_FX_FAILURE, copy(cl, &rd, 0, 0, &dir, 0));
	EXPECT_TRUE(file_is("g", "", 0));
}

TEST_F(ext, copy_of_what_has_no_end_is_refused)
{
	struct client *cl = &self->cl;
	struct client_handle zero, null, pipe, file;

	ASSERT_EQ(0, mkfifo("p", 0600));
	make_file("f", "0123456789", 10);
	zero = must_open(cl, "/dev/zero", SSH_FXF_READ);
	null = must_open(cl, "/dev/null", SSH_FXF_WRITE);
	pipe = must_open(cl, "p", RW);
	file = must_open(cl, "f", RW);
	EXPECT_EQ(SSH_FX_FAILURE, copy(cl, &zero, 0, 0, &null, 0));
	EXPECT_EQ(SSH_FX_FAILURE, copy(cl, &zero, 0, 1, &file, 0));
	EXPECT_EQ(SSH_FX_FAILURE, copy(cl, &pipe, 0, 1, &file, 0));
	EXPECT_EQ(SSH_FX_FAILURE, copy(cl, &file, 0, 1, &pipe, 0));
	EXPECT_EQ(SSH_FX_OK, copy(cl, &file, 0, 0, &null, 0));
	EXPECT_TRUE(file_is("f", "0123456789", 10));
}

TEST_F(ext, copy_of_a_file_that_has_no_size)
{
	struct client *cl = &self->cl;
	struct client_handle from, to;
	struct stat st;

	from = must_open(cl, "/proc/self/status", SSH_FXF_READ);
	to = must_open(cl, "g", NEW);
	EXPECT_EQ(SSH_FX_OK, copy(cl, &from, 0, 0, &to, 0));
	ASSERT_EQ(0, stat("g", &st));
	EXPECT_LT(100, st.st_size);
}

TEST_F(ext, copy_that_fails_midway_says_why)
{
	struct rlimit rl = { .rlim_cur = 100000, .rlim_max = 1 << 30 };
	uint8_t *data = make_data(200000);
	struct client *cl = &self->cl;
	struct client_handle from, to;

	make_file("f", data, 200000);
	from = must_open(cl, "f", SSH_FXF_READ);
	to = must_open(cl, "g", NEW);
	/* EFBIG, and no signal */
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &rl));
	EXPECT_EQ(SSH_FX_FAILURE, copy(cl, &from, 0, 0, &to, 0));
	EXPECT_TRUE(file_is("g", data, 100000));
	to = must_open(cl, "/dev/full", SSH_FXF_WRITE);
	EXPECT_EQ(SSH_FX_FAILURE, copy(cl, &from, 0, 0, &to, 0));
	EXPECT_EQ(1000 + SSH_FXP_ATTRS, client_on_path(cl, SSH_FXP_STAT, "f"));
	free(data);
}

TEST_F(ext, requests_cut_short_are_bad_messages)
{
	static const char *const names[] = {
		"copy-data",
		"home-directory",
		"check-file-handle",
		"check-file-name",
		"check-file",
		"space-available",
		"expand-path@openssh.com",
		"users-groups-by-id@openssh.com",
	};
	struct client *cl = &self->cl;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		client_begin_ext(cl, names[i]);
		EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(cl));
		buf_put_u32(client_begin_ext(cl, names[i]), 1000);
		EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(cl));
	}
	buf_put_cstring(client_begin_ext(cl, "copy-data"), "none");
	buf_put_u64(&cl->req, 0);
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(cl));
	buf_put_cstring(client_begin_ext(cl, "check-file-name"), "none");
	buf_put_cstring(&cl->req, "md5");
	buf_put_u64(&cl->req, 0);
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(cl));
}

/* ---- check-file ---- */

static void fill_check_range(struct client *cl, const char *algorithms,
			     uint64_t off, uint64_t len, uint32_t block_size)
{
	buf_put_cstring(&cl->req, algorithms);
	buf_put_u64(&cl->req, off);
	buf_put_u64(&cl->req, len);
	buf_put_u32(&cl->req, block_size);
}

/* The hashes stay in cl->reply. */
static uint32_t take_hashes(struct client *cl, const char *algorithm)
{
	const uint8_t *p;
	size_t len;

	if (cl->type != SSH_FXP_EXTENDED_REPLY)
		return client_status_of(cl);
	ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &len));
	ASSERT_EQ(strlen("check-file"), len);
	EXPECT_MEMEQ("check-file", p, len);
	ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &len));
	ASSERT_EQ(strlen(algorithm), len);
	EXPECT_MEMEQ(algorithm, p, len);
	return SSH_FX_OK;
}

static uint32_t check_name(struct client *cl, const char *path,
			   const char *algorithms, uint64_t off, uint64_t len,
			   uint32_t block_size, const char *algorithm)
{
	buf_put_cstring(client_begin_ext(cl, "check-file-name"), path);
	fill_check_range(cl, algorithms, off, len, block_size);
	client_call(cl);
	return take_hashes(cl, algorithm);
}

static uint32_t check_handle(struct client *cl,
			     const struct client_handle *handle,
			     const char *algorithms, const char *algorithm)
{
	buf_put_string(client_begin_ext(cl, "check-file-handle"), handle->str,
		       handle->len);
	fill_check_range(cl, algorithms, 0, 0, 0);
	client_call(cl);
	return take_hashes(cl, algorithm);
}

/* The next hash of the answer is that of the @n bytes at @p. */
static bool next_hash_is(struct client *cl, const char *md, const void *p,
			 size_t n)
{
	uint8_t want[EVP_MAX_MD_SIZE], got[EVP_MAX_MD_SIZE];
	unsigned int len;

	ASSERT_EQ(1, EVP_Digest(p, n, want, &len, crypto_md(md), NULL));
	return !buf_get_raw(&cl->reply, got, len) && !memcmp(got, want, len);
}

TEST_F(ext, check_file_with_each_hash)
{
	static const char *const names[][2] = {
		{ "md5", "MD5" },	  { "sha1", "SHA1" },
		{ "sha224", "SHA2-224" }, { "sha256", "SHA2-256" },
		{ "sha384", "SHA2-384" }, { "sha512", "SHA2-512" },
	};
	uint8_t *data = make_data(200001);
	struct client *cl = &self->cl;
	struct client_handle handle;
	size_t i;

	make_file("f", data, 200001);
	handle = must_open(cl, "f", SSH_FXF_READ);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		ASSERT_EQ(SSH_FX_OK, check_name(cl, "f", names[i][0], 0, 0, 0,
						names[i][0]));
		EXPECT_TRUE(next_hash_is(cl, names[i][1], data, 200001));
		EXPECT_EQ(0, buf_end(&cl->reply));
		ASSERT_EQ(SSH_FX_OK,
			  check_handle(cl, &handle, names[i][0], names[i][0]));
		EXPECT_TRUE(next_hash_is(cl, names[i][1], data, 200001));
		EXPECT_EQ(0, buf_end(&cl->reply));
	}
	free(data);
}

TEST_F(ext, check_file_takes_the_first_hash_it_knows)
{
	struct client *cl = &self->cl;

	make_file("f", "0123456789", 10);
	ASSERT_EQ(SSH_FX_OK,
		  check_name(cl, "f", "crc32,,sha,sha1,md5", 0, 0, 0, "sha1"));
	EXPECT_TRUE(next_hash_is(cl, "SHA1", "0123456789", 10));
	EXPECT_EQ(SSH_FX_FAILURE, check_name(cl, "f", "", 0, 0, 0, ""));
	EXPECT_EQ(SSH_FX_FAILURE, check_name(cl, "f", "crc32", 0, 0, 0, ""));
	EXPECT_EQ(SSH_FX_FAILURE, check_name(cl, "f", "md5sum", 0, 0, 0, ""));
	EXPECT_EQ(SSH_FX_FAILURE, check_name(cl, "f", "MD5 ,", 0, 0, 0, ""));
}

TEST_F(ext, check_file_of_ranges)
{
	struct client *cl = &self->cl;

	make_file("f", "0123456789", 10);
	ASSERT_EQ(SSH_FX_OK, check_name(cl, "f", "md5", 2, 3, 0, "md5"));
	EXPECT_TRUE(next_hash_is(cl, "MD5", "234", 3));
	ASSERT_EQ(SSH_FX_OK, check_name(cl, "f", "md5", 7, 0, 0, "md5"));
	EXPECT_TRUE(next_hash_is(cl, "MD5", "789", 3));
	ASSERT_EQ(SSH_FX_OK,
		  check_name(cl, "f", "md5", 7, UINT64_MAX, 0, "md5"));
	EXPECT_TRUE(next_hash_is(cl, "MD5", "789", 3));
	ASSERT_EQ(SSH_FX_OK,
		  check_name(cl, "f", "md5", INT64_MAX, 9, 0, "md5"));
	EXPECT_TRUE(next_hash_is(cl, "MD5", "", 0));
	EXPECT_EQ(0, buf_end(&cl->reply));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE,
		  check_name(cl, "f", "md5", 1ULL << 63, 0, 0, "md5"));
}

TEST_F(ext, check_file_by_blocks)
{
	uint8_t *data = make_data(1000);
	struct client *cl = &self->cl;
	size_t off;

	make_file("f", data, 1000);
	ASSERT_EQ(SSH_FX_OK,
		  check_name(cl, "f", "sha256", 1, 0, 256, "sha256"));
	for (off = 1; off < 1000; off += 256)
		EXPECT_TRUE(next_hash_is(cl, "SHA2-256", data + off,
					 off + 256 < 1000 ? 256 : 1000 - off));
	EXPECT_EQ(0, buf_end(&cl->reply));
	/* The range ends with a block, with the file, or is empty. */
	ASSERT_EQ(SSH_FX_OK, check_name(cl, "f", "md5", 0, 512, 256, "md5"));
	EXPECT_EQ(32, buf_len(&cl->reply));
	ASSERT_EQ(SSH_FX_OK, check_name(cl, "f", "md5", 0, 0, 500, "md5"));
	EXPECT_EQ(32, buf_len(&cl->reply));
	ASSERT_EQ(SSH_FX_OK, check_name(cl, "f", "md5", 1000, 0, 500, "md5"));
	EXPECT_EQ(0, buf_len(&cl->reply));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE,
		  check_name(cl, "f", "md5", 0, 0, 255, "md5"));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE,
		  check_name(cl, "f", "md5", 0, 0, 1, "md5"));
	free(data);
}

TEST_F(ext, check_file_does_not_answer_without_bound)
{
	struct client *cl = &self->cl;

	make_file("f", "", 0);
	ASSERT_EQ(0, truncate("f", 2048 * 256));
	ASSERT_EQ(SSH_FX_OK, check_name(cl, "f", "md5", 0, 0, 256, "md5"));
	EXPECT_EQ(32768, buf_len(&cl->reply));
	ASSERT_EQ(0, truncate("f", 2048 * 256 + 1));
	EXPECT_EQ(SSH_FX_FAILURE, check_name(cl, "f", "md5", 0, 0, 256, "md5"));
	ASSERT_EQ(SSH_FX_OK,
		  check_name(cl, "f", "md5", 0, 2048 * 256, 256, "md5"));
	/* Known before anything is read. */
	ASSERT_EQ(0, truncate("f", 1LL << 42));
	EXPECT_EQ(SSH_FX_FAILURE, check_name(cl, "f", "md5", 0, 0, 256, "md5"));
}

TEST_F(ext, check_file_of_what_is_no_file_is_refused)
{
	struct client *cl = &self->cl;
	struct client_handle wr, dir;
	unsigned int fds;

	ASSERT_EQ(0, mkfifo("p", 0600));
	wr = must_open(cl, "g", NEW);
	ASSERT_EQ(SSH_FX_OK, client_opendir(cl, ".", &dir));
	fds = count_fds();
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE,
		  check_name(cl, "none", "md5", 0, 0, 0, "md5"));
	EXPECT_EQ(SSH_FX_FAILURE, check_name(cl, ".", "md5", 0, 0, 0, "md5"));
	EXPECT_EQ(SSH_FX_FAILURE, check_name(cl, "p", "md5", 0, 0, 0, "md5"));
	EXPECT_EQ(SSH_FX_FAILURE,
		  check_name(cl, "/dev/zero", "md5", 0, 9, 0, "md5"));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, check_handle(cl, &wr, "md5", "md5"));
	EXPECT_EQ(SSH_FX_FAILURE, check_handle(cl, &dir, "md5", "md5"));
	dir.str[7]++;
	EXPECT_EQ(SSH_FX_FAILURE, check_handle(cl, &dir, "md5", "md5"));
	EXPECT_EQ(fds, count_fds());
}

TEST_F(ext, check_file_follows_links_and_closes_the_file)
{
	struct client *cl = &self->cl;
	unsigned int fds = count_fds();

	make_file("f", "0123456789", 10);
	ASSERT_EQ(0, symlink("f", "s"));
	ASSERT_EQ(SSH_FX_OK, check_name(cl, "s", "md5", 0, 0, 0, "md5"));
	EXPECT_TRUE(next_hash_is(cl, "MD5", "0123456789", 10));
	EXPECT_EQ(fds, count_fds());
}

/* ---- what takes long ---- */

static void begin_long_copy(struct client *cl, uint64_t len)
{
	struct client_handle from = must_open(cl, "long", SSH_FXF_READ);
	struct client_handle to = must_open(cl, "to", NEW);

	fill_copy(cl, &from, 0, len, &to, 0);
	client_queue(cl);
}

static void begin_long_check(struct client *cl)
{
	buf_put_cstring(client_begin_ext(cl, "check-file-name"), "long");
	fill_check_range(cl, "sha256", 0, 0, 0);
	client_queue(cl);
}

/* Turns until there is an answer. */
static int turns_to_answer(struct client *cl)
{
	int n = 0;

	while (!client_take(cl)) {
		ASSERT_TRUE(fake_turn(&cl->fake));
		ASSERT_GT(1000, ++n);
	}
	return n;
}

TEST_F(turns, long_copy_does_a_part_in_each)
{
	struct client *cl = &self->cl;
	struct stat st;
	off_t before = 0;

	begin_long_copy(cl, 0);
	fake_arrive_all(&cl->fake);
	while (!client_take(cl)) {
		ASSERT_EQ(0, stat("to", &st));
		ASSERT_LT(before, st.st_size);
		ASSERT_GE(before + SFTP_TURN_MAX, st.st_size);
		before = st.st_size;
		ASSERT_TRUE(fake_turn(&cl->fake));
	}
	EXPECT_EQ(SSH_FX_OK, client_status_of(cl));
	EXPECT_LE(3 * SFTP_TURN_MAX, before);
	EXPECT_TRUE(file_is("to", self->data, LONG_LEN));
}

TEST_F(turns, long_check_does_a_part_in_each)
{
	struct client *cl = &self->cl;

	begin_long_check(cl);
	fake_arrive_all(&cl->fake);
	EXPECT_LE(3, turns_to_answer(cl));
	ASSERT_EQ(SSH_FX_OK, take_hashes(cl, "sha256"));
	EXPECT_TRUE(next_hash_is(cl, "SHA2-256", self->data, LONG_LEN));
}

TEST_F(turns, news_of_the_channel_do_not_hasten_it)
{
	struct client *cl = &self->cl;
	struct stat st;
	int i;

	begin_long_copy(cl, 0);
	fake_arrive_all(&cl->fake);
	for (i = 0; i < 10; i++)
		channel_notify_readable(&cl->fake.ch);
	ASSERT_EQ(0, stat("to", &st));
	EXPECT_EQ(SFTP_TURN_MAX, st.st_size);
	EXPECT_EQ(1, cl->fake.ring.n_waits);
	turns_to_answer(cl);
	EXPECT_EQ(SSH_FX_OK, client_status_of(cl));
}

TEST_F(turns, many_short_ones_are_spread_over_turns)
{
	struct client *cl = &self->cl;
	int i, n = 0;

	make_file("f", "0123456789", 10);
	for (i = 0; i < 100; i++) {
		buf_put_cstring(client_begin_ext(cl, "check-file-name"), "f");
		fill_check_range(cl, "md5", 0, 0, 0);
		client_queue(cl);
	}
	fake_arrive_all(&cl->fake);
	for (i = 0; i < 100; i++) {
		n += turns_to_answer(cl);
		ASSERT_EQ(SSH_FX_OK, take_hashes(cl, "md5"));
		EXPECT_TRUE(next_hash_is(cl, "MD5", "0123456789", 10));
	}
	EXPECT_LE(100 * SFTP_JOB_COST / SFTP_TURN_MAX, n);
}

TEST_F(turns, answers_before_leave_at_once_and_those_behind_in_order)
{
	struct client *cl = &self->cl;
	uint32_t first;

	begin_long_check(cl);
	buf_reset(&cl->req);
	/* In front of it: the fake has not let it arrive. */
	cl->fake.in_len -= cl->fake.in_len - cl->fake.in_ready;
	buf_put_cstring(client_begin(cl, SSH_FXP_STAT), "long");
	first = cl->req_id;
	client_queue(cl);
	begin_long_check(cl);
	buf_put_cstring(client_begin(cl, SSH_FXP_LSTAT), "none");
	client_queue(cl);
	fake_arrive_all(&cl->fake);
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(first, cl->reply_id);
	EXPECT_FALSE(cl->fake.held);
	EXPECT_FALSE(client_take(cl));
	turns_to_answer(cl);
	EXPECT_EQ(first + 1, cl->reply_id);
	turns_to_answer(cl);
	EXPECT_EQ(first + 2, cl->reply_id);
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, client_status_of(cl));
}

TEST_F(turns, file_that_is_cut_meanwhile)
{
	struct client *cl = &self->cl;

	begin_long_copy(cl, LONG_LEN);
	fake_arrive_all(&cl->fake);
	ASSERT_EQ(0, truncate("long", SFTP_TURN_MAX + 5));
	turns_to_answer(cl);
	EXPECT_EQ(SSH_FX_EOF, client_status_of(cl));
	EXPECT_TRUE(file_is("to", self->data, SFTP_TURN_MAX + 5));
	make_file("long", self->data, LONG_LEN);
	begin_long_check(cl);
	fake_arrive_all(&cl->fake);
	ASSERT_EQ(0, truncate("long", 0));
	turns_to_answer(cl);
	EXPECT_EQ(SSH_FX_OK, take_hashes(cl, "sha256"));
}

TEST_F(turns, channel_takes_nothing_meanwhile)
{
	struct client *cl = &self->cl;

	begin_long_copy(cl, 0);
	cl->fake.room = 0;
	fake_arrive_all(&cl->fake);
	while (fake_turn(&cl->fake))
		;
	EXPECT_FALSE(client_take(cl));
	EXPECT_TRUE(file_is("to", self->data, LONG_LEN));
	fake_make_room(&cl->fake, -1);
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(SSH_FX_OK, client_status_of(cl));
}

TEST_F(turns, end_of_input_waits_for_the_answer)
{
	struct client *cl = &self->cl;

	begin_long_check(cl);
	fake_arrive_all(&cl->fake);
	fake_send_end(&cl->fake);
	EXPECT_FALSE(cl->fake.finished);
	while (fake_turn(&cl->fake))
		;
	EXPECT_TRUE(cl->fake.finished);
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(SSH_FX_OK, take_hashes(cl, "sha256"));
}

TEST_F(turns, end_of_the_channel_ends_it)
{
	struct client *cl = &self->cl;
	unsigned int fds = count_fds();

	begin_long_check(cl);
	fake_arrive_all(&cl->fake);
	EXPECT_EQ(fds + 1, count_fds());
	channel_end(&cl->fake.ch);
	EXPECT_TRUE(cl->fake.finished);
	EXPECT_EQ(fds, count_fds());
	EXPECT_FALSE(fake_turn(&cl->fake));
	EXPECT_FALSE(client_take(cl));
}

/* ---- names ---- */

static uint32_t ext_name(struct client *cl, const char *ext, const char *arg,
			 char **name)
{
	buf_put_cstring(client_begin_ext(cl, ext), arg);
	return client_call_name(cl, name);
}

static void expands_to(struct client *cl, const char *path, const char *want)
{
	char *name;

	ASSERT_EQ(SSH_FX_OK,
		  ext_name(cl, "expand-path@openssh.com", path, &name))
	{
		TH_LOG("expand %s", path);
	}
	EXPECT_STREQ(want, name);
	free(name);
}

TEST_F(ext, expand_path_knows_homes)
{
	struct passwd *pw = getpwnam("root");
	struct client *cl = &self->cl;
	char want[PATH_MAX];
	char *name;

	expands_to(cl, "", cl->dir);
	expands_to(cl, ".", cl->dir);
	expands_to(cl, "~", cl->dir);
	expands_to(cl, "~/", cl->dir);
	snprintf(want, sizeof(want), "%s/new", cl->dir);
	expands_to(cl, "~/new", want);
	expands_to(cl, "new", want);
	snprintf(want, sizeof(want), "%s/~root", cl->dir);
	expands_to(cl, "./~root", want);
	expands_to(cl, "/usr/../~root", "/~root");
	ASSERT_NOT_NULL(pw);
	expands_to(cl, "~root", pw->pw_dir);
	snprintf(want, sizeof(want), "%s/new", pw->pw_dir);
	expands_to(cl, "~root/new", want);
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, ext_name(cl, "expand-path@openssh.com",
						"~no-such-user/x", &name));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE,
		  ext_name(cl, "expand-path@openssh.com", "~/no/such", &name));
}

TEST_F(ext, home_directory_of_users)
{
	struct client *cl = &self->cl;
	struct passwd *pw;
	char *name;

	pw = getpwuid(geteuid());
	ASSERT_NOT_NULL(pw);
	ASSERT_EQ(SSH_FX_OK, ext_name(cl, "home-directory", "", &name));
	EXPECT_STREQ(pw->pw_dir, name);
	free(name);
	pw = getpwnam("daemon");
	ASSERT_NOT_NULL(pw);
	ASSERT_EQ(SSH_FX_OK, ext_name(cl, "home-directory", "daemon", &name));
	EXPECT_STREQ(pw->pw_dir, name);
	free(name);
	EXPECT_EQ(SSH_FX_FAILURE,
		  ext_name(cl, "home-directory", "no-such-user", &name));
}

static void fill_ids(struct client *cl, const uint32_t *users, size_t n_users,
		     const uint32_t *groups, size_t n_groups)
{
	struct buf *req =
		client_begin_ext(cl, "users-groups-by-id@openssh.com");
	size_t i;

	buf_put_u32(req, 4 * n_users);
	for (i = 0; i < n_users; i++)
		buf_put_u32(req, users[i]);
	buf_put_u32(req, 4 * n_groups);
	for (i = 0; i < n_groups; i++)
		buf_put_u32(req, groups[i]);
}

static void next_name_is(struct buf *names, const char *want)
{
	char *name;

	ASSERT_EQ(0, buf_get_cstring(names, &name));
	EXPECT_STREQ(want, name);
	free(name);
}

TEST_F(ext, names_of_users_and_groups)
{
	const uint32_t users[] = { 0, NOBODY, 1 };
	const uint32_t groups[] = { NOBODY, 0 };
	struct client *cl = &self->cl;
	struct buf names;
	const uint8_t *p;
	size_t len;

	fill_ids(cl, users, 3, groups, 2);
	ASSERT_EQ(SSH_FXP_EXTENDED_REPLY, client_call(cl));
	ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &len));
	buf_ref(&names, p, len);
	next_name_is(&names, "root");
	next_name_is(&names, "");
	next_name_is(&names, getpwuid(1) ? getpwuid(1)->pw_name : "");
	EXPECT_EQ(0, buf_end(&names));
	ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &len));
	buf_ref(&names, p, len);
	next_name_is(&names, "");
	next_name_is(&names, "root");
	EXPECT_EQ(0, buf_end(&names));
	EXPECT_EQ(0, buf_end(&cl->reply));
}

TEST_F(ext, names_of_none_and_of_too_many)
{
	static uint32_t ids[SFTP_IDS_MAX + 1];
	struct client *cl = &self->cl;
	const uint8_t *p;
	size_t len;

	fill_ids(cl, NULL, 0, NULL, 0);
	ASSERT_EQ(SSH_FXP_EXTENDED_REPLY, client_call(cl));
	ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &len));
	EXPECT_EQ(0, len);
	ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &len));
	EXPECT_EQ(0, len);
	fill_ids(cl, ids, SFTP_IDS_MAX - 1, ids, 1);
	ASSERT_EQ(SSH_FXP_EXTENDED_REPLY, client_call(cl));
	ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &len));
	EXPECT_EQ((SFTP_IDS_MAX - 1) * 8, len);
	fill_ids(cl, ids, SFTP_IDS_MAX + 1, ids, 0);
	EXPECT_EQ(SSH_FX_FAILURE, client_status(cl));
	fill_ids(cl, ids, SFTP_IDS_MAX, ids, 1);
	EXPECT_EQ(SSH_FX_FAILURE, client_status(cl));
	buf_put_cstring(client_begin_ext(cl, "users-groups-by-id@openssh.com"),
			"odd");
	buf_put_cstring(&cl->req, "");
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(cl));
}

TEST_F(turns, many_names_take_many)
{
	static uint32_t ids[SFTP_IDS_MAX];
	struct client *cl = &self->cl;

	fill_ids(cl, ids, 0, ids, SFTP_IDS_MAX);
	client_queue(cl);
	fake_arrive_all(&cl->fake);
	EXPECT_LE(2, turns_to_answer(cl));
	EXPECT_EQ(SSH_FXP_EXTENDED_REPLY, cl->type);
}

/* ---- space-available ---- */

TEST_F(ext, space_available_tells_of_the_file_system)
{
	struct client *cl = &self->cl;
	struct statvfs vfs;
	uint64_t field[4];
	uint32_t unit;
	int i;

	ASSERT_EQ(0, statvfs(".", &vfs));
	buf_put_cstring(client_begin_ext(cl, "space-available"), ".");
	ASSERT_EQ(SSH_FXP_EXTENDED_REPLY, client_call(cl));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, buf_get_u64(&cl->reply, &field[i]));
	ASSERT_EQ(0, buf_get_u32(&cl->reply, &unit));
	EXPECT_EQ(0, buf_end(&cl->reply));
	EXPECT_EQ((uint64_t)vfs.f_blocks * vfs.f_frsize, field[0]);
	EXPECT_LE(field[1], field[0]);
	EXPECT_EQ(0, field[2]);
	EXPECT_LE(field[3], field[1]);
	EXPECT_EQ(vfs.f_frsize, unit);
	buf_put_cstring(client_begin_ext(cl, "space-available"), "none");
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, client_status(cl));
}

/* ---- read-only servers ---- */

TEST_F(read_only, copy_is_refused_and_the_rest_works)
{
	struct client *cl = &self->cl;
	struct client_handle handle = must_open(cl, "f", SSH_FXF_READ);
	char *name;

	EXPECT_EQ(SSH_FX_PERMISSION_DENIED,
		  copy(cl, &handle, 0, 1, &handle, 20));
	EXPECT_TRUE(file_is("f", "0123456789", 10));
	EXPECT_EQ(SSH_FX_OK, check_name(cl, "f", "md5", 0, 0, 0, "md5"));
	EXPECT_EQ(SSH_FX_OK, check_handle(cl, &handle, "md5", "md5"));
	ASSERT_EQ(SSH_FX_OK,
		  ext_name(cl, "expand-path@openssh.com", "~", &name));
	free(name);
}

TEST_HARNESS_MAIN
