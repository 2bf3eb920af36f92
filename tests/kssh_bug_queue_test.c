// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: what broke its relatives, in parsing, queues and partial sends.
 * A test is named after the fault it would have found; docs/bug-classes.md
 * lists them all. Needs the module and root: it runs in the VM.
 */
#include "kssh_peer.h"

/* CVE-2026-74611: no byte behind what was asked for. */
TEST_F(kssh, cve_2026_74611_canary)
{
	unsigned char out[5000], in[5016];
	int ret, n, i;

	fill(out, sizeof(out), 3);
	for (n = 1; n < 5000; n = n * 2 + 1) {
		ASSERT_EQ(5000, write_all(self->ca, out, 5000));
		for (i = 0; i < 5000; i += ret) {
			memset(in, 0xa5, sizeof(in));
			ret = recv(self->cb, in, n, 0);
			ASSERT_LT(0, ret);
			ASSERT_EQ(0, memcmp(out + i, in, ret));
			ASSERT_EQ(0xa5, in[ret]);
			ASSERT_EQ(0xa5, in[n]);
		}
	}
}

/* CVE-2026-72041: a peer that opens its window by a byte. */
TEST_F(peer, cve_2026_72041_window_of_one_byte)
{
	struct kssh_channel info = channel_info(3, 4);
	unsigned char msg[1000], out[40];
	int ch, i, total = 0;

	info.remote_window = 1;
	ch = bind_channel(self->fd, &info);
	ASSERT_LE(0, ch);
	set_nonblock(ch);
	fill(out, sizeof(out), 1);
	for (i = 0; i < 40; i++) {
		while (write(ch, out + i, 1) != 1)
			poll_for(ch, POLLOUT, 1000);
		ASSERT_EQ(10, raw_recv(&self->rx, msg));
		EXPECT_EQ(SSH_MSG_CHANNEL_DATA, msg[0]);
		EXPECT_EQ(out[i], msg[9]);
		total++;
		ASSERT_EQ(0, raw_adjust(&self->tx, 3, 1));
	}
	EXPECT_EQ(40, total);
	close(ch);
}

TEST_HARNESS_MAIN
