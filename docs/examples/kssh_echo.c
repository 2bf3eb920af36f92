// SPDX-License-Identifier: MIT
/*
 * kssh_echo: the whole life of a channel, with keys out of thin air.
 *
 * Two ends of a TCP connection attach the ULP, install keys, bind a channel
 * each, and one end sends back what the other wrote. A real program gets keys,
 * sequence numbers and channel numbers from a key exchange, from user
 * authentication and from SSH_MSG_CHANNEL_OPEN, over the same connection.
 *
 * Needs: kssh.ko, and CAP_NET_ADMIN or sysctl net.kssh.unprivileged_attach=1.
 * Usage: echo hello | kssh_echo
 * Build: cc -Ikmod/include/uapi -o kssh_echo docs/examples/kssh_echo.c
 * Test:  tests/run -k 6.12 -p kernel example_test
 */
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/kssh.h>

#define WINDOW		(1024 * 1024)
#define MAX_PACKET	32768

/* A connection to ourselves: the ULP wants TCP, established. */
static void tcp_pair(int sk[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (listener < 0 || bind(listener, (void *)&addr, len) ||
	    listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len))
		err(1, "listen");
	sk[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (sk[0] < 0 || connect(sk[0], (void *)&addr, len))
		err(1, "connect");
	sk[1] = accept(listener, NULL, NULL);
	if (sk[1] < 0)
		err(1, "accept");
	close(listener);
}

/*
 * Keys of one direction, the same for the sender's KSSH_TX and the receiver's
 * KSSH_RX. They go into the kernel and never come out again: wipe your copy.
 */
static void set_keys(int sk, int opt, unsigned char seed)
{
	struct kssh_crypto_info info = {
		.version = KSSH_API_VERSION,
		.cipher = KSSH_CIPHER_AES_128_GCM,
		.mac = KSSH_MAC_IMPLICIT,
		.pkt_seq = 3, /* packets that went before, in userspace */
		.key_len = 16,
		.iv_len = 12,
	};

	memset(info.key, seed, info.key_len);
	memset(info.iv, seed + 1, info.iv_len);
	if (setsockopt(sk, SOL_KSSH, opt, &info, sizeof(info)))
		err(1, "keys");
	explicit_bzero(&info, sizeof(info));
}

/* From here on the TCP socket carries messages; data go through channels. */
static int bind_channel(int sk, uint32_t local_id, uint32_t remote_id)
{
	struct kssh_channel info = {
		.version = KSSH_API_VERSION,
		.local_id = local_id,
		.remote_id = remote_id,
		.local_window = WINDOW,
		.local_max_packet = MAX_PACKET,
		.remote_window = WINDOW,
		.remote_max_packet = MAX_PACKET,
	};

	if (ioctl(sk, SIOCKSSHCHANNEL, &info))
		err(1, "SIOCKSSHCHANNEL");
	return info.fd;
}

/* A channel socket is a stream socket: read(2), write(2), splice(2), poll(2). */
static size_t copy(int from, int to)
{
	char buf[4096];
	size_t all = 0;
	ssize_t n, done;

	while ((n = read(from, buf, sizeof(buf))) > 0) {
		for (done = 0; done < n;) {
			ssize_t put = write(to, buf + done, n - done);

			if (put < 0)
				err(1, "write");
			done += put;
		}
		all += n;
	}
	if (n < 0)
		err(1, "read");
	return all;
}

static void show(int sk, const char *who)
{
	struct kssh_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(sk, SOL_KSSH, KSSH_INFO, &info, &len))
		err(1, "KSSH_INFO");
	fprintf(stderr, "%s: %s, sent %llu bytes in %llu packets\n", who,
		info.tx_driver, info.tx_bytes, info.tx_packets);
}

int main(void)
{
	static const char *const who[2] = { "client", "server" };
	int sk[2], ch[2], i;

	tcp_pair(sk);
	for (i = 0; i < 2; i++) {
		if (setsockopt(sk[i], IPPROTO_TCP, TCP_ULP, KSSH_ULP_NAME,
			       sizeof(KSSH_ULP_NAME) - 1))
			err(1, "TCP_ULP \"ssh\" (is kssh.ko there?)");
		set_keys(sk[i], KSSH_TX, 1 + i);
		set_keys(sk[i], KSSH_RX, 2 - i);
	}
	/* the client's channel 0 is the server's channel 7 */
	ch[0] = bind_channel(sk[0], 0, 7);
	ch[1] = bind_channel(sk[1], 7, 0);

	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0: /* the server: echo until SSH_MSG_CHANNEL_EOF, then the same */
		close(ch[0]);
		copy(ch[1], ch[1]);
		return 0;
	}
	close(ch[1]);
	/* more than the windows hold would have to be read meanwhile */
	copy(STDIN_FILENO, ch[0]);
	shutdown(ch[0], SHUT_WR);
	copy(ch[0], STDOUT_FILENO);
	for (i = 0; i < 2; i++)
		show(sk[i], who[i]);
	return 0;
}
