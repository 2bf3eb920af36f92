// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: what broke its relatives, by peers that stall, and by BPF.
 * A test is named after the fault it would have found; docs/bug-classes.md
 * lists them all. Needs the module and root: it runs in the VM.
 */
#include <linux/bpf.h>
#include <sys/syscall.h>

#include "kssh_peer.h"

/* CVE-2023-54306: SSH's window and TCP's are shut; nobody sleeps with a lock. */
TEST_F(peer, cve_2023_54306_both_windows_shut)
{
	unsigned char *buf = calloc(1, WINDOW);
	struct timeval tv = { .tv_usec = 100000 };
	int sent = 0, ret;

	ASSERT_EQ(0, setsockopt(self->ch, SOL_SOCKET, SO_SNDTIMEO, &tv,
				sizeof(tv)));
	/* the peer reads nothing: first TCP is full, or the window spent */
	do {
		ret = send(self->ch, buf, WINDOW, MSG_NOSIGNAL);
		sent += ret > 0 ? ret : 0;
	} while (ret > 0);
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_LE(sent, WINDOW);
	/* others get their answers meanwhile */
	EXPECT_EQ(1, get_info(self->fd).channels);
	EXPECT_EQ(0, poll_for(self->ch, POLLOUT, 0) & POLLOUT);
	EXPECT_EQ(0, shutdown(self->ch, SHUT_WR));
	free(buf);
}

/* sockmap, CVE-2025-38166 and others: not with us. */
static int bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr)) < 0 ? -errno : 0;
}

static int sockmap_add(int map, int fd)
{
	union bpf_attr attr = { 0 };
	uint32_t key = 0;

	attr.map_fd = map;
	attr.key = (unsigned long)&key;
	attr.value = (unsigned long)&fd;
	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

TEST_F(kssh, cve_2025_38166_sockmap)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_SOCKMAP,
				.key_size = 4,
				.value_size = 4,
				.max_entries = 1 };
	int map = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	int fds[2];
	char c;

	ASSERT_LE(0, map);
	EXPECT_GT(0, sockmap_add(map, self->a));
	EXPECT_GT(0, sockmap_add(map, self->ca));
	ASSERT_EQ(0, tcp_pair(fds));
	ASSERT_EQ(0, sockmap_add(map, fds[0]));
	EXPECT_GT(0, attach(fds[0]));
	close(fds[0]);
	close(fds[1]);
	close(map);
	ASSERT_EQ(1, write(self->ca, "x", 1));
	ASSERT_EQ(1, read(self->cb, &c, 1));
}

TEST_HARNESS_MAIN
