// SPDX-License-Identifier: MIT
/* SFTP: parts by themselves, and frames. */
#include "sftp_client.h"

/* ---- status ---- */

TEST(maps_errno_to_status)
{
	EXPECT_EQ(SSH_FX_OK, sftp_status_of(0));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, sftp_status_of(-ENOENT));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, sftp_status_of(-ENOTDIR));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, sftp_status_of(-EBADF));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE, sftp_status_of(-ELOOP));
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED, sftp_status_of(-EPERM));
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED, sftp_status_of(-EACCES));
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED, sftp_status_of(-EFAULT));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, sftp_status_of(-ENAMETOOLONG));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, sftp_status_of(-EINVAL));
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, sftp_status_of(-EPROTO));
	EXPECT_EQ(SSH_FX_OP_UNSUPPORTED, sftp_status_of(-ENOSYS));
	EXPECT_EQ(SSH_FX_FAILURE, sftp_status_of(-EEXIST));
	EXPECT_EQ(SSH_FX_FAILURE, sftp_status_of(-ENOSPC));
	EXPECT_EQ(SSH_FX_FAILURE, sftp_status_of(-ESTALE));
}

/* ---- attributes ---- */

FIXTURE(attrs)
{
	struct buf buf;
};
FIXTURE_SETUP(attrs)
{
	buf_init(&self->buf, 4096);
}
FIXTURE_TEARDOWN(attrs)
{
	buf_free(&self->buf);
}

static const struct sftp_attrs all_attrs = {
	.flags = SSH_FILEXFER_ATTR_SIZE | SSH_FILEXFER_ATTR_UIDGID |
		 SSH_FILEXFER_ATTR_PERMISSIONS | SSH_FILEXFER_ATTR_ACMODTIME,
	.size = 0x123456789abcULL,
	.uid = 1000,
	.gid = 0xfffffffe,
	.perm = 0100644,
	.atime = 1,
	.mtime = 0xffffffff,
};

TEST_F(attrs, come_back_as_they_were)
{
	struct sftp_attrs got;
	uint32_t flags;

	for (flags = 0; flags < 16; flags++) {
		struct sftp_attrs want = all_attrs;

		want.flags = flags;
		buf_reset(&self->buf);
		sftp_attrs_put(&self->buf, &want);
		ASSERT_EQ(0, sftp_attrs_get(&self->buf, &got));
		EXPECT_EQ(0, buf_len(&self->buf));
		EXPECT_EQ(flags, got.flags);
		EXPECT_EQ(flags & 1 ? want.size : 0, got.size);
		EXPECT_EQ(flags & 2 ? want.gid : 0, got.gid);
		EXPECT_EQ(flags & 4 ? want.perm : 0, got.perm);
		EXPECT_EQ(flags & 8 ? want.mtime : 0, got.mtime);
	}
}

TEST_F(attrs, cut_short_anywhere_are_refused)
{
	struct sftp_attrs got;
	struct buf cut;
	size_t len;

	sftp_attrs_put(&self->buf, &all_attrs);
	for (len = 0; len < buf_len(&self->buf); len++) {
		buf_ref(&cut, buf_data(&self->buf), len);
		EXPECT_EQ(-EPROTO, sftp_attrs_get(&cut, &got));
	}
}

TEST_F(attrs, extended_ones_are_passed_over)
{
	struct sftp_attrs got;
	int i;

	buf_put_u32(&self->buf,
		    SSH_FILEXFER_ATTR_EXTENDED | SSH_FILEXFER_ATTR_PERMISSIONS);
	buf_put_u32(&self->buf, 0600);
	buf_put_u32(&self->buf, 3);
	for (i = 0; i < 6; i++)
		buf_put_cstring(&self->buf, "x@example.org");
	buf_put_u8(&self->buf, 'e');
	ASSERT_EQ(0, sftp_attrs_get(&self->buf, &got));
	EXPECT_EQ(0600, got.perm);
	EXPECT_EQ(1, buf_len(&self->buf));
}

TEST_F(attrs, many_extended_ones_that_are_not_there_are_refused)
{
	struct sftp_attrs got;

	buf_put_u32(&self->buf, SSH_FILEXFER_ATTR_EXTENDED);
	buf_put_u32(&self->buf, 0xffffffff);
	buf_put_cstring(&self->buf, "");
	buf_put_cstring(&self->buf, "");
	EXPECT_EQ(-EPROTO, sftp_attrs_get(&self->buf, &got));
}

TEST_F(attrs, times_beyond_32_bits_are_clamped)
{
	struct stat st = { .st_mode = S_IFREG };
	struct sftp_attrs got;

	st.st_mtime = -1;
	st.st_atime = 0x100000000LL;
	sftp_attrs_of(&got, &st);
	EXPECT_EQ(0, got.mtime);
	EXPECT_EQ(0xffffffff, got.atime);
}

/* ---- longname ---- */

FIXTURE(name)
{
	struct sftp *sftp;
};
FIXTURE_SETUP(name)
{
	setenv("TZ", "UTC", 1);
	tzset();
	self->sftp = calloc(1, sizeof(*self->sftp));
}
FIXTURE_TEARDOWN(name)
{
	free(self->sftp);
}

TEST(writes_modes_as_ls_does)
{
	static const struct {
		mode_t mode;
		const char *str;
	} modes[] = {
		{ S_IFREG | 0644, "-rw-r--r--" },
		{ S_IFDIR | 01777, "drwxrwxrwt" },
		{ S_IFDIR | 01776, "drwxrwxrwT" },
		{ S_IFLNK | 0777, "lrwxrwxrwx" },
		{ S_IFREG | 04755, "-rwsr-xr-x" },
		{ S_IFREG | 06644, "-rwSr-Sr--" },
		{ S_IFREG | 02111, "---x--s--x" },
		{ S_IFIFO, "p---------" },
		{ S_IFSOCK, "s---------" },
		{ S_IFCHR | 0600, "crw-------" },
		{ S_IFBLK | 060, "b---rw----" },
		{ 0, "?---------" },
	};
	char str[11];
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		sftp_mode_str(str, modes[i].mode);
		EXPECT_STREQ(modes[i].str, str);
	}
}

#define NOW	1700000000	/* Tue Nov 14 22:13:20 2023 */

TEST_F(name, reads_as_the_draft_recommends)
{
	struct stat st = {
		.st_mode = S_IFREG | 0755,
		.st_nlink = 1,
		.st_size = 348911,
	};
	char line[SFTP_LONGNAME_MAX];

	st.st_mtime = NOW - 60;
	sftp_longname(self->sftp, line, "t-filexfer", &st, NOW);
	EXPECT_STREQ("-rwxr-xr-x   1 root     root       348911 "
		     "Nov 14 22:12 t-filexfer",
		     line);
	st.st_mtime = NOW - 200 * 24 * 3600;
	sftp_longname(self->sftp, line, "t", &st, NOW);
	EXPECT_STREQ("-rwxr-xr-x   1 root     root       348911 "
		     "Apr 28  2023 t",
		     line);
	st.st_mtime = NOW + 1;
	sftp_longname(self->sftp, line, "t", &st, NOW);
	EXPECT_STREQ("-rwxr-xr-x   1 root     root       348911 "
		     "Nov 14  2023 t",
		     line);
}

TEST_F(name, holds_the_largest_of_everything)
{
	struct stat st = { .st_mode = S_IFREG | 0777 };
	char line[SFTP_LONGNAME_MAX];
	char name[256];
	size_t len;

	st.st_uid = 4294967294;
	st.st_gid = 4294967294;
	st.st_nlink = ~0UL;
	st.st_size = INT64_MAX;
	st.st_mtime = INT64_MAX;
	memset(name, 'n', 255);
	name[255] = '\0';
	len = sftp_longname(self->sftp, line, name, &st, NOW);
	EXPECT_EQ(strlen(line), len);
	EXPECT_STREQ(name, line + len - 255);
}

TEST_F(name, owners_are_kept_apart)
{
	EXPECT_STREQ("root", sftp_user_name(self->sftp, 0));
	EXPECT_STREQ("", sftp_user_name(self->sftp, 3999999999));
	EXPECT_STREQ("", sftp_group_name(self->sftp, 3999999999));
	/* falls on the slot of 0 */
	EXPECT_STREQ("", sftp_user_name(self->sftp, 64000064));
	EXPECT_STREQ("root", sftp_user_name(self->sftp, 0));
	EXPECT_STREQ("root", sftp_group_name(self->sftp, 0));
}

TEST_F(name, owners_without_a_name_are_numbers)
{
	struct stat st = {
		.st_mode = S_IFREG | 0755,
		.st_nlink = 1,
		.st_uid = 3999999999,
		.st_gid = 64000064,
		.st_mtime = NOW - 60,
	};
	char line[SFTP_LONGNAME_MAX];

	sftp_longname(self->sftp, line, "t", &st, NOW);
	EXPECT_STREQ("-rwxr-xr-x   1 3999999999 64000064        0 "
		     "Nov 14 22:12 t",
		     line);
}

/* ---- handles ---- */

FIXTURE(handles)
{
	struct sftp_handles tab;
};
FIXTURE_SETUP(handles)
{
	sftp_handles_init(&self->tab);
}
FIXTURE_TEARDOWN(handles)
{
	sftp_handles_exit(&self->tab);
}

static struct sftp_handle *open_null(struct sftp_handles *tab)
{
	struct sftp_handle *handle = sftp_handle_alloc(tab, SFTP_HANDLE_FILE);

	if (handle)
		handle->fd = open("/dev/null", O_RDONLY);
	return handle;
}

TEST_F(handles, a_closed_one_stays_invalid_when_its_slot_is_used_again)
{
	struct sftp_handle *handle = open_null(&self->tab);
	struct sftp_handle *again;
	uint8_t old[SFTP_HANDLE_LEN];
	uint8_t new[SFTP_HANDLE_LEN];

	sftp_handle_fill(&self->tab, handle, old);
	EXPECT_EQ(handle, sftp_handle_find(&self->tab, old, sizeof(old)));
	EXPECT_EQ(0, sftp_handle_free(&self->tab, handle));
	EXPECT_NULL(sftp_handle_find(&self->tab, old, sizeof(old)));
	again = open_null(&self->tab);
	EXPECT_EQ(handle, again);
	sftp_handle_fill(&self->tab, again, new);
	EXPECT_NULL(sftp_handle_find(&self->tab, old, sizeof(old)));
	EXPECT_EQ(again, sftp_handle_find(&self->tab, new, sizeof(new)));
}

TEST_F(handles, forged_ones_are_not_found)
{
	uint8_t str[SFTP_HANDLE_LEN + 1] = { 0 };
	struct sftp_handle *handle;

	EXPECT_NULL(sftp_handle_find(&self->tab, str, SFTP_HANDLE_LEN));
	handle = open_null(&self->tab);
	sftp_handle_fill(&self->tab, handle, str);
	EXPECT_NULL(sftp_handle_find(&self->tab, str, 0));
	EXPECT_NULL(sftp_handle_find(&self->tab, str, SFTP_HANDLE_LEN - 1));
	EXPECT_NULL(sftp_handle_find(&self->tab, str, SFTP_HANDLE_LEN + 1));
	kssh_put_be32(str, 1);
	EXPECT_NULL(sftp_handle_find(&self->tab, str, SFTP_HANDLE_LEN));
	kssh_put_be32(str, 0xffffffff);
	EXPECT_NULL(sftp_handle_find(&self->tab, str, SFTP_HANDLE_LEN));
}

TEST_F(handles, are_bounded)
{
	unsigned int fds = count_fds();
	uint32_t n = 0;

	self->tab.max = 37;
	while (open_null(&self->tab))
		ASSERT_GT(100, ++n);
	EXPECT_EQ(37, n);
	EXPECT_EQ(0, sftp_handle_free(&self->tab, &self->tab.slot[5]));
	EXPECT_EQ(&self->tab.slot[5], open_null(&self->tab));
	EXPECT_NULL(open_null(&self->tab));
	sftp_handles_exit(&self->tab);
	EXPECT_EQ(fds, count_fds());
}

/* ---- names ---- */

FIXTURE(path)
{
	struct client cl;
};
FIXTURE_SETUP(path)
{
	client_open(&self->cl, false, 0);
}
FIXTURE_TEARDOWN(path)
{
	client_close(&self->cl);
}

/* @want below the directory, or -errno. */
static void resolves(struct client *cl, const char *path, const char *want,
		     int want_err)
{
	char full[512];
	char *got = NULL;
	int err;

	err = sftp_path_resolve(path, &got);
	EXPECT_EQ(want_err, err)
	TH_LOG("%s", path);
	if (err)
		return;
	snprintf(full, sizeof(full), "%s%s%s", *want == '/' ? "" : cl->dir,
		 *want && *want != '/' ? "/" : "", want);
	EXPECT_STREQ(full, got);
	free(got);
}

TEST_F(path, resolves_what_exists_and_a_last_name_that_does_not)
{
	struct client *cl = &self->cl;

	ASSERT_EQ(0, mkdir("d", 0755));
	ASSERT_EQ(0, symlink("d", "to_d"));
	ASSERT_EQ(0, symlink("nowhere", "dangling"));
	ASSERT_EQ(0, symlink("../nowhere", "d/up"));
	ASSERT_EQ(0, symlink("a", "b"));
	ASSERT_EQ(0, symlink("b", "a"));
	make_file("f", "", 0);
	resolves(cl, ".", "", 0);
	resolves(cl, "d/..", "", 0);
	resolves(cl, "to_d", "d", 0);
	resolves(cl, "/", "/", 0);
	resolves(cl, "//", "/", 0);
	resolves(cl, "/etc/..", "/", 0);
	resolves(cl, "new", "new", 0);
	resolves(cl, "new/", "new", 0);
	resolves(cl, "to_d/new", "d/new", 0);
	resolves(cl, "./d//new///", "d/new", 0);
	resolves(cl, "/kssh-none", "/kssh-none", 0);
	resolves(cl, "dangling", "nowhere", 0);
	resolves(cl, "d/up", "nowhere", 0);
	resolves(cl, "new/new", NULL, -ENOENT);
	resolves(cl, "new/..", NULL, -ENOENT);
	resolves(cl, "a", NULL, -ELOOP);
	resolves(cl, "f/x", NULL, -ENOTDIR);
}

/* ---- frames ---- */

FIXTURE(frame)
{
	struct client cl;
};
FIXTURE_VARIANT(frame)
{
	size_t piece;
};
FIXTURE_VARIANT_ADD(frame, whole){ .piece = 0 };
FIXTURE_VARIANT_ADD(frame, bytes){ .piece = 1 };
FIXTURE_VARIANT_ADD(frame, sevens){ .piece = 7 };
FIXTURE_SETUP(frame)
{
	client_open(&self->cl, false, variant->piece);
}
FIXTURE_TEARDOWN(frame)
{
	client_close(&self->cl);
}

static void feed(struct client *cl, const void *p, size_t len)
{
	fake_send(&cl->fake, p, len);
	fake_arrive_all(&cl->fake);
}

TEST_F(frame, version_tells_the_extensions)
{
	char *name, *version;
	int n = 0;

	client_init(&self->cl);
	while (buf_len(&self->cl.reply)) {
		ASSERT_EQ(0, buf_get_cstring(&self->cl.reply, &name));
		ASSERT_EQ(0, buf_get_cstring(&self->cl.reply, &version));
		EXPECT_STREQ(strstr(name, "statvfs") ? "2" : "1", version);
		free(name);
		free(version);
		n++;
	}
	EXPECT_EQ(13, n);
}

TEST_F(frame, an_older_client_gets_its_version)
{
	static const uint8_t want[] = {
		0, 0, 0, 5, SSH_FXP_VERSION, 0, 0, 0, 2
	};

	client_send_init(&self->cl, 2);
	ASSERT_EQ(sizeof(want), self->cl.fake.out_len);
	EXPECT_MEMEQ(want, self->cl.fake.out, sizeof(want));
	self->cl.taken = sizeof(want);
	buf_put_cstring(client_begin(&self->cl, SSH_FXP_STAT), "none");
	ASSERT_EQ(SSH_FXP_STATUS, client_call(&self->cl));
	EXPECT_EQ(4, buf_len(&self->cl.reply)); /* no message, no language */
}

TEST_F(frame, a_newer_client_gets_version_3)
{
	client_send_init(&self->cl, 6);
	ASSERT_TRUE(client_take(&self->cl));
	EXPECT_EQ(3, self->cl.reply_id);
}

#define ENDS_CHANNEL(frame_name, init, ...)				\
	TEST_F(frame, frame_name)					\
	{								\
		static const uint8_t bytes[] = { __VA_ARGS__ };		\
									\
		if (init)						\
			client_init(&self->cl);				\
		feed(&self->cl, bytes, sizeof(bytes));			\
		EXPECT_TRUE(self->cl.fake.finished);			\
		EXPECT_EQ(255 << 8, self->cl.fake.ch.status);		\
		EXPECT_FALSE(client_take(&self->cl));			\
	}

ENDS_CHANNEL(a_request_before_init_ends_the_channel, false, 0, 0, 0, 10,
	     SSH_FXP_STAT, 0, 0, 0, 1, 0, 0, 0, 1, '/')
ENDS_CHANNEL(a_second_init_ends_the_channel, true, 0, 0, 0, 5, SSH_FXP_INIT, 0,
	     0, 0, 3)
ENDS_CHANNEL(an_init_without_version_ends_the_channel, false, 0, 0, 0, 4,
	     SSH_FXP_INIT, 0, 0, 0)
ENDS_CHANNEL(a_frame_of_no_length_ends_the_channel, true, 0, 0, 0, 0)
ENDS_CHANNEL(a_frame_of_2_gib_ends_the_channel, true, 0x7f, 0xff, 0xff, 0xff)
ENDS_CHANNEL(a_frame_of_4_gib_ends_the_channel, true, 0xff, 0xff, 0xff, 0xff)
ENDS_CHANNEL(a_frame_above_the_limit_ends_the_channel, true, 0, 4, 4, 1,
	     SSH_FXP_WRITE)
ENDS_CHANNEL(a_request_without_id_ends_the_channel, true, 0, 0, 0, 4,
	     SSH_FXP_STAT, 0, 0, 0)
ENDS_CHANNEL(a_write_without_id_ends_the_channel, true, 0, 0, 0, 4,
	     SSH_FXP_WRITE, 0, 0, 0)
ENDS_CHANNEL(bytes_that_are_not_sftp_end_the_channel, false, 'S', 'S', 'H', '-',
	     '2', '.', '0', '\r', '\n')

TEST_F(frame, unknown_requests_are_unsupported_and_the_stream_stays_in_step)
{
	static const uint8_t types[] = { 0, 2, 21, 99, 101, 105, 199, 201, 255 };
	size_t i;

	client_init(&self->cl);
	for (i = 0; i < sizeof(types); i++) {
		buf_put_cstring(client_begin(&self->cl, types[i]), "anything");
		EXPECT_EQ(SSH_FX_OP_UNSUPPORTED, client_status(&self->cl));
	}
	buf_put_u32(client_begin_ext(&self->cl, "none@example.org"), 7);
	EXPECT_EQ(SSH_FX_OP_UNSUPPORTED, client_status(&self->cl));
	EXPECT_EQ(1000 + SSH_FXP_ATTRS,
		  client_on_path(&self->cl, SSH_FXP_STAT, "."));
}

TEST_F(frame, an_unknown_request_of_the_largest_size_is_answered)
{
	uint8_t *data = make_data(SFTP_MSG_MAX);

	client_init(&self->cl);
	buf_put_raw(client_begin(&self->cl, 99), data, SFTP_MSG_MAX - 5);
	EXPECT_EQ(SSH_FX_OP_UNSUPPORTED, client_status(&self->cl));
	EXPECT_EQ(1000 + SSH_FXP_ATTRS,
		  client_on_path(&self->cl, SSH_FXP_STAT, "."));
	free(data);
}

/* A frame of each type, of @len bytes behind the id. */
static void fill_zeroes(struct client *cl, uint8_t type, size_t len)
{
	struct buf *req = client_begin(cl, type);

	while (len--)
		buf_put_u8(req, 0);
}

TEST_F(frame, requests_that_end_early_are_bad_messages)
{
	int type;

	client_init(&self->cl);
	for (type = SSH_FXP_OPEN; type <= SSH_FXP_SYMLINK; type++) {
		fill_zeroes(&self->cl, type, 0);
		EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(&self->cl));
		fill_zeroes(&self->cl, type, 3);
		EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(&self->cl));
	}
	fill_zeroes(&self->cl, SSH_FXP_EXTENDED, 0);
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(&self->cl));
}

TEST_F(frame, strings_beyond_the_end_are_bad_messages)
{
	int type;

	client_init(&self->cl);
	for (type = SSH_FXP_OPEN; type <= SSH_FXP_SYMLINK; type++) {
		buf_put_u32(client_begin(&self->cl, type), 0xffffffff);
		buf_put_u64(&self->cl.req, 0);
		EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(&self->cl));
		buf_put_u32(client_begin(&self->cl, type), 9);
		buf_put_u64(&self->cl.req, 0);
		EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(&self->cl));
	}
}

TEST_F(frame, names_with_nul_are_bad_messages)
{
	client_init(&self->cl);
	buf_put_string(client_begin(&self->cl, SSH_FXP_STAT), ".\0x", 3);
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(&self->cl));
	buf_put_cstring(client_begin(&self->cl, SSH_FXP_RENAME), "a");
	buf_put_string(&self->cl.req, "b\0", 2);
	EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(&self->cl));
}

TEST_F(frame, a_write_cut_short_anywhere_is_answered_and_in_step)
{
	struct client *cl = &self->cl;
	struct client_handle handle;
	size_t full, len;

	client_init(cl);
	ASSERT_EQ(SSH_FX_OK,
		  client_open_file(cl, "f", SSH_FXF_WRITE | SSH_FXF_CREAT,
				   &handle));
	client_fill_write(cl, &handle, 0, "0123456789", 10);
	full = buf_len(&cl->req);
	for (len = 9; len < full; len++) {
		client_fill_write(cl, &handle, 0, "0123456789", 10);
		cl->req.len = cl->req.off + len;
		EXPECT_EQ(SSH_FX_BAD_MESSAGE, client_status(cl));
	}
	EXPECT_TRUE(file_is("f", "", 0));
	client_fill_write(cl, &handle, 0, "0123456789", 10);
	buf_put_cstring(&cl->req, "and something behind it");
	EXPECT_EQ(SSH_FX_OK, client_status(cl));
	EXPECT_TRUE(file_is("f", "0123456789", 10));
	EXPECT_EQ(SSH_FX_OK, client_write(cl, &handle, 1, "x", 1));
	EXPECT_TRUE(file_is("f", "0x23456789", 10));
}

TEST_F(frame, a_write_with_a_handle_of_any_length_is_answered_and_in_step)
{
	struct client_handle handle = { 0 };
	uint8_t str[300] = { 0 };
	size_t len;

	client_init(&self->cl);
	for (len = 0; len <= sizeof(str); len += len < 20 ? 1 : 35) {
		struct buf *req = client_begin(&self->cl, SSH_FXP_WRITE);

		buf_put_string(req, str, len);
		buf_put_u64(req, 0);
		buf_put_string(req, "0123456789", 10);
		EXPECT_EQ(len > 256 ? SSH_FX_BAD_MESSAGE : SSH_FX_FAILURE,
			  client_status(&self->cl));
	}
	EXPECT_EQ(SSH_FX_FAILURE,
		  client_on_handle(&self->cl, SSH_FXP_CLOSE, &handle));
}

/* ---- a session cut in two at every byte ---- */

static void put_frame(struct buf *to, struct client *cl)
{
	kssh_put_be32(cl->req.data, buf_len(&cl->req) - 4);
	buf_put_raw(to, buf_data(&cl->req), buf_len(&cl->req));
}

/* Handles are what a fresh server gives out first: slot 0, generation 1... */
static void fill_session(struct client *cl, struct buf *to)
{
	struct client_handle first = { { 0, 0, 0, 0, 0, 0, 0, 1 }, 8 };
	struct client_handle second = { { 0, 0, 0, 0, 0, 0, 0, 2 }, 8 };
	static const uint8_t init[] = { 0, 0, 0, 5, SSH_FXP_INIT, 0, 0, 0, 3 };

	buf_put_raw(to, init, sizeof(init));
	buf_put_cstring(client_begin(cl, SSH_FXP_OPEN), "f");
	buf_put_u32(&cl->req, SSH_FXF_READ | SSH_FXF_WRITE | SSH_FXF_CREAT);
	buf_put_u32(&cl->req, 0);
	put_frame(to, cl);
	client_fill_write(cl, &first, 0, "0123456789", 10);
	put_frame(to, cl);
	client_fill_write(cl, &second, 3, "!", 1);
	put_frame(to, cl);
	client_fill_write(cl, &first, 5, "", 0);
	put_frame(to, cl);
	client_fill_read(cl, &first, 2, 4);
	put_frame(to, cl);
	client_fill_read(cl, &first, 10, 4);
	put_frame(to, cl);
	buf_put_string(client_begin(cl, SSH_FXP_CLOSE), first.str, 8);
	put_frame(to, cl);
	buf_put_cstring(client_begin(cl, SSH_FXP_REMOVE), "f");
	put_frame(to, cl);
	buf_put_cstring(client_begin(cl, 77), "unknown");
	put_frame(to, cl);
}

static size_t run_split(struct client *cl, const struct buf *session, size_t at,
			uint8_t **out)
{
	struct sftp_options options = { 0 };
	struct fake_channel fake;

	fake_init(&fake);
	ASSERT_EQ(0, sftp_start(&fake.ch, &options));
	fake_send(&fake, buf_data(session), buf_len(session));
	fake_arrive(&fake, at);
	fake_arrive_all(&fake);
	fake_send_end(&fake);
	EXPECT_TRUE(fake.finished);
	EXPECT_EQ(0, fake.ch.status);
	EXPECT_FALSE(fake.held);
	*out = fake.out;
	fake.out = NULL;
	fake_exit(&fake);
	return fake.out_len;
}

TEST(a_session_split_at_any_byte_gets_the_same_answers)
{
	struct client cl;
	struct buf session;
	uint8_t *want, *got;
	size_t len;
	size_t at;

	client_open(&cl, false, 0);
	buf_init(&session, 4096);
	fill_session(&cl, &session);
	len = run_split(&cl, &session, buf_len(&session), &want);
	EXPECT_LT(200, len);
	for (at = 0; at < buf_len(&session); at++) {
		ASSERT_EQ(len, run_split(&cl, &session, at, &got));
		EXPECT_MEMEQ(want, got, len);
		free(got);
	}
	free(want);
	buf_free(&session);
	client_close(&cl);
}

/* ---- the channel's side ---- */

FIXTURE(flow)
{
	struct client cl;
};
FIXTURE_SETUP(flow)
{
	client_open(&self->cl, false, 0);
	client_init(&self->cl);
}
FIXTURE_TEARDOWN(flow)
{
	client_close(&self->cl);
}

/* Larger than what is copied. */
#define LARGE	(SFTP_SMALL_MAX + 1)

static const uint8_t *large_data(size_t off)
{
	static uint8_t data[LARGE];
	size_t i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = i * 7;
	return data + off;
}

static void make_large_file(const char *path)
{
	make_file(path, large_data(0), LARGE);
}

/* As many requests for what is not there: the answers are small. */
static void queue_stats(struct client *cl, int n)
{
	while (n--) {
		buf_put_cstring(client_begin(cl, SSH_FXP_STAT), "none");
		client_queue(cl);
	}
}

static int take_in_order(struct client *cl, uint32_t first)
{
	int n = 0;

	while (client_take(cl))
		EXPECT_EQ(first + n++, cl->reply_id);
	return n;
}

#define FLOOD	10000

TEST_F(flow, takes_some_input_while_no_answer_is_taken_and_then_none)
{
	struct client *cl = &self->cl;
	uint32_t first = cl->req_id + 1;

	cl->fake.room = 0;
	queue_stats(cl, FLOOD);
	fake_arrive_all(&cl->fake);
	EXPECT_FALSE(client_take(cl));
	/* A thousand requests may be in flight, not any number. */
	EXPECT_LT(1000 * 18, cl->fake.in_off);
	EXPECT_GT(4000 * 18, cl->fake.in_off);
	fake_make_room(&cl->fake, 1);
	fake_make_room(&cl->fake, 2);
	EXPECT_GT(cl->fake.in_len, cl->fake.in_off);
	fake_make_room(&cl->fake, -1);
	EXPECT_EQ(cl->fake.in_len, cl->fake.in_off);
	EXPECT_EQ(FLOOD, take_in_order(cl, first));
}

TEST_F(flow, a_read_waits_for_room_and_is_answered_once)
{
	struct client *cl = &self->cl;
	struct client_handle handle;
	const uint8_t *p;
	size_t len;
	int i;

	make_large_file("f");
	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "f", SSH_FXF_READ, &handle));
	cl->fake.room = 0;
	for (i = 0; i < 4; i++) {
		client_fill_read(cl, &handle, i, 1);
		client_queue(cl);
	}
	fake_arrive_all(&cl->fake);
	EXPECT_FALSE(client_take(cl));
	fake_make_room(&cl->fake, 1);
	fake_make_room(&cl->fake, 0);
	fake_make_room(&cl->fake, 2);
	fake_make_room(&cl->fake, -1);
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(client_take(cl));
		EXPECT_EQ(cl->req_id - 3 + i, cl->reply_id);
		ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &len));
		EXPECT_EQ(1, len);
		EXPECT_EQ(*large_data(i), *p);
	}
	EXPECT_FALSE(client_take(cl));
}

TEST_F(flow, answers_leave_together_when_no_request_waits)
{
	struct client *cl = &self->cl;
	unsigned int writes = cl->fake.n_writes;
	uint32_t first = cl->req_id + 1;

	queue_stats(cl, 5);
	fake_arrive_all(&cl->fake);
	EXPECT_EQ(writes + 1, cl->fake.n_writes);
	EXPECT_EQ(5, take_in_order(cl, first));
	/* The last one has come in part only: it is not waited for. */
	first = cl->req_id + 1;
	queue_stats(cl, 3);
	fake_arrive(&cl->fake, cl->fake.in_len - cl->fake.in_ready - 3);
	EXPECT_EQ(2, take_in_order(cl, first));
	fake_arrive_all(&cl->fake);
	EXPECT_EQ(1, take_in_order(cl, first + 2));
}

TEST_F(flow, answers_do_not_wait_for_the_end_of_a_long_upload)
{
	struct client *cl = &self->cl;
	struct client_handle handle;
	uint8_t *data = make_data(32768);
	unsigned int writes;
	uint32_t first;
	int i;

	ASSERT_EQ(SSH_FX_OK,
		  client_open_file(cl, "f", SSH_FXF_WRITE | SSH_FXF_CREAT,
				   &handle));
	writes = cl->fake.n_writes;
	first = cl->req_id + 1;
	for (i = 0; i < 64; i++) {
		client_fill_write(cl, &handle, i * 32768, data, 32768);
		client_queue(cl);
	}
	fake_arrive_all(&cl->fake);
	EXPECT_LT(writes + 10, cl->fake.n_writes);
	EXPECT_EQ(64, take_in_order(cl, first));
	free(data);
}

TEST_F(flow, data_waits_for_more_only_while_requests_do)
{
	struct client *cl = &self->cl;
	struct client_handle handle;
	unsigned int more;
	int i;

	make_large_file("f");
	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "f", SSH_FXF_READ, &handle));
	more = cl->fake.n_more;
	for (i = 0; i < 4; i++) {
		client_fill_read(cl, &handle, 0, 10);
		client_queue(cl);
	}
	fake_arrive_all(&cl->fake);
	EXPECT_EQ(more + 3, cl->fake.n_more);
	EXPECT_FALSE(cl->fake.held);
	/* Half a request is there: what was held back for it must go. */
	client_queue(cl);
	client_queue(cl);
	fake_arrive(&cl->fake, cl->fake.in_len - cl->fake.in_ready - 3);
	EXPECT_EQ(more + 4, cl->fake.n_more);
	EXPECT_FALSE(cl->fake.held);
	EXPECT_LT(0, cl->fake.n_flushes);
	/* An answer before the data and the end of the file behind it. */
	fake_arrive_all(&cl->fake);
	queue_stats(cl, 1);
	client_fill_read(cl, &handle, LARGE, 10);
	client_queue(cl);
	fake_arrive_all(&cl->fake);
	EXPECT_FALSE(cl->fake.held);
	for (i = 0; client_take(cl); i++)
		;
	EXPECT_EQ(8, i);
	EXPECT_EQ(SSH_FX_EOF, client_status_of(cl));
}

TEST_F(flow, end_of_file_comes_after_all_answers)
{
	struct client *cl = &self->cl;
	uint32_t first = cl->req_id + 1;

	cl->fake.room = 0;
	queue_stats(cl, FLOOD);
	cl->fake.eof = true;
	fake_arrive_all(&cl->fake);
	EXPECT_FALSE(cl->fake.finished);
	fake_make_room(&cl->fake, 1);
	EXPECT_FALSE(cl->fake.finished);
	fake_make_room(&cl->fake, -1);
	EXPECT_EQ(FLOOD, take_in_order(cl, first));
	EXPECT_TRUE(cl->fake.finished);
	EXPECT_EQ(0, cl->fake.ch.status);
}

TEST_F(flow, any_end_closes_what_is_open)
{
	struct client *cl = &self->cl;
	unsigned int fds = count_fds();
	struct client_handle handle;

	make_file("f", "", 0);
	ASSERT_EQ(SSH_FX_OK, client_open_file(cl, "f", SSH_FXF_WRITE, &handle));
	ASSERT_EQ(SSH_FX_OK, client_opendir(cl, ".", &handle));
	EXPECT_EQ(fds + 2, count_fds());
	channel_end(&cl->fake.ch);
	EXPECT_EQ(fds, count_fds());
}

TEST_F(flow, the_end_within_a_write_keeps_what_came)
{
	struct client *cl = &self->cl;
	unsigned int fds = count_fds();
	struct client_handle handle;

	ASSERT_EQ(SSH_FX_OK,
		  client_open_file(cl, "f", SSH_FXF_WRITE | SSH_FXF_CREAT,
				   &handle));
	client_fill_write(cl, &handle, 0, "0123456789", 10);
	client_queue(cl);
	fake_arrive(&cl->fake, buf_len(&cl->req) - 4);
	cl->fake.in_len -= 4;
	fake_send_end(&cl->fake);
	EXPECT_TRUE(cl->fake.finished);
	EXPECT_TRUE(file_is("f", "012345", 6));
	EXPECT_EQ(fds, count_fds());
}

TEST_F(flow, a_dead_channel_ends_the_server)
{
	struct client *cl = &self->cl;

	cl->fake.write_err = -EPIPE;
	buf_put_cstring(client_begin(cl, SSH_FXP_STAT), "none");
	client_queue(cl);
	fake_arrive_all(&cl->fake);
	EXPECT_TRUE(cl->fake.finished);
}

TEST_HARNESS_MAIN
