// SPDX-License-Identifier: MIT
/* stream/banner.c */
#include <sys/socket.h>
#include <time.h>

#include "harness.h"
#include "lib/mem.h"
#include "packet/newkeys.h"
#include "stream/banner.h"

FIXTURE(banner)
{
	int fds[2];
	char line[VERSION_LINE_MAX + 1];
};

FIXTURE_SETUP(banner)
{
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->fds));
}

FIXTURE_TEARDOWN(banner)
{
	close(self->fds[0]);
	close(self->fds[1]);
}

static int64_t in_ms(int ms)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000 + ms;
}

static int recv_text(FIXTURE_DATA(banner) *self, const void *text, size_t len)
{
	ASSERT_EQ(len, send(self->fds[1], text, len, 0));
	return banner_recv(self->fds[0], in_ms(5000), self->line,
			   sizeof(self->line));
}

#define RECV(text)	recv_text(self, text, sizeof(text) - 1)

TEST_F(banner, says_openssh_in_the_comments)
{
	char text[256] = "";

	ASSERT_EQ(0, banner_send(self->fds[0], 0));
	ASSERT_LT(0, recv(self->fds[1], text, sizeof(text) - 1, 0));
	EXPECT_EQ(0, strncmp(text, "SSH-2.0-kSSH_", 13));
	EXPECT_NOT_NULL(strstr(text, " OpenSSH"));
	EXPECT_STREQ("\r\n", text + strlen(text) - 2);
	EXPECT_EQ(0, banner_check(banner_server_version,
				  strlen(banner_server_version)));
}

TEST_F(banner, takes_a_version_line_and_not_a_byte_more)
{
	char rest[8] = "";

	EXPECT_EQ(0, RECV("SSH-2.0-OpenSSH_10.0 Debian-7\r\nrest"));
	EXPECT_STREQ("SSH-2.0-OpenSSH_10.0 Debian-7", self->line);
	EXPECT_EQ(4, recv(self->fds[0], rest, sizeof(rest), MSG_DONTWAIT));
	EXPECT_STREQ("rest", rest);
}

TEST_F(banner, takes_a_line_feed_alone)
{
	EXPECT_EQ(0, RECV("SSH-2.0-x\n"));
	EXPECT_STREQ("SSH-2.0-x", self->line);
}

TEST_F(banner, takes_a_line_split_at_every_byte)
{
	static const char text[] = "SSH-1.99-my_client-1 c\r\n";
	size_t i;
	pid_t pid;

	pid = fork();
	if (!pid) {
		for (i = 0; i < sizeof(text) - 1; i++) {
			send(self->fds[1], text + i, 1, 0);
			usleep(1000);
		}
		_exit(0);
	}
	EXPECT_EQ(0, banner_recv(self->fds[0], in_ms(10000), self->line,
				 sizeof(self->line)));
	EXPECT_STREQ("SSH-1.99-my_client-1 c", self->line);
	waitpid(pid, NULL, 0);
}

TEST_F(banner, refuses_what_is_no_version_line)
{
	EXPECT_EQ(-EPROTO, RECV("GET / HTTP/1.1\r\n"));
	EXPECT_STREQ("GET / HTTP/1.1", self->line);
	EXPECT_EQ(-EPROTO, RECV("\r\n"));
	EXPECT_EQ(-EPROTO, RECV("\n"));
	EXPECT_EQ(-EPROTO, RECV("SSH\r\n"));
	EXPECT_EQ(-EPROTO, RECV("SSH-\r\n"));
	EXPECT_EQ(-EPROTO, RECV("SSH-2.0-\r\n"));
	EXPECT_EQ(-EPROTO, RECV("SSH-2.0- x\r\n"));
	EXPECT_EQ(-EPROTO, RECV("SSH-2.0\r\n"));
	EXPECT_EQ(-EPROTO, RECV("SSH-1\r\n"));
	EXPECT_EQ(-EPROTO, RECV("SSH-x-y\r\n"));
	EXPECT_EQ(-EPROTO, RECV("SSH--y\r\n"));
	EXPECT_EQ(-EPROTO, RECV("ssh-2.0-x\r\n"));
	EXPECT_EQ(-EPROTO, RECV(" SSH-2.0-x\r\n"));
	EXPECT_EQ(-EPROTO, RECV("SSH-1.99-\r\n"));
}

TEST_F(banner, refuses_nul_and_control_characters)
{
	EXPECT_EQ(-EPROTO, RECV("SSH-2.0-a\0b\r\n"));
	EXPECT_EQ(-EPROTO, RECV("SSH-2.0-a\rb\r\n"));
	EXPECT_EQ(-EPROTO, RECV("SSH-2.0-a\033[1m\r\n"));
	EXPECT_EQ(-EPROTO, RECV("SSH-2.0-a\177\r\n"));
}

TEST_F(banner, refuses_other_versions_of_the_protocol)
{
	EXPECT_EQ(-EPROTONOSUPPORT, RECV("SSH-1.5-old\r\n"));
	EXPECT_EQ(-EPROTONOSUPPORT, RECV("SSH-3.0-new\r\n"));
	EXPECT_EQ(-EPROTONOSUPPORT, RECV("SSH-2.1-x\r\n"));
}

TEST_F(banner, takes_255_characters_and_no_more)
{
	char text[300];

	memset(text, 'x', sizeof(text));
	memcpy(text, "SSH-2.0-", 8);
	memcpy(text + 253, "\r\n", 2);
	EXPECT_EQ(0, recv_text(self, text, 255));
	EXPECT_EQ(253, strlen(self->line));
	memset(text + 253, 'x', 20);
	text[280] = '\n';
	EXPECT_EQ(-EMSGSIZE, recv_text(self, text, 281));
}

TEST_F(banner, reports_a_peer_that_leaves)
{
	ASSERT_EQ(6, send(self->fds[1], "SSH-2.", 6, 0));
	shutdown(self->fds[1], SHUT_WR);
	EXPECT_EQ(-ECONNABORTED, banner_recv(self->fds[0], in_ms(5000),
					     self->line, sizeof(self->line)));
}

TEST_F(banner, reports_a_peer_that_says_nothing)
{
	EXPECT_EQ(-ETIMEDOUT, banner_recv(self->fds[0], in_ms(20), self->line,
					  sizeof(self->line)));
}

TEST_F(banner, tells_the_peer_what_was_wrong)
{
	char text[256];

	banner_complain(self->fds[0], -EPROTO);
	EXPECT_LT(0, recv(self->fds[1], text, sizeof(text), MSG_DONTWAIT));
	banner_complain(self->fds[0], -EMSGSIZE);
	EXPECT_LT(0, recv(self->fds[1], text, sizeof(text), MSG_DONTWAIT));
	banner_complain(self->fds[0], -EPROTONOSUPPORT);
	EXPECT_LT(0, recv(self->fds[1], text, sizeof(text), MSG_DONTWAIT));
	banner_complain(self->fds[0], -ETIMEDOUT);
	EXPECT_GT(0, recv(self->fds[1], text, sizeof(text), MSG_DONTWAIT));
}

TEST_HARNESS_MAIN
