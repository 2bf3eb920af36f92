// SPDX-License-Identifier: MIT
/* Options of internal-sftp: how they are written, and what they do. */
#include "conf/conf.h"
#include "lib/mem.h"
#include "log_lines.h"
#include "sftp_client.h"

#define RW (SSH_FXF_READ | SSH_FXF_WRITE)

static char why[256];

/* The options point into the text, which stays. */
static int parse(struct sftp_options *options, const char *text)
{
	static char command[1024];

	snprintf(command, sizeof(command), "%s", text);
	why[0] = 0;
	return conf_sftp_options(options, command, why, sizeof(why));
}

/* A server with these options, in a folder of its own. */
static void serve(struct client *cl, const char *text)
{
	struct sftp_options options;

	ASSERT_EQ(0, parse(&options, text))
	TH_LOG("%s: %s", text, why);
	client_open(cl, false, 7);
	fake_send_end(&cl->fake);
	fake_exit(&cl->fake);
	fake_init(&cl->fake);
	ASSERT_EQ(0, sftp_start(&cl->fake.ch, &options));
	client_init(cl);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? 0 : st.st_mode & 07777;
}

/* ---- how they are written ---- */

TEST(knows_its_own_name_alone)
{
	EXPECT_TRUE(conf_is_sftp("internal-sftp"));
	EXPECT_TRUE(conf_is_sftp("internal-sftp -R"));
	EXPECT_TRUE(conf_is_sftp("internal-sftp\t-R"));
	EXPECT_FALSE(conf_is_sftp("internal-sftpd"));
	EXPECT_FALSE(conf_is_sftp("/internal-sftp"));
	EXPECT_FALSE(conf_is_sftp(""));
}

TEST(takes_every_option)
{
	struct sftp_options o;

	ASSERT_EQ(0, parse(&o, "internal-sftp"));
	EXPECT_FALSE(o.read_only);
	EXPECT_FALSE(o.has_umask);
	EXPECT_NULL(o.start_dir);
	EXPECT_EQ(0, o.refused);
	EXPECT_EQ(LOG_LEVEL_ERROR, o.log_level);

	ASSERT_EQ(0, parse(&o, "internal-sftp -R -e -u 027 -d /srv/%u -f "
			       "LOCAL3 -l verbose -P remove,rmdir"));
	EXPECT_TRUE(o.read_only);
	EXPECT_TRUE(o.has_umask);
	EXPECT_EQ(027, o.umask);
	EXPECT_STREQ("/srv/%u", o.start_dir);
	EXPECT_EQ(LOG_LEVEL_VERBOSE, o.log_level);
	EXPECT_EQ(sftp_request_bit("remove", 6) | sftp_request_bit("rmdir", 5),
		  o.refused);
}

TEST(takes_options_in_all_their_forms)
{
	struct sftp_options o;

	ASSERT_EQ(0, parse(&o, "internal-sftp  -eRu0077\t-d'/a b'/\"c d\" "));
	EXPECT_TRUE(o.read_only);
	EXPECT_EQ(077, o.umask);
	EXPECT_STREQ("/a b/c d", o.start_dir);
	ASSERT_EQ(0, parse(&o, "internal-sftp -R # -u 9"));
	EXPECT_TRUE(o.read_only);
	ASSERT_EQ(0, parse(&o, "internal-sftp -P read -P write"));
	EXPECT_EQ(sftp_request_bit("read", 4) | sftp_request_bit("write", 5),
		  o.refused);
}

TEST(refuses_all_but_what_is_allowed)
{
	uint64_t open = sftp_request_bit("open", 4);
	uint64_t close = sftp_request_bit("close", 5);
	struct sftp_options o;

	ASSERT_EQ(0, parse(&o, "internal-sftp -p open,close -P close"));
	EXPECT_EQ(0, o.refused & open);
	EXPECT_EQ(close, o.refused & close);
	EXPECT_NE(0, o.refused & sftp_request_bit("statvfs", 7));
}

TEST(knows_the_names_of_requests)
{
	static const char *const names[] = {
		"open",
		"close",
		"read",
		"write",
		"lstat",
		"fstat",
		"setstat",
		"fsetstat",
		"opendir",
		"readdir",
		"remove",
		"mkdir",
		"rmdir",
		"realpath",
		"stat",
		"rename",
		"readlink",
		"symlink",
		"statvfs",
		"posix-rename",
		"fstatvfs",
		"hardlink",
		"fsync",
		"lsetstat",
		"limits",
		"expand-path",
		"copy-data",
		"home-directory",
		"users-groups-by-id",
	};
	static const char *const none[] = {
		"",
		"ope",
		"opens",
		"OPEN",
		"init",
		"extended",
		"fsync@openssh.com",
		"limits@",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		EXPECT_NE(0, sftp_request_bit(names[i], strlen(names[i])))
	TH_LOG("%s", names[i]);
	for (i = 0; i < ARRAY_SIZE(none); i++)
		EXPECT_EQ(0, sftp_request_bit(none[i], strlen(none[i])))
	TH_LOG("%s", none[i]);
}

TEST(refuses_options_that_make_no_sense)
{
	static const char *const bad[] = {
		"-x",	       "-Q requests",
		"-h",	       "-",
		"x",	       "-u",
		"-u 8",	       "-u 0x1",
		"-u 1777",     "-u -1",
		"-u ''",       "-d",
		"-d ''",       "-d %x",
		"-d a%",       "-l LOUD",
		"-l",	       "-f KERN",
		"-P",	       "-P nothing",
		"-P ,read",    "-p read,,open",
		"-p extended", "-R x",
		"-R '",	       "-u 022 \"",
	};
	struct sftp_options o;
	char text[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "internal-sftp %s", bad[i]);
		EXPECT_EQ(-EINVAL, parse(&o, text))
		TH_LOG("%s", text);
		EXPECT_NE(0, strlen(why));
	}
}

TEST(bounds_the_number_of_options)
{
	char text[512] = "internal-sftp";
	struct sftp_options o;
	int i;

	for (i = 0; i < 100; i++)
		strcat(text, " -R");
	EXPECT_EQ(-EINVAL, parse(&o, text));
	EXPECT_NOT_NULL(strstr(why, "too many"));
}

/* ---- what they do ---- */

TEST(umask_is_that_of_what_is_made_and_of_nothing_else)
{
	struct client_handle handle;
	struct client cl;

	serve(&cl, "internal-sftp -u 027");
	umask(022);
	ASSERT_EQ(SSH_FX_OK,
		  client_open_mode(&cl, "f", SSH_FXF_WRITE | SSH_FXF_CREAT,
				   0666, &handle));
	buf_put_cstring(client_begin(&cl, SSH_FXP_MKDIR), "d");
	buf_put_u32(&cl.req, 0);
	EXPECT_EQ(SSH_FX_OK, client_status(&cl));
	EXPECT_EQ(0640, mode_of("f"));
	EXPECT_EQ(0750, mode_of("d"));
	EXPECT_EQ(022, umask(022));
	client_close(&cl);
}

TEST(refused_requests_are_denied_and_the_others_work)
{
	struct client_handle handle;
	struct client cl;

	serve(&cl, "internal-sftp -P write,remove,hardlink");
	ASSERT_EQ(SSH_FX_OK,
		  client_open_file(&cl, "f", SSH_FXF_WRITE | SSH_FXF_CREAT,
				   &handle));
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED,
		  client_write(&cl, &handle, 0, "12345678901234567890", 20));
	EXPECT_EQ(SSH_FX_OK, client_on_handle(&cl, SSH_FXP_CLOSE, &handle));
	EXPECT_TRUE(file_is("f", "", 0));
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED,
		  client_on_path(&cl, SSH_FXP_REMOVE, "f"));
	buf_put_cstring(client_begin_ext(&cl, "hardlink@openssh.com"), "f");
	buf_put_cstring(&cl.req, "g");
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED, client_status(&cl));
	buf_put_cstring(client_begin_ext(&cl, "posix-rename@openssh.com"), "f");
	buf_put_cstring(&cl.req, "g");
	EXPECT_EQ(SSH_FX_OK, client_status(&cl));
	client_close(&cl);
}

TEST(only_allowed_requests_work)
{
	struct client_handle handle;
	struct client cl;

	serve(&cl, "internal-sftp -p open,close,posix-rename");
	make_file("f", "1", 1);
	ASSERT_EQ(SSH_FX_OK, client_open_file(&cl, "f", SSH_FXF_READ, &handle));
	client_fill_read(&cl, &handle, 0, 1);
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED, client_status(&cl));
	EXPECT_EQ(SSH_FX_OK, client_on_handle(&cl, SSH_FXP_CLOSE, &handle));
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED,
		  client_on_path(&cl, SSH_FXP_STAT, "f"));
	client_begin_ext(&cl, "limits@openssh.com");
	EXPECT_EQ(SSH_FX_PERMISSION_DENIED, client_status(&cl));
	client_close(&cl);
}

/* Are these bytes in what the server sent? */
static bool has_sent(struct client *cl, const char *text)
{
	return memmem(cl->fake.out, cl->fake.out_len, text, strlen(text));
}

TEST(refused_extensions_are_not_offered)
{
	struct client cl;

	serve(&cl, "internal-sftp -P fsync");
	EXPECT_FALSE(has_sent(&cl, "fsync@openssh.com"));
	EXPECT_TRUE(has_sent(&cl, "hardlink@openssh.com"));
	client_close(&cl);
	serve(&cl, "internal-sftp -R");
	EXPECT_FALSE(has_sent(&cl, "posix-rename@openssh.com"));
	EXPECT_TRUE(has_sent(&cl, "limits@openssh.com"));
	client_close(&cl);
}

/* What such a server logs of a transfer, an open directory and its end. */
static const char *log_of(struct log_lines *lines, const char *text)
{
	struct client_handle file, dir;
	const uint8_t *p;
	struct client cl;
	size_t len;

	log_lines_open(lines, LOG_LEVEL_INFO);
	serve(&cl, text);
	ASSERT_EQ(SSH_FX_OK, client_open_mode(&cl, "a\nb", RW | SSH_FXF_CREAT,
					      0644, &file));
	EXPECT_EQ(SSH_FX_OK, client_write(&cl, &file, 0, "12345", 5));
	EXPECT_EQ(SSH_FX_OK, client_read(&cl, &file, 0, 3, &p, &len));
	EXPECT_EQ(SSH_FX_OK, client_on_handle(&cl, SSH_FXP_CLOSE, &file));
	EXPECT_EQ(SSH_FX_NO_SUCH_FILE,
		  client_open_file(&cl, "none", SSH_FXF_READ, &file));
	EXPECT_EQ(SSH_FX_OK, client_opendir(&cl, ".", &dir));
	client_close(&cl);
	log_lines_read(lines);
	log_lines_close(lines);
	return lines->text;
}

TEST(opened_and_closed_files_are_logged_when_asked_for)
{
	static struct log_lines lines;

	EXPECT_STREQ("open \"a\\x0ab\" flags READ,WRITE,CREATE mode 0644\n"
		     "close \"a\\x0ab\" bytes read 3 written 5\n"
		     "opendir \".\"\n"
		     "forced closedir \".\"\n",
		     log_of(&lines, "internal-sftp -l INFO"));
	EXPECT_STREQ("", log_of(&lines, "internal-sftp"));
	EXPECT_STREQ("", log_of(&lines, "internal-sftp -l ERROR"));
}

TEST_HARNESS_MAIN
