// SPDX-License-Identifier: MIT
/* auth/authorized_keys_file.c: files, their names, owners and modes. */
#include <fcntl.h>
#include <sys/stat.h>

#include "auth/authorized_keys.h"
#include "harness.h"
#include "key/key.h"
#include "key_data.h"
#include "lib/mem.h"

FIXTURE(file)
{
	char dir[64];
	char ssh[80];
	char path[128];
	struct conf conf;
	struct account account;
	struct authkey_match match;
	uint8_t blob[128];
	size_t blob_len;
};

static void put(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	ASSERT_LE(0, fd);
	ASSERT_EQ(strlen(text), write(fd, text, strlen(text)));
	ASSERT_EQ(0, fchmod(fd, mode));
	close(fd);
}

static void put_key(FIXTURE_DATA(file) *self, const char *options)
{
	char text[1024];

	snprintf(text, sizeof(text), "# c\n\n%s ssh-ed25519 %s c\n", options,
		 pub_ed25519);
	put(self->path, text, 0600);
}

FIXTURE_SETUP(file)
{
	struct authorized_key key;
	char text[256];

	memset(self, 0, sizeof(*self));
	strcpy(self->dir, "/tmp/kssh-home-XXXXXX");
	ASSERT_NOT_NULL(mkdtemp(self->dir));
	snprintf(self->ssh, sizeof(self->ssh), "%s/.ssh", self->dir);
	ASSERT_EQ(0, mkdir(self->ssh, 0700));
	snprintf(self->path, sizeof(self->path), "%s/authorized_keys",
		 self->ssh);
	conf_init(&self->conf);
	ASSERT_EQ(0, conf_load(&self->conf, NULL));
	self->account.name = (char *)"user";
	self->account.home = self->dir;
	self->account.uid = geteuid();
	self->account.gid = getegid();
	snprintf(text, sizeof(text), "ssh-ed25519 %s", pub_ed25519);
	ASSERT_EQ(0, authorized_key_parse(&key, text, strlen(text)));
	memcpy(self->blob, key.blob, key.blob_len);
	self->blob_len = key.blob_len;
	authorized_key_free(&key);
}

FIXTURE_TEARDOWN(file)
{
	char command[256];

	authkey_match_free(&self->match);
	conf_free(&self->conf);
	snprintf(command, sizeof(command), "rm -rf '%s'", self->dir);
	EXPECT_EQ(0, system(command));
}

static int search(FIXTURE_DATA(file) *self)
{
	authkey_match_free(&self->match);
	return authorized_keys_search(&self->match, &self->conf, &self->account,
				      self->blob, self->blob_len);
}

TEST_F(file, finds_a_key_and_its_line)
{
	put_key(self, "command=\"x y\",no-pty");
	ASSERT_EQ(0, search(self));
	EXPECT_TRUE(self->match.found);
	EXPECT_EQ(3, self->match.line);
	EXPECT_STREQ(self->path, self->match.file);
	EXPECT_STREQ("x y", self->match.command);
	EXPECT_EQ(AUTHKEY_NO_PTY, self->match.flags);
	EXPECT_STREQ("", self->match.complaint);
}

TEST_F(file, finds_nothing_where_there_is_nothing)
{
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
	EXPECT_STREQ("", self->match.complaint);
	put(self->path, "", 0600);
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
}

TEST_F(file, does_not_find_another_key)
{
	put_key(self, "");
	self->blob[self->blob_len - 1] ^= 1;
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
}

TEST_F(file, does_not_find_the_beginning_of_a_key)
{
	put_key(self, "");
	self->blob_len--;
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
}

TEST_F(file, looks_into_the_second_file)
{
	strcat(self->path, "2");
	put_key(self, "");
	ASSERT_EQ(0, search(self));
	EXPECT_TRUE(self->match.found);
	EXPECT_STREQ(self->path, self->match.file);
}

TEST_F(file, reads_a_last_line_without_line_feed)
{
	char text[256];

	snprintf(text, sizeof(text), "x\r\nssh-ed25519 %s", pub_ed25519);
	put(self->path, text, 0600);
	ASSERT_EQ(0, search(self));
	EXPECT_TRUE(self->match.found);
	EXPECT_EQ(2, self->match.line);
}

TEST_F(file, passes_over_lines_that_are_too_long)
{
	size_t len = AUTHKEY_LINE_MAX * 3;
	char *text = malloc(len + 256);

	memset(text, 'x', len);
	sprintf(text + len, "\nssh-ed25519 %s\n", pub_ed25519);
	put(self->path, text, 0600);
	free(text);
	ASSERT_EQ(0, search(self));
	EXPECT_TRUE(self->match.found);
	EXPECT_EQ(2, self->match.line);
}

TEST_F(file, names_the_line_and_the_option_it_cannot_take)
{
	put_key(self, "from=\"1.2.3.4\"");
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
	EXPECT_EQ(3, self->match.line);
	EXPECT_STREQ(self->path, self->match.file);
	EXPECT_NOT_NULL(strstr(self->match.complaint, "from"));
}

TEST_F(file, takes_a_later_line_with_the_same_key)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "from=\"x\" ssh-ed25519 %s\nno-pty ssh-ed25519 %s\n",
		 pub_ed25519, pub_ed25519);
	put(self->path, text, 0600);
	ASSERT_EQ(0, search(self));
	EXPECT_TRUE(self->match.found);
	EXPECT_EQ(2, self->match.line);
	EXPECT_STREQ("", self->match.complaint);
}

TEST_F(file, refuses_a_file_that_others_may_write)
{
	put_key(self, "");
	ASSERT_EQ(0, chmod(self->path, 0620));
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
	EXPECT_NOT_NULL(strstr(self->match.complaint, "written by others"));
	ASSERT_EQ(0, chmod(self->path, 0602));
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
	ASSERT_EQ(0, chmod(self->path, 0644));
	ASSERT_EQ(0, search(self));
	EXPECT_TRUE(self->match.found);
}

TEST_F(file, refuses_folders_that_others_may_write)
{
	put_key(self, "");
	ASSERT_EQ(0, chmod(self->ssh, 0770));
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
	EXPECT_NOT_NULL(strstr(self->match.complaint, self->ssh));
	ASSERT_EQ(0, chmod(self->ssh, 0700));
	ASSERT_EQ(0, chmod(self->dir, 0777));
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
	ASSERT_EQ(0, chmod(self->dir, 0755));
	ASSERT_EQ(0, search(self));
	EXPECT_TRUE(self->match.found);
}

TEST_F(file, does_not_look_above_the_home)
{
	put_key(self, "");
	/* /tmp, with its mode 1777, is above the home */
	ASSERT_EQ(0, search(self));
	EXPECT_TRUE(self->match.found);
	/* with another home it is on the way to the root */
	self->account.home = (char *)"/nonexistent";
	free(self->conf.authorized_keys[0]);
	self->conf.authorized_keys[0] = strdup(self->path);
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
	EXPECT_NOT_NULL(strstr(self->match.complaint, "/tmp can be written"));
}

TEST_F(file, refuses_files_of_others)
{
	if (geteuid())
		SKIP(return, "needs root");
	put_key(self, "");
	self->account.uid = 12345;
	ASSERT_EQ(0, chown(self->path, 12346, 0));
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
	EXPECT_NOT_NULL(strstr(self->match.complaint, "uid 12346"));
	ASSERT_EQ(0, chown(self->path, 12345, 0));
	ASSERT_EQ(0, chown(self->ssh, 12346, 0));
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
	ASSERT_EQ(0, chown(self->ssh, 12345, 0));
	ASSERT_EQ(0, search(self));
	EXPECT_TRUE(self->match.found);
}

TEST_F(file, looks_at_the_real_place_behind_a_link)
{
	char other[128];

	snprintf(other, sizeof(other), "%s/open", self->dir);
	ASSERT_EQ(0, mkdir(other, 0700));
	ASSERT_EQ(0, chmod(other, 0777));
	strcat(other, "/keys");
	put_key(self, "");
	ASSERT_EQ(0, rename(self->path, other));
	ASSERT_EQ(0, symlink(other, self->path));
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
	EXPECT_NOT_NULL(strstr(self->match.complaint, "/open can be"));
}

TEST_F(file, takes_any_mode_without_strict_modes)
{
	put_key(self, "");
	ASSERT_EQ(0, chmod(self->path, 0666));
	self->conf.strict_modes = false;
	ASSERT_EQ(0, search(self));
	EXPECT_TRUE(self->match.found);
}

TEST_F(file, does_not_wait_for_a_fifo_nor_read_a_folder)
{
	ASSERT_EQ(0, mkfifo(self->path, 0600));
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
	EXPECT_NOT_NULL(strstr(self->match.complaint, "regular"));
	ASSERT_EQ(0, unlink(self->path));
	ASSERT_EQ(0, mkdir(self->path, 0700));
	ASSERT_EQ(0, search(self));
	EXPECT_FALSE(self->match.found);
}

TEST_F(file, expands_tokens)
{
	struct account account = {
		.name = (char *)"bob",
		.home = (char *)"/home/b",
		.uid = 77,
	};
	static const struct {
		const char *pattern;
		const char *path;
	} rows[] = {
		{ "k", "/home/b/k" },
		{ "/etc/%u/%U/%%", "/etc/bob/77/%" },
		{ "%h/k", "/home/b/k" },
		{ "%u", "/home/b/bob" },
		{ "%%", "/home/b/%" },
	};
	char *path;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		path = authorized_keys_path(rows[i].pattern, &account);
		EXPECT_STREQ(rows[i].path, path);
		free(path);
	}
	EXPECT_NULL(authorized_keys_path("%x", &account));
	EXPECT_NULL(authorized_keys_path("%", &account));
}

TEST_HARNESS_MAIN
