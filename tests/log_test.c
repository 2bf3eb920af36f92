// SPDX-License-Identifier: MIT
/* lib/log.c */
#include "harness.h"
#include "log_lines.h"

TEST(escapes_all_but_printable_ascii)
{
	char out[64];

	EXPECT_STREQ("a b~", log_escape(out, sizeof(out), "a b~", 4));
	EXPECT_STREQ("\\x0a\\x1b\\x00\\x7f\\xff\\x5c",
		     log_escape(out, sizeof(out), "\n\033\0\177\377\\", 6));
	EXPECT_STREQ("", log_escape(out, sizeof(out), NULL, 0));
}

TEST(escapes_within_the_room_there_is)
{
	char out[8];

	EXPECT_STREQ("abcdefg", log_escape(out, 8, "abcdefghij", 10));
	EXPECT_STREQ("abc", log_escape(out, 7, "abc\n", 4));
	EXPECT_STREQ("\\x0a", log_escape(out, 5, "\n\n", 2));
	EXPECT_STREQ("", log_escape(out, 4, "\n", 1));
	EXPECT_STREQ("", log_escape(out, 1, "a", 1));
}

TEST(keeps_levels_apart)
{
	struct log_lines lines;

	log_lines_open(&lines, LOG_LEVEL_INFO);
	log_error("e%d", 1);
	log_info("i");
	log_verbose("v");
	log_debug("d");
	log_fatal("f");
	EXPECT_STREQ("e1\ni\nf\n", log_lines_read(&lines));
	log_lines_close(&lines);
}

TEST(logs_nothing_when_quiet)
{
	struct log_lines lines;

	log_lines_open(&lines, LOG_LEVEL_QUIET);
	log_fatal("f");
	EXPECT_STREQ("", log_lines_read(&lines));
	log_lines_close(&lines);
}

TEST(cuts_lines_that_are_too_long)
{
	struct log_lines lines;
	char text[5000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	log_lines_open(&lines, LOG_LEVEL_INFO);
	log_info("%s", text);
	EXPECT_EQ(1024, strlen(log_lines_read(&lines)));
	log_lines_close(&lines);
}

TEST(forwards_lines_made_printable)
{
	static const char msg[] = { LOG_LEVEL_INFO, 'a', '\n', '\033', 'b' };
	static const char lie[] = { 77, 'x' };
	static const char empty[] = { LOG_LEVEL_INFO };
	struct log_lines lines;
	int fds[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds));
	log_lines_open(&lines, LOG_LEVEL_INFO);
	EXPECT_EQ(-EAGAIN, log_forward(fds[0], false, "<", ">"));
	ASSERT_EQ(5, send(fds[1], msg, 5, 0));
	ASSERT_EQ(2, send(fds[1], lie, 2, 0));
	ASSERT_EQ(1, send(fds[1], empty, 1, 0));
	ASSERT_EQ(2, send(fds[1], lie, 2, 0));
	EXPECT_EQ(0, log_forward(fds[0], false, "<", ">"));
	EXPECT_EQ(0, log_forward(fds[0], false, "<", ">"));
	EXPECT_EQ(0, log_forward(fds[0], false, "<", ">"));
	EXPECT_EQ(0, log_forward(fds[0], true, "<", ">"));
	close(fds[1]);
	EXPECT_EQ(-ECONNRESET, log_forward(fds[0], false, "<", ">"));
	EXPECT_STREQ("<a??b>\n<x>\n<>\n", log_lines_read(&lines));
	log_lines_close(&lines);
	close(fds[0]);
}

TEST_HARNESS_MAIN
