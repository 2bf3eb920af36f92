// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko through its user interface: over loopback TCP, with keys
 * of our own making, between two kSSH sockets or against a peer written here.
 * Needs the module and root: it runs in the VM.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/kssh.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define TEST_TIMEOUT 60
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#include "core/channel.h"
#include "core/core.h"
#include "core/packet.h"
#include "harness.h"
#include "packet/cipher.h"

#ifndef TCP_ULP
#define TCP_ULP 31
#endif

#define WINDOW (2 * 1024 * 1024)
#define MAX_PACKET 32768
#define STAT "/proc/net/kssh_stat"

/* A connected pair of TCP sockets. */
static int tcp_pair(int fds[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int one = 1, srv;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	srv = socket(AF_INET, SOCK_STREAM, 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (srv < 0 || fds[0] < 0 || bind(srv, (struct sockaddr *)&addr, len) ||
	    listen(srv, 1) ||
	    getsockname(srv, (struct sockaddr *)&addr, &len) ||
	    connect(fds[0], (struct sockaddr *)&addr, len))
		return -errno;
	fds[1] = accept(srv, NULL, NULL);
	close(srv);
	if (fds[1] < 0)
		return -errno;
	setsockopt(fds[0], SOL_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fds[1], SOL_TCP, TCP_NODELAY, &one, sizeof(one));
	return 0;
}

static int attach(int fd)
{
	return setsockopt(fd, SOL_TCP, TCP_ULP, KSSH_ULP_NAME,
			  sizeof(KSSH_ULP_NAME)) ?
		       -errno :
		       0;
}

/* A cipher and its MAC in one number. */
#define SUITE(cipher, mac)	((cipher) | (mac) << 8)
#define CTR128_256_ETM \
	SUITE(KSSH_CIPHER_AES_128_CTR, KSSH_MAC_HMAC_SHA2_256_ETM)
#define CTR192_512_ETM \
	SUITE(KSSH_CIPHER_AES_192_CTR, KSSH_MAC_HMAC_SHA2_512_ETM)
#define CTR128_512 SUITE(KSSH_CIPHER_AES_128_CTR, KSSH_MAC_HMAC_SHA2_512)
#define CTR256_256 SUITE(KSSH_CIPHER_AES_256_CTR, KSSH_MAC_HMAC_SHA2_256)

#define SUITE_VARIANTS(fixture)                                               \
	FIXTURE_VARIANT_ADD(fixture,                                          \
			    aes128_gcm){ .cipher = KSSH_CIPHER_AES_128_GCM }; \
	FIXTURE_VARIANT_ADD(fixture,                                          \
			    aes256_gcm){ .cipher = KSSH_CIPHER_AES_256_GCM }; \
	FIXTURE_VARIANT_ADD(fixture, chacha20_poly1305){                      \
		.cipher = KSSH_CIPHER_CHACHA20_POLY1305                       \
	};                                                                    \
	FIXTURE_VARIANT_ADD(fixture,                                          \
			    aes128_ctr_256_etm){ .cipher = CTR128_256_ETM };  \
	FIXTURE_VARIANT_ADD(fixture,                                          \
			    aes192_ctr_512_etm){ .cipher = CTR192_512_ETM };  \
	FIXTURE_VARIANT_ADD(fixture, aes128_ctr_512){ .cipher = CTR128_512 }; \
	FIXTURE_VARIANT_ADD(fixture, aes256_ctr_256)                          \
	{                                                                     \
		.cipher = CTR256_256                                          \
	}

/* Keys of a direction: the seed makes them different. */
static struct kssh_crypto_info crypto_info(int suite, int seed, uint32_t seq,
					   int flags)
{
	struct kssh_crypto_info info = {
		.version = KSSH_API_VERSION,
		.cipher = suite & 0xff,
		.mac = suite >> 8,
		.flags = flags,
		.pkt_seq = seq,
	};
	const struct cipher_desc *cipher = cipher_by_id(info.cipher);
	const struct mac_desc *mac = mac_by_id(info.mac);
	int i;

	info.key_len = cipher->key_len;
	info.iv_len = cipher->iv_len;
	info.mac_key_len = mac ? mac->key_len : 0;
	for (i = 0; i < info.key_len; i++)
		info.key[i] = seed + i;
	memset(info.mac_key, seed + 2, info.mac_key_len);
	memset(info.iv, seed + 1, info.iv_len);
	/* counters are about to carry */
	if (info.iv_len == 16)
		memset(info.iv + 7, 0xff, 8);
	if (info.iv_len)
		info.iv[info.iv_len - 1] = 0xfe;
	return info;
}

static int set_keys(int fd, int opt, const struct kssh_crypto_info *info)
{
	return setsockopt(fd, SOL_KSSH, opt, info, sizeof(*info)) ? -errno : 0;
}

static int new_keys(int fd, int opt, int cipher, int seed, uint32_t seq,
		    int flags)
{
	struct kssh_crypto_info info = crypto_info(cipher, seed, seq, flags);

	return set_keys(fd, opt, &info);
}

static struct kssh_channel channel_info(uint32_t local_id, uint32_t remote_id)
{
	return (struct kssh_channel){
		.version = KSSH_API_VERSION,
		.local_id = local_id,
		.remote_id = remote_id,
		.local_window = WINDOW,
		.local_max_packet = MAX_PACKET,
		.remote_window = WINDOW,
		.remote_max_packet = MAX_PACKET,
		.fd = -1,
	};
}

static int bind_channel(int fd, struct kssh_channel *info)
{
	return ioctl(fd, SIOCKSSHCHANNEL, info) ? -errno : info->fd;
}

static int channel(int fd, uint32_t local_id, uint32_t remote_id)
{
	struct kssh_channel info = channel_info(local_id, remote_id);

	return bind_channel(fd, &info);
}

static int stderr_channel(int fd, uint32_t local_id)
{
	struct kssh_channel info = {
		.version = KSSH_API_VERSION,
		.local_id = local_id,
		.data_type = KSSH_DATA_STDERR,
	};

	return bind_channel(fd, &info);
}

/* Receive a message or event; its kind and sequence number in *@rx. */
static int recv_any(int fd, void *buf, size_t len, struct kssh_cmsg_rx *rx,
		    int flags)
{
	char control[CMSG_SPACE(sizeof(*rx))];
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	int ret;

	memset(rx, 0, sizeof(*rx));
	ret = recvmsg(fd, &msg, flags);
	if (ret < 0)
		return -errno;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_level == SOL_KSSH &&
	    cmsg->cmsg_type == KSSH_CMSG_RX)
		memcpy(rx, CMSG_DATA(cmsg), sizeof(*rx));
	return ret;
}

/* The type of the next message, or an error. */
static int recv_type(int fd)
{
	struct kssh_cmsg_rx rx;
	unsigned char buf[65536];
	int ret = recv_any(fd, buf, sizeof(buf), &rx, 0);

	if (ret <= 0)
		return ret;
	return rx.kind == KSSH_RX_MESSAGE ? buf[0] : -ENOMSG;
}

static int recv_event(int fd, struct kssh_event *event)
{
	struct kssh_cmsg_rx rx;
	int ret = recv_any(fd, event, sizeof(*event), &rx, 0);

	if (ret < 0)
		return ret;
	if (rx.kind != KSSH_RX_EVENT || ret != sizeof(*event))
		return -ENOMSG;
	return event->type;
}

static int send_byte(int fd, int type)
{
	unsigned char byte = type;

	return send(fd, &byte, 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static int send_close(int fd, uint32_t remote_id)
{
	unsigned char msg[5] = { SSH_MSG_CHANNEL_CLOSE };

	kssh_put_be32(msg + 1, remote_id);
	return send(fd, msg, 5, MSG_NOSIGNAL) == 5 ? 0 : -errno;
}

static struct kssh_info get_info(int fd)
{
	struct kssh_info info = { 0 };
	socklen_t len = sizeof(info);

	EXPECT_EQ(0, getsockopt(fd, SOL_KSSH, KSSH_INFO, &info, &len));
	EXPECT_EQ(sizeof(info), len);
	return info;
}

static unsigned long stat_value(const char *name)
{
	unsigned long value = 0, v;
	char line[128], key[64];
	FILE *file = fopen(STAT, "r");

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%63s %lu", key, &v) == 2 &&
		    !strcmp(key, name))
			value = v;
	fclose(file);
	return value;
}

/* poll() events that are there within @msec. */
static int poll_for(int fd, int events, int msec)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	poll(&pfd, 1, msec);
	return pfd.revents;
}

static void fill(unsigned char *buf, size_t len, uint32_t seed)
{
	size_t i;

	for (i = 0; i < len; i++) {
		seed = seed * 1103515245 + 12345;
		buf[i] = seed >> 16;
	}
}

static int read_all(int fd, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t ret = read(fd, (char *)buf + done, len - done);

		if (ret <= 0)
			return ret ? -errno : (int)done;
		done += ret;
	}
	return done;
}

static int write_all(int fd, const void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t ret = write(fd, (const char *)buf + done, len - done);

		if (ret < 0)
			return -errno;
		done += ret;
	}
	return done;
}

static int set_nonblock(int fd)
{
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* Two kSSH sockets with keys, a channel 1-2 between them. */
FIXTURE(kssh)
{
	int a, b;
	int ca, cb;
};

FIXTURE_VARIANT(kssh)
{
	int cipher;
};

SUITE_VARIANTS(kssh);

FIXTURE_SETUP(kssh)
{
	int fds[2];

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	ASSERT_EQ(0, tcp_pair(fds));
	self->a = fds[0];
	self->b = fds[1];
	ASSERT_EQ(0, attach(self->a));
	ASSERT_EQ(0, attach(self->b));
	ASSERT_EQ(0, new_keys(self->a, KSSH_TX, variant->cipher, 1, 3, 0));
	ASSERT_EQ(0, new_keys(self->b, KSSH_RX, variant->cipher, 1, 3, 0));
	ASSERT_EQ(0, new_keys(self->b, KSSH_TX, variant->cipher, 9, 3, 0));
	ASSERT_EQ(0, new_keys(self->a, KSSH_RX, variant->cipher, 9, 3, 0));
	self->ca = channel(self->a, 1, 2);
	self->cb = channel(self->b, 2, 1);
	ASSERT_LE(0, self->ca);
	ASSERT_LE(0, self->cb);
}

FIXTURE_TEARDOWN(kssh)
{
	close(self->ca);
	close(self->cb);
	close(self->a);
	close(self->b);
}

/* Messages on the TCP socket */

TEST_F(kssh, message_round_trip)
{
	unsigned char msg[30000], buf[30000];
	struct kssh_cmsg_rx rx;
	int i, len;

	fill(msg, sizeof(msg), 7);
	for (i = 0; i < 40; i++) {
		len = i < 20 ? i + 1 : (i - 19) * 1400;
		msg[0] = SSH_MSG_GLOBAL_REQUEST;
		ASSERT_EQ(len, send(self->a, msg, len, 0));
		ASSERT_EQ(len, recv_any(self->b, buf, sizeof(buf), &rx, 0));
		EXPECT_EQ(KSSH_RX_MESSAGE, rx.kind);
		EXPECT_EQ(3 + i, rx.pkt_seq);
		ASSERT_EQ(0, memcmp(msg, buf, len));
		ASSERT_EQ(len, send(self->b, msg, len, 0));
		ASSERT_EQ(len, recv_any(self->a, buf, sizeof(buf), &rx, 0));
		ASSERT_EQ(0, memcmp(msg, buf, len));
	}
}

/* Data of a channel */

TEST_F(kssh, data_of_many_sizes)
{
	static const int sizes[] = { 1,	    2,	   11,	   12,	   100,
				     900,   1000,  1024,   4000,   4096,
				     5000,  16384, 32639,  32640,  32768,
				     40000, 65536, 100000, 262144, 1000000 };
	unsigned char *out = malloc(1000000), *in = malloc(1000000);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(out, sizes[i], i);
		ASSERT_EQ(sizes[i], write_all(self->ca, out, sizes[i]));
		ASSERT_EQ(sizes[i], read_all(self->cb, in, sizes[i]));
		ASSERT_EQ(0, memcmp(out, in, sizes[i]));
		ASSERT_EQ(sizes[i], write_all(self->cb, out, sizes[i]));
		ASSERT_EQ(sizes[i], read_all(self->ca, in, sizes[i]));
		ASSERT_EQ(0, memcmp(out, in, sizes[i]));
	}
	free(out);
	free(in);
}

TEST_F(kssh, eof_after_shutdown)
{
	struct kssh_event event;
	char buf[64];

	ASSERT_EQ(5, write(self->ca, "hello", 5));
	ASSERT_EQ(0, shutdown(self->ca, SHUT_WR));
	ASSERT_EQ(5, read(self->cb, buf, sizeof(buf)));
	ASSERT_EQ(0, read(self->cb, buf, sizeof(buf)));
	ASSERT_EQ(0, read(self->cb, buf, sizeof(buf)));
	ASSERT_EQ(KSSH_EVENT_CHANNEL_TX_DONE, recv_event(self->a, &event));
	EXPECT_EQ(1, event.local_id);
	EXPECT_EQ(5, event.value);
	EXPECT_EQ(-1, send(self->ca, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(EPIPE, errno);
	/* the other way is open */
	ASSERT_EQ(3, write(self->cb, "bye", 3));
	ASSERT_EQ(3, read(self->ca, buf, sizeof(buf)));
}

TEST_F(kssh, last_close_is_eof)
{
	struct kssh_event event;
	char buf[64];
	int dup_fd;

	dup_fd = dup(self->ca);
	ASSERT_EQ(5, write(self->ca, "hello", 5));
	close(self->ca);
	ASSERT_EQ(5, read(self->cb, buf, sizeof(buf)));
	EXPECT_EQ(0, poll_for(self->cb, POLLIN, 50));
	ASSERT_EQ(1, write(dup_fd, "!", 1));
	ASSERT_EQ(1, read(self->cb, buf, sizeof(buf)));
	close(dup_fd);
	ASSERT_EQ(0, read(self->cb, buf, sizeof(buf)));
	ASSERT_EQ(KSSH_EVENT_CHANNEL_TX_DONE, recv_event(self->a, &event));
	EXPECT_EQ(6, event.value);
	self->ca = -1;
}

/* A file of @len bytes with known content. */
static int make_file(size_t len, unsigned char *content)
{
	int fd = memfd_create("file", 0);

	fill(content, len, 4711);
	if (fd < 0 || write(fd, content, len) != (ssize_t)len ||
	    lseek(fd, 0, SEEK_SET))
		return -1;
	return fd;
}

struct reader {
	int fd;
	unsigned char *buf;
	size_t len;
	int ret;
};

static void *reader_thread(void *arg)
{
	struct reader *r = arg;

	r->ret = read_all(r->fd, r->buf, r->len);
	return NULL;
}

TEST_F(kssh, sendfile_and_page_cache)
{
	size_t len = 3 * 1024 * 1024 + 777;
	unsigned char *out = malloc(len), *in = malloc(len);
	struct reader r = { self->cb, in, len, 0 };
	off_t off = 0;
	pthread_t th;
	int file;

	file = make_file(len, out);
	ASSERT_LE(0, file);
	pthread_create(&th, NULL, reader_thread, &r);
	while ((size_t)off < len)
		ASSERT_LT(0, sendfile(self->ca, file, &off, len - off));
	pthread_join(th, NULL);
	ASSERT_EQ(len, r.ret);
	EXPECT_EQ(0, memcmp(out, in, len));
	/* what was sealed was a copy */
	ASSERT_EQ(len, pread(file, in, len, 0));
	EXPECT_EQ(0, memcmp(out, in, len));

	/* beyond the end of the file: what came must not be kept back */
	off = len - 100;
	ASSERT_EQ(100, sendfile(self->ca, file, &off, 1000));
	ASSERT_EQ(100, read_all(self->cb, in, 100));
	EXPECT_EQ(0, memcmp(out + len - 100, in, 100));
	close(file);
	free(out);
	free(in);
}

TEST_F(kssh, splice_at_odd_offsets)
{
	size_t len = 200000, done;
	unsigned char *out = malloc(len), *in = malloc(len);
	int file, pipefd[2], i;

	file = make_file(len, out);
	ASSERT_EQ(0, pipe(pipefd));
	for (i = 1; i < 60; i++) {
		loff_t off = i * 997;
		size_t want = i * 1009 % 60000 + 1;

		ASSERT_EQ(want, splice(file, &off, pipefd[1], NULL, want, 0));
		for (done = 0; done < want;) {
			ssize_t n = splice(pipefd[0], NULL, self->ca, NULL,
					   want - done, 0);

			ASSERT_LT(0, n);
			done += n;
		}
		ASSERT_EQ(want, read_all(self->cb, in, want));
		ASSERT_EQ(0, memcmp(out + i * 997, in, want));
	}
	close(file);
	close(pipefd[0]);
	close(pipefd[1]);
	free(out);
	free(in);
}

TEST_F(kssh, splice_to_a_pipe)
{
	unsigned char *out = malloc(300000), *in = malloc(300000);
	int pipefd[2];
	size_t done = 0;

	ASSERT_EQ(0, pipe(pipefd));
	fill(out, 300000, 5);
	ASSERT_EQ(300000, write_all(self->ca, out, 300000));
	/* small ones, too, which are kept together */
	ASSERT_EQ(1, write(self->ca, "x", 1));
	ASSERT_EQ(1, write(self->ca, "y", 1));
	while (done < 300000) {
		ssize_t n = splice(self->cb, NULL, pipefd[1], NULL,
				   300000 - done, 0);

		ASSERT_LT(0, n);
		ASSERT_EQ(n, read_all(pipefd[0], in + done, n));
		done += n;
	}
	EXPECT_EQ(0, memcmp(out, in, 300000));
	ASSERT_EQ(1, splice(self->cb, NULL, pipefd[1], NULL, 1, 0));
	ASSERT_EQ(1, read(pipefd[0], in, 10));
	EXPECT_EQ('x', in[0]);
	EXPECT_EQ(-1, splice(self->ca, NULL, pipefd[1], NULL, 1,
			     SPLICE_F_NONBLOCK));
	EXPECT_EQ(EAGAIN, errno);
	close(pipefd[0]);
	close(pipefd[1]);
	free(out);
	free(in);
}

TEST_F(kssh, more_packs_a_packet)
{
	unsigned char *out = malloc(100000), *in = malloc(100000);
	unsigned long before;
	int file, i;
	off_t off;

	before = get_info(self->a).tx_packets;
	for (i = 0; i < 100; i++)
		ASSERT_EQ(10, send(self->ca, "0123456789", 10,
				   i < 99 ? MSG_MORE : 0));
	ASSERT_EQ(1000, read_all(self->cb, in, 1000));
	EXPECT_EQ(before + 1, get_info(self->a).tx_packets);

	/* an SFTP header and what follows it */
	file = make_file(100000, out);
	before = get_info(self->a).tx_packets;
	off = 0;
	ASSERT_EQ(13, send(self->ca, "sftp header..", 13, MSG_MORE));
	EXPECT_EQ(0, poll_for(self->cb, POLLIN, 50));
	ASSERT_EQ(20000, sendfile(self->ca, file, &off, 20000));
	ASSERT_EQ(20013, read_all(self->cb, in, 20013));
	EXPECT_EQ(before + 1, get_info(self->a).tx_packets);
	EXPECT_EQ(0, memcmp("sftp header..", in, 13));
	EXPECT_EQ(0, memcmp(out, in + 13, 20000));

	/* copied and spliced in turns */
	before = get_info(self->a).tx_packets;
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(500, send(self->ca, out, 500, MSG_MORE));
		off = 0;
		ASSERT_EQ(3000, sendfile(self->ca, file, &off, 3000));
	}
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(3500, read_all(self->cb, in, 3500));
		EXPECT_EQ(0, memcmp(out, in, 500));
		EXPECT_EQ(0, memcmp(out, in + 500, 3000));
	}
	EXPECT_EQ(before + 5, get_info(self->a).tx_packets);

	/* a full packet does not wait, shutdown sends the rest */
	ASSERT_EQ(40000, send(self->ca, out, 40000, MSG_MORE));
	ASSERT_EQ(30000, read_all(self->cb, in, 30000));
	ASSERT_EQ(0, shutdown(self->ca, SHUT_WR));
	ASSERT_EQ(10000, read_all(self->cb, in + 30000, 10000));
	EXPECT_EQ(0, memcmp(out, in, 40000));
	EXPECT_EQ(0, read(self->cb, in, 1));
	close(file);
	free(out);
	free(in);
}

TEST_F(kssh, close_sends_what_is_corked)
{
	char buf[16];

	ASSERT_EQ(3, send(self->ca, "abc", 3, MSG_MORE));
	close(self->ca);
	self->ca = -1;
	ASSERT_EQ(3, read_all(self->cb, buf, 3));
	ASSERT_EQ(0, read(self->cb, buf, 1));
}

TEST_F(kssh, many_small_splices_with_more)
{
	unsigned char *out = malloc(64 * 1024), *in = malloc(64 * 1024);
	int file, i;

	file = make_file(64 * 1024, out);
	for (i = 0; i < 60; i++) {
		loff_t off = i * 1000;
		int p[2];

		ASSERT_EQ(0, pipe(p));
		ASSERT_EQ(400, splice(file, &off, p[1], NULL, 400, 0));
		ASSERT_EQ(400, splice(p[0], NULL, self->ca, NULL, 400,
				      SPLICE_F_MORE));
		close(p[0]);
		close(p[1]);
	}
	ASSERT_EQ(1, write(self->ca, "", 1));
	for (i = 0; i < 60; i++) {
		ASSERT_EQ(400, read_all(self->cb, in, 400));
		ASSERT_EQ(0, memcmp(out + i * 1000, in, 400));
	}
	close(file);
	free(out);
	free(in);
}

TEST_F(kssh, fault_in_the_middle_of_an_iovec)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char buf[8192];
	int ret;

	munmap(page + 4096, 4096);
	memset(page, 'a', 4096);
	EXPECT_EQ(-1, write(self->ca, page + 96, 8000));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(4, write(self->ca, "next", 4));
	ret = read(self->cb, buf, sizeof(buf));
	ASSERT_EQ(4, ret);
	EXPECT_EQ(0, memcmp("next", buf, 4));
	/* and on the reading side nothing is lost */
	ASSERT_EQ(4, write(self->ca, "more", 4));
	EXPECT_EQ(-1, read(self->cb, page + 4096, 4));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(4, read_all(self->cb, buf, 4));
	EXPECT_EQ(0, memcmp("more", buf, 4));
	munmap(page, 4096);
}

TEST_F(kssh, peek_waitall_trunc)
{
	char buf[64];
	int val;

	ASSERT_EQ(3, write(self->ca, "abc", 3));
	ASSERT_EQ(3, recv(self->cb, buf, 3, MSG_WAITALL | MSG_PEEK));
	ASSERT_EQ(3, write(self->ca, "def", 3));
	ASSERT_EQ(6, recv(self->cb, buf, 6, MSG_WAITALL));
	EXPECT_EQ(0, memcmp("abcdef", buf, 6));
	ASSERT_EQ(6, write(self->ca, "ghijkl", 6));
	EXPECT_NE(0, POLLIN & poll_for(self->cb, POLLIN, 1000));
	ASSERT_EQ(0, ioctl(self->cb, FIONREAD, &val));
	EXPECT_EQ(6, val);
	ASSERT_EQ(4, recv(self->cb, NULL, 4, MSG_TRUNC));
	ASSERT_EQ(2, recv(self->cb, buf, 6, 0));
	EXPECT_EQ(0, memcmp("kl", buf, 2));
}

TEST_F(kssh, stderr_is_extended_data)
{
	unsigned char buf[64];
	struct kssh_cmsg_rx rx;
	int err, ret;

	err = stderr_channel(self->a, 1);
	ASSERT_LE(0, err);
	EXPECT_EQ(-EEXIST, stderr_channel(self->a, 1));
	EXPECT_EQ(-ENOENT, stderr_channel(self->a, 77));
	ASSERT_EQ(4, write(err, "oops", 4));
	/* a bound channel of ours has no stderr to read: it is a message */
	ret = recv_any(self->b, buf, sizeof(buf), &rx, 0);
	ASSERT_EQ(17, ret);
	EXPECT_EQ(SSH_MSG_CHANNEL_EXTENDED_DATA, buf[0]);
	EXPECT_EQ(2, kssh_get_be32(buf + 1));
	EXPECT_EQ(1, kssh_get_be32(buf + 5));
	EXPECT_EQ(0, memcmp("oops", buf + 13, 4));
	EXPECT_EQ(-1, read(err, buf, 1));
	/* EOF is the channel's: after both */
	shutdown(self->ca, SHUT_WR);
	EXPECT_EQ(0, poll_for(self->cb, POLLIN, 50));
	close(err);
	EXPECT_EQ(0, read(self->cb, buf, 1));
}

/* Windows */

FIXTURE(small)
{
	int a, b;
	int ca, cb;
};

FIXTURE_SETUP(small)
{
	struct kssh_channel info;
	int fds[2] = { -1, -1 }, cipher = KSSH_CIPHER_AES_128_GCM;

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	ASSERT_EQ(0, tcp_pair(fds));
	self->a = fds[0];
	self->b = fds[1];
	ASSERT_EQ(0, attach(self->a));
	ASSERT_EQ(0, attach(self->b));
	ASSERT_EQ(0, new_keys(self->a, KSSH_TX, cipher, 1, 0, 0));
	ASSERT_EQ(0, new_keys(self->b, KSSH_RX, cipher, 1, 0, 0));
	ASSERT_EQ(0, new_keys(self->b, KSSH_TX, cipher, 9, 0, 0));
	ASSERT_EQ(0, new_keys(self->a, KSSH_RX, cipher, 9, 0, 0));
	/* 8000 bytes of window, 1000 a packet */
	info = channel_info(1, 2);
	info.remote_window = 8000;
	info.remote_max_packet = 1000;
	self->ca = bind_channel(self->a, &info);
	info = channel_info(2, 1);
	info.local_window = 8000;
	info.local_max_packet = 1000;
	self->cb = bind_channel(self->b, &info);
	ASSERT_LE(0, self->ca);
	ASSERT_LE(0, self->cb);
}

FIXTURE_TEARDOWN(small)
{
	close(self->ca);
	close(self->cb);
	close(self->a);
	close(self->b);
}

TEST_F(small, window_runs_out_and_comes_back)
{
	unsigned char out[20000], in[20000];
	int ret;

	fill(out, sizeof(out), 3);
	set_nonblock(self->ca);
	EXPECT_NE(0, POLLOUT & poll_for(self->ca, POLLOUT, 0));
	ret = write(self->ca, out, sizeof(out));
	ASSERT_EQ(8000, ret);
	EXPECT_EQ(8, get_info(self->a).tx_packets);
	EXPECT_EQ(-1, write(self->ca, out, 1));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(0, POLLOUT & poll_for(self->ca, POLLOUT, 0));
	/* a byte read is not worth an adjust */
	ASSERT_EQ(1, read_all(self->cb, in, 1));
	EXPECT_EQ(0, POLLOUT & poll_for(self->ca, POLLOUT, 50));
	ASSERT_EQ(3000, read_all(self->cb, in + 1, 3000));
	EXPECT_NE(0, POLLOUT & poll_for(self->ca, POLLOUT, 5000));
	ret = write(self->ca, out + 8000, 10000);
	EXPECT_EQ(3001, ret);
	ASSERT_EQ(8000, read_all(self->cb, in + 3001, 8000));
	EXPECT_EQ(0, memcmp(out, in, 11001));
}

TEST_F(small, blocked_writer_is_woken)
{
	unsigned char *out = malloc(500000), *in = malloc(500000);
	struct reader r = { self->cb, in, 500000, 0 };
	pthread_t th;

	fill(out, 500000, 9);
	pthread_create(&th, NULL, reader_thread, &r);
	ASSERT_EQ(500000, write_all(self->ca, out, 500000));
	pthread_join(th, NULL);
	ASSERT_EQ(500000, r.ret);
	EXPECT_EQ(0, memcmp(out, in, 500000));
	free(out);
	free(in);
}

TEST_F(small, shut_reader_discards_and_grants)
{
	unsigned char *out = malloc(100000);
	unsigned long dropped = stat_value("KsshRxDiscarded");

	ASSERT_EQ(0, shutdown(self->cb, SHUT_RD));
	EXPECT_EQ(0, read(self->cb, out, 1));
	ASSERT_EQ(100000, write_all(self->ca, out, 100000));
	/* a zombie, too */
	close(self->cb);
	self->cb = -1;
	ASSERT_EQ(100000, write_all(self->ca, out, 100000));
	/* the last of it may be under way */
	while (stat_value("KsshRxDiscarded") < dropped + 200000)
		poll(NULL, 0, 10);
	free(out);
}

TEST_F(small, slow_reader_stops_nobody_else)
{
	unsigned char buf[20000];
	int c3, d3, i;

	c3 = channel(self->a, 3, 4);
	d3 = channel(self->b, 4, 3);
	set_nonblock(self->ca);
	ASSERT_EQ(8000, write(self->ca, buf, sizeof(buf)));
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(20000, write_all(c3, buf, 20000));
		ASSERT_EQ(20000, read_all(d3, buf, 20000));
		ASSERT_EQ(0, send_byte(self->a, SSH_MSG_GLOBAL_REQUEST));
		ASSERT_EQ(SSH_MSG_GLOBAL_REQUEST, recv_type(self->b));
	}
	close(c3);
	close(d3);
}

TEST_F(kssh, tcp_full_then_poll)
{
	unsigned char *out = malloc(WINDOW), *in = malloc(WINDOW);
	struct kssh_channel info = channel_info(11, 12);
	int c, d, ret, small = 4096;
	size_t sent = 0, got = 0;

	/* nobody opens packets at b while it is throttled by messages */
	setsockopt(self->a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	c = bind_channel(self->a, &info);
	info = channel_info(12, 11);
	d = bind_channel(self->b, &info);
	set_nonblock(c);
	set_nonblock(d);
	fill(out, WINDOW, 8);
	while (got < WINDOW) {
		if (sent < WINDOW) {
			ret = write(c, out + sent, WINDOW - sent);
			if (ret < 0)
				ASSERT_EQ(EAGAIN, errno);
			else
				sent += ret;
		}
		ret = read(d, in + got, WINDOW - got);
		if (ret > 0)
			got += ret;
		else if (sent == WINDOW)
			ASSERT_NE(0, poll_for(d, POLLIN, 5000));
		else
			ASSERT_NE(0, poll_for(c, POLLOUT, 5000));
	}
	EXPECT_EQ(0, memcmp(out, in, WINDOW));
	close(c);
	close(d);
	free(out);
	free(in);
}

TEST_F(kssh, unread_messages_stop_the_stream_only)
{
	unsigned char buf[1024];
	int i, sent = 0;

	set_nonblock(self->a);
	fill(buf, sizeof(buf), 1);
	buf[0] = SSH_MSG_GLOBAL_REQUEST;
	while (sent < 100000 &&
	       send(self->a, buf, sizeof(buf), 0) == sizeof(buf))
		sent++;
	EXPECT_GT(100000, sent);
	EXPECT_LT(500, sent);
	for (i = 0; i < sent; i++)
		ASSERT_EQ(SSH_MSG_GLOBAL_REQUEST, recv_type(self->b));
	EXPECT_NE(0, POLLOUT & poll_for(self->a, POLLOUT, 5000));
	ASSERT_EQ(0, send_byte(self->a, SSH_MSG_REQUEST_SUCCESS));
	ASSERT_EQ(SSH_MSG_REQUEST_SUCCESS, recv_type(self->b));
}

/* Poll */

TEST_F(kssh, poll_tells_the_truth)
{
	char buf[16];

	EXPECT_EQ(POLLOUT, poll_for(self->ca, POLLIN | POLLOUT, 0));
	EXPECT_EQ(POLLOUT, poll_for(self->a, POLLIN | POLLOUT, 0));
	ASSERT_EQ(1, write(self->cb, "x", 1));
	EXPECT_EQ(POLLIN, poll_for(self->ca, POLLIN, 5000));
	EXPECT_EQ(0, poll_for(self->a, POLLIN, 0));
	ASSERT_EQ(1, read(self->ca, buf, sizeof(buf)));
	EXPECT_EQ(0, poll_for(self->ca, POLLIN, 0));
	set_nonblock(self->ca);
	EXPECT_EQ(-1, read(self->ca, buf, sizeof(buf)));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, shutdown(self->cb, SHUT_WR));
	EXPECT_EQ(POLLIN | POLLRDHUP,
		  poll_for(self->ca, POLLIN | POLLRDHUP, 5000));
	ASSERT_EQ(0, shutdown(self->ca, SHUT_WR));
	EXPECT_NE(0, POLLHUP & poll_for(self->ca, POLLIN, 5000));
}

/* Close */

TEST_F(kssh, close_ends_the_binding)
{
	unsigned char buf[16];
	int fd;

	ASSERT_EQ(-EEXIST, channel(self->a, 1, 2));
	ASSERT_EQ(2, write(self->ca, "hi", 2));
	ASSERT_EQ(0, send_close(self->a, 2));
	EXPECT_EQ(-1, send(self->ca, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(EPIPE, errno);
	ASSERT_EQ(SSH_MSG_CHANNEL_CLOSE, recv_type(self->b));
	/* data before it are still there, then the end; writing is over */
	ASSERT_EQ(2, read(self->cb, buf, sizeof(buf)));
	ASSERT_EQ(0, read(self->cb, buf, sizeof(buf)));
	EXPECT_EQ(-1, send(self->cb, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(-EEXIST, channel(self->b, 2, 1));
	ASSERT_EQ(0, send_close(self->b, 1));
	EXPECT_EQ(0, get_info(self->b).channels);
	ASSERT_EQ(SSH_MSG_CHANNEL_CLOSE, recv_type(self->a));
	EXPECT_EQ(0, get_info(self->a).channels);
	/* the numbers are free while the old sockets are open */
	fd = channel(self->a, 1, 2);
	EXPECT_LE(0, fd);
	close(fd);
}

TEST_F(kssh, data_of_unknown_channels_are_messages)
{
	unsigned char msg[20] = { SSH_MSG_CHANNEL_DATA }, buf[64];
	struct kssh_cmsg_rx rx;

	kssh_put_be32(msg + 1, 55);
	kssh_put_be32(msg + 5, 11);
	ASSERT_EQ(20, send(self->a, msg, 20, 0));
	ASSERT_EQ(20, recv_any(self->b, buf, sizeof(buf), &rx, 0));
	EXPECT_EQ(0, memcmp(msg, buf, 20));
}

/* Rekeying */

/* One direction: from -> to, new keys. */
static void rekey(int from, int to, int cipher, int seed, int flags)
{
	ASSERT_EQ(0, send_byte(from, SSH_MSG_NEWKEYS));
	ASSERT_EQ(0, new_keys(from, KSSH_TX, cipher, seed, 0, flags));
	ASSERT_EQ(SSH_MSG_NEWKEYS, recv_type(to));
	ASSERT_EQ(0, new_keys(to, KSSH_RX, cipher, seed, 0, flags));
}

static void kexinit(int a, int b)
{
	ASSERT_EQ(0, send_byte(a, SSH_MSG_KEXINIT));
	ASSERT_EQ(0, send_byte(b, SSH_MSG_KEXINIT));
	ASSERT_EQ(SSH_MSG_KEXINIT, recv_type(a));
	ASSERT_EQ(SSH_MSG_KEXINIT, recv_type(b));
}

TEST_F(kssh, gate_holds_data_during_kex)
{
	struct kssh_info info;
	char buf[16];

	set_nonblock(self->ca);
	ASSERT_EQ(0, send_byte(self->a, SSH_MSG_KEXINIT));
	info = get_info(self->a);
	EXPECT_NE(0, info.state & KSSH_STATE_TX_GATED);
	EXPECT_EQ(-1, write(self->ca, "x", 1));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(0, POLLOUT & poll_for(self->ca, POLLOUT, 0));
	EXPECT_EQ(-EBUSY, send_byte(self->a, SSH_MSG_GLOBAL_REQUEST));
	EXPECT_EQ(0, send_byte(self->a, SSH_MSG_KEX_ECDH_INIT));
	/* the peer's data still come in */
	ASSERT_EQ(1, write(self->cb, "y", 1));
	ASSERT_EQ(POLLIN, poll_for(self->ca, POLLIN, 5000));
	ASSERT_EQ(1, read(self->ca, buf, sizeof(buf)));
	/* EOF waits, too */
	ASSERT_EQ(0, shutdown(self->ca, SHUT_WR));
	EXPECT_EQ(0, poll_for(self->cb, POLLIN, 50));

	ASSERT_EQ(SSH_MSG_KEXINIT, recv_type(self->b));
	ASSERT_EQ(SSH_MSG_KEX_ECDH_INIT, recv_type(self->b));
	ASSERT_EQ(0, send_byte(self->b, SSH_MSG_KEXINIT));
	ASSERT_EQ(SSH_MSG_KEXINIT, recv_type(self->a));
	ASSERT_EQ(0, send_byte(self->a, SSH_MSG_NEWKEYS));
	EXPECT_EQ(-EBUSY, send_byte(self->a, SSH_MSG_IGNORE));
	ASSERT_EQ(0, new_keys(self->a, KSSH_TX, variant->cipher, 33, 0,
			      KSSH_CRYPTO_SEQ_RESET));
	ASSERT_EQ(SSH_MSG_NEWKEYS, recv_type(self->b));
	/* the EOF is behind the new keys */
	EXPECT_EQ(0, poll_for(self->cb, POLLIN, 50));
	EXPECT_NE(0, get_info(self->b).state & KSSH_STATE_RX_PARKED);
	ASSERT_EQ(0, new_keys(self->b, KSSH_RX, variant->cipher, 33, 0,
			      KSSH_CRYPTO_SEQ_RESET));
	EXPECT_EQ(0, read(self->cb, buf, sizeof(buf)));
}

TEST_F(kssh, blocked_writer_waits_for_new_keys)
{
	unsigned char *out = malloc(100000), *in = malloc(100000);
	struct reader r = { self->cb, in, 100000, 0 };
	pthread_t th;
	pid_t pid;

	fill(out, 100000, 1);
	kexinit(self->a, self->b);
	pid = fork();
	if (!pid)
		_exit(write_all(self->ca, out, 100000) != 100000);
	pthread_create(&th, NULL, reader_thread, &r);
	usleep(50000);
	rekey(self->a, self->b, variant->cipher, 40, KSSH_CRYPTO_SEQ_KEEP);
	rekey(self->b, self->a, variant->cipher, 50, KSSH_CRYPTO_SEQ_KEEP);
	pthread_join(th, NULL);
	ASSERT_EQ(100000, r.ret);
	EXPECT_EQ(0, memcmp(out, in, 100000));
	EXPECT_EQ(2, get_info(self->a).rekeys);
	EXPECT_EQ(0, get_info(self->a).state &
			     (KSSH_STATE_TX_GATED | KSSH_STATE_RX_PARKED));
	waitpid(pid, NULL, 0);
	free(out);
	free(in);
}

struct flow {
	int from, to;
	size_t len;
	uint32_t seed;
	int ret;
	bool write;
};

static void *flow_thread(void *arg)
{
	struct flow *f = arg;
	unsigned char *buf = malloc(f->len), *want = malloc(f->len);

	fill(want, f->len, f->seed);
	if (f->write) {
		f->ret = write_all(f->from, want, f->len);
	} else {
		f->ret = read_all(f->to, buf, f->len);
		if (f->ret == (int)f->len && memcmp(buf, want, f->len))
			f->ret = -EBADMSG;
	}
	free(buf);
	free(want);
	return NULL;
}

TEST_F(kssh, rekeys_with_data_in_flight)
{
	size_t len = 6 * 1024 * 1024;
	struct flow f[4] = {
		{ self->ca, self->cb, len, 1, 0, true },
		{ self->ca, self->cb, len, 1, 0, false },
		{ self->cb, self->ca, len, 2, 0, true },
		{ self->cb, self->ca, len, 2, 0, false },
	};
	pthread_t th[4];
	int i;

	for (i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, flow_thread, &f[i]);
	for (i = 0; i < 8; i++) {
		int flags = i & 1 ? KSSH_CRYPTO_SEQ_KEEP :
				    KSSH_CRYPTO_SEQ_RESET;
		int cipher = i & 2 ? KSSH_CIPHER_AES_128_GCM :
				     KSSH_CIPHER_AES_256_GCM;

		kexinit(self->a, self->b);
		rekey(self->a, self->b, cipher, 60 + i, flags);
		rekey(self->b, self->a, cipher, 80 + i, flags);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(th[i], NULL);
		EXPECT_EQ(len, f[i].ret);
	}
	EXPECT_EQ(16, get_info(self->a).rekeys);
}

TEST_F(kssh, rekey_due_by_bytes_packets_seconds)
{
	struct kssh_rekey_limits limits = {
		.version = KSSH_API_VERSION,
		.packets = 20,
	};
	socklen_t len = sizeof(limits);
	struct kssh_event event;
	char buf[4096];
	int i;

	ASSERT_EQ(0, setsockopt(self->a, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
				sizeof(limits)));
	memset(&limits, 0xff, sizeof(limits));
	ASSERT_EQ(0, getsockopt(self->a, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
				&len));
	EXPECT_EQ(20, limits.packets);
	for (i = 0; i < 25; i++)
		ASSERT_EQ(1, write(self->ca, "x", 1));
	ASSERT_EQ(KSSH_EVENT_REKEY_DUE, recv_event(self->a, &event));
	EXPECT_EQ(KSSH_REKEY_PACKETS, event.value);
	/* once */
	EXPECT_EQ(0, POLLIN & poll_for(self->a, POLLIN, 0));
	EXPECT_NE(0, get_info(self->a).state & KSSH_STATE_REKEY_DUE);
	kexinit(self->a, self->b);
	rekey(self->a, self->b, variant->cipher, 60, KSSH_CRYPTO_SEQ_RESET);
	rekey(self->b, self->a, variant->cipher, 80, KSSH_CRYPTO_SEQ_RESET);
	EXPECT_EQ(0, get_info(self->a).state & KSSH_STATE_REKEY_DUE);

	/* what is received counts as well */
	limits.packets = 0;
	limits.bytes = 10000;
	ASSERT_EQ(0, setsockopt(self->b, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
				sizeof(limits)));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(4096, write(self->ca, buf, 4096));
	ASSERT_EQ(KSSH_EVENT_REKEY_DUE, recv_event(self->b, &event));
	EXPECT_EQ(KSSH_REKEY_BYTES, event.value);

	limits.bytes = 0;
	limits.seconds = 1;
	ASSERT_EQ(0, setsockopt(self->a, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
				sizeof(limits)));
	EXPECT_NE(0, POLLIN & poll_for(self->a, POLLIN, 5000));
	ASSERT_EQ(KSSH_EVENT_REKEY_DUE, recv_event(self->a, &event));
	EXPECT_EQ(KSSH_REKEY_SECONDS, event.value);
}

/* Before the keys, and from the receive queue */

TEST(plain_tcp_before_the_keys)
{
	int fds[2], cipher = KSSH_CIPHER_AES_256_GCM;
	struct kssh_cmsg_rx rx;
	char buf[64];

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	ASSERT_EQ(0, tcp_pair(fds));
	ASSERT_EQ(0, attach(fds[0]));
	ASSERT_EQ(0, attach(fds[1]));
	ASSERT_EQ(9, write(fds[0], "SSH-2.0-x", 9));
	ASSERT_EQ(5, read(fds[1], buf, 5));
	ASSERT_EQ(POLLIN, poll_for(fds[1], POLLIN, 1000));
	ASSERT_EQ(4, read(fds[1], buf, 5));
	/* packets are there already when the keys come */
	ASSERT_EQ(0, new_keys(fds[0], KSSH_TX, cipher, 1, 0, 0));
	ASSERT_EQ(4, send(fds[0],
			  "\x50"
			  "abc",
			  4, 0));
	ASSERT_EQ(4, send(fds[0],
			  "\x51"
			  "def",
			  4, 0));
	usleep(20000);
	ASSERT_EQ(0, new_keys(fds[1], KSSH_RX, cipher, 1, 0, 0));
	ASSERT_EQ(4, recv_any(fds[1], buf, sizeof(buf), &rx, 0));
	EXPECT_EQ(0, memcmp("\x50"
			    "abc",
			    buf, 4));
	ASSERT_EQ(4, recv_any(fds[1], buf, sizeof(buf), &rx, 0));
	EXPECT_EQ(1, rx.pkt_seq);
	/* a clean end */
	close(fds[0]);
	EXPECT_EQ(0, recv_any(fds[1], buf, sizeof(buf), &rx, 0));
	EXPECT_EQ(0, recv_any(fds[1], buf, sizeof(buf), &rx, 0));
	close(fds[1]);
}

/* A peer of our own, which can do wrong */

struct raw {
	int fd;
	struct newkeys keys;
	struct cipher *cipher;
	uint32_t pkt_seq;
};

static void raw_init(struct raw *raw, int fd, int cipher, int seed)
{
	struct kssh_crypto_info info = crypto_info(cipher, seed, 0, 0);

	*raw = (struct raw){ .fd = fd };
	raw->keys.cipher = info.cipher;
	raw->keys.mac = info.mac;
	raw->keys.key_len = info.key_len;
	raw->keys.iv_len = info.iv_len;
	raw->keys.mac_key_len = info.mac_key_len;
	memcpy(raw->keys.key, info.key, info.key_len);
	memcpy(raw->keys.iv, info.iv, info.iv_len);
	memcpy(raw->keys.mac_key, info.mac_key, info.mac_key_len);
}

/* Which direction it is for shows when it is used. */
static const struct kssh_layout *raw_layout(struct raw *raw, bool tx)
{
	if (!raw->cipher)
		EXPECT_EQ(0, cipher_alloc(&raw->cipher, &raw->keys, tx));
	return cipher_layout(raw->cipher);
}

/*
 * Seal a packet as it is given, right or wrong: @pkt holds the length field,
 * padding_length, payload and padding. Returns its size with the tag.
 */
static int raw_seal(struct raw *raw, const unsigned char *pkt, int len,
		    unsigned char *out)
{
	const struct kssh_layout *layout = raw_layout(raw, true);

	memcpy(out, pkt, len);
	EXPECT_EQ(0, cipher_seal(raw->cipher, raw->pkt_seq++, out, len - 4));
	return len + layout->tag_len;
}

/* A packet around @payload; @pad < 0 takes the right padding. */
static int raw_packet(struct raw *raw, const void *payload, int len, int pad,
		      unsigned char *out)
{
	unsigned char *pkt = calloc(1, len + 600);
	int right = kssh_pad_len(raw_layout(raw, true), len), ret;

	kssh_put_be32(pkt, 1 + len + right);
	pkt[4] = pad < 0 ? right : pad;
	memcpy(pkt + 5, payload, len);
	ret = raw_seal(raw, pkt, 5 + len + right, out);
	free(pkt);
	return ret;
}

static int raw_send(struct raw *raw, const void *payload, int len)
{
	unsigned char *out = malloc(len + 600);
	int size = raw_packet(raw, payload, len, -1, out);
	int ret = write_all(raw->fd, out, size);

	free(out);
	return ret == size ? 0 : ret;
}

static int raw_data(struct raw *raw, uint32_t id, int len)
{
	unsigned char *msg = calloc(1, len + 9);
	int ret;

	msg[0] = SSH_MSG_CHANNEL_DATA;
	kssh_put_be32(msg + 1, id);
	kssh_put_be32(msg + 5, len);
	ret = raw_send(raw, msg, len + 9);
	free(msg);
	return ret;
}

static int raw_adjust(struct raw *raw, uint32_t id, uint32_t bytes)
{
	unsigned char msg[9];

	kssh_fill_adjust(msg, id, bytes);
	return raw_send(raw, msg, 9);
}

/* The next packet of the other side, opened; its payload's length. */
static int raw_recv(struct raw *raw, unsigned char *payload)
{
	const struct kssh_layout *layout = raw_layout(raw, false);
	int need = cipher_len_need(raw->cipher), rest;
	unsigned char pkt[70000];
	uint32_t len;

	if (read_all(raw->fd, pkt, need) != need)
		return -EPIPE;
	if (cipher_open_len(raw->cipher, raw->pkt_seq, pkt, &len) ||
	    len > 66000)
		return -EMSGSIZE;
	rest = 4 + len + layout->tag_len - need;
	if (read_all(raw->fd, pkt + need, rest) != rest)
		return -EMSGSIZE;
	if (cipher_open(raw->cipher, raw->pkt_seq++, pkt, len))
		return -EBADMSG;
	if (pkt[4] < 4)
		return -EPROTO;
	memcpy(payload, pkt + 5, len - 1 - pkt[4]);
	return len - 1 - pkt[4];
}

/* A connection of its own for one fault: returns its channel 1. */
static int peer_open(int fds[2], struct raw *tx, struct raw *rx, int cipher)
{
	EXPECT_EQ(0, tcp_pair(fds));
	EXPECT_EQ(0, attach(fds[0]));
	EXPECT_EQ(0, new_keys(fds[0], KSSH_TX, cipher, 1, 0, 0));
	EXPECT_EQ(0, new_keys(fds[0], KSSH_RX, cipher, 9, 0, 0));
	raw_init(rx, fds[1], cipher, 1);
	raw_init(tx, fds[1], cipher, 9);
	return channel(fds[0], 1, 2);
}

FIXTURE(peer)
{
	int fd, ch;
	struct raw tx, rx;
};

FIXTURE_VARIANT(peer)
{
	int cipher;
};

SUITE_VARIANTS(peer);

FIXTURE_SETUP(peer)
{
	struct kssh_channel info = channel_info(1, 2);
	int fds[2] = { -1, -1 };

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	ASSERT_EQ(0, tcp_pair(fds));
	self->fd = fds[0];
	ASSERT_EQ(0, attach(self->fd));
	ASSERT_EQ(0, new_keys(self->fd, KSSH_TX, variant->cipher, 1, 0, 0));
	ASSERT_EQ(0, new_keys(self->fd, KSSH_RX, variant->cipher, 9, 0, 0));
	raw_init(&self->rx, fds[1], variant->cipher, 1);
	raw_init(&self->tx, fds[1], variant->cipher, 9);
	info.local_window = 100000;
	self->ch = bind_channel(self->fd, &info);
	ASSERT_LE(0, self->ch);
}

FIXTURE_TEARDOWN(peer)
{
	close(self->ch);
	close(self->fd);
	close(self->tx.fd);
}

/*
 * The connection must have ended with @err for messages and channel, counted
 * in @counter, with a last word possible, and the next one must work.
 */
static void expect_fault(int fd, int ch, struct raw *rx, int err,
			 const char *counter, unsigned long before)
{
	unsigned char msg[70000] = { SSH_MSG_DISCONNECT };
	struct kssh_cmsg_rx cmsg;
	int ret;

	do {
		ret = recv_any(fd, msg, sizeof(msg), &cmsg, 0);
	} while (ret > 0);
	EXPECT_EQ(err, ret);
	EXPECT_EQ(err, recv_any(fd, msg, sizeof(msg), &cmsg, 0));
	EXPECT_NE(0, POLLERR & poll_for(fd, POLLIN, 0));
	/* the channels are told right after */
	EXPECT_NE(0, POLLERR & poll_for(ch, 0, 5000));
	do {
		ret = read(ch, msg, sizeof(msg));
	} while (ret > 0);
	EXPECT_EQ(-1, ret);
	EXPECT_EQ(-err, errno);
	EXPECT_EQ(-1, send(ch, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(before + 1, stat_value(counter));
	EXPECT_NE(0, get_info(fd).state & KSSH_STATE_DEAD);
	EXPECT_EQ(-EPIPE, channel(fd, 5, 6));
	EXPECT_EQ(-EPIPE, send_byte(fd, SSH_MSG_GLOBAL_REQUEST));
	msg[0] = SSH_MSG_DISCONNECT;
	EXPECT_EQ(14, send(fd, msg, 14, MSG_NOSIGNAL));
	if (rx) {
		EXPECT_EQ(14, raw_recv(rx, msg));
		EXPECT_EQ(SSH_MSG_DISCONNECT, msg[0]);
	}
	EXPECT_EQ(-EPIPE, send_byte(fd, SSH_MSG_DISCONNECT));
}

TEST_F(peer, understands_what_we_send)
{
	unsigned char msg[40000], buf[70000];
	int ret, left = 40000;

	fill(msg, sizeof(msg), 6);
	ASSERT_EQ(40000, write_all(self->ch, msg, 40000));
	while (left) {
		ret = raw_recv(&self->rx, buf);
		ASSERT_LT(9, ret);
		EXPECT_EQ(SSH_MSG_CHANNEL_DATA, buf[0]);
		EXPECT_EQ(2, kssh_get_be32(buf + 1));
		EXPECT_EQ(ret - 9, kssh_get_be32(buf + 5));
		ASSERT_EQ(0, memcmp(msg + 40000 - left, buf + 9, ret - 9));
		left -= ret - 9;
	}
	ASSERT_EQ(0, raw_data(&self->tx, 1, 500));
	ASSERT_EQ(500, read_all(self->ch, buf, 500));
}

/* Closely where something ends: a block, a page, our buffers, a packet. */
static int next_len(int len)
{
	static const int close[][2] = { { 1, 150 },	 { 980, 1030 },
					{ 2030, 2060 },	 { 4060, 4110 },
					{ 8150, 8200 },	 { 16350, 16400 },
					{ 32600, 32768 } };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(close); i++)
		if (len >= close[i][0] && len < close[i][1])
			return len + 1;
	for (i = 0; i < ARRAY_SIZE(close); i++)
		if (len < close[i][0] && len + 397 > close[i][0])
			return close[i][0];
	return len + 397;
}

/* Against libcrypto: packets of many lengths, in both directions. */
TEST_F_TIMEOUT(peer, packets_of_many_lengths, 300)
{
	static unsigned char data[40000], buf[70000];
	int len, ret;

	fill(data, sizeof(data), 3);
	for (len = 1; len <= 32768; len = next_len(len)) {
		ASSERT_EQ(0, raw_adjust(&self->tx, 1, len));
		ASSERT_EQ(len, write_all(self->ch, data, len));
		ret = raw_recv(&self->rx, buf);
		/* our own packets hold a little less than what the peer takes */
		if (ret < 9 + len) {
			ASSERT_LT(32000, len);
			ASSERT_EQ(0, memcmp(buf + 9, data, ret - 9));
			ASSERT_EQ(len - (ret - 9) + 9,
				  raw_recv(&self->rx, buf));
			continue;
		}
		ASSERT_EQ(9 + len, ret);
		ASSERT_EQ(0, memcmp(buf + 9, data, len));
	}
	for (len = 1; len <= 32768; len = next_len(len)) {
		ASSERT_EQ(0, raw_data(&self->tx, 1, len));
		ASSERT_EQ(len, read_all(self->ch, buf, len));
		ASSERT_EQ(0, buf[len - 1]);
	}
}

TEST_F(peer, wrong_mac)
{
	unsigned long before = stat_value("KsshBadMac");
	unsigned char out[100];
	int len;

	/* what came before is still delivered */
	ASSERT_EQ(0, raw_data(&self->tx, 1, 10));
	len = raw_packet(&self->tx, "P", 1, -1, out);
	out[10] ^= 1;
	ASSERT_EQ(len, write_all(self->tx.fd, out, len));
	EXPECT_EQ(10, read_all(self->ch, out, 10));
	expect_fault(self->fd, self->ch, &self->rx, -EBADMSG, "KsshBadMac",
		     before);
}

TEST_F(peer, impossible_lengths)
{
	static const uint32_t lens[] = { 0,	     1,		 4,
					 5,	     15,	 17,
					 33,	     262145,	 262160,
					 0x7fffffff, 0x80000000, 0xffffffff };
	struct raw tx, rx;
	unsigned int i;
	int len;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		unsigned long before = stat_value("KsshBadLength");
		unsigned char pkt[68] = { 0 }, out[68 + 64];
		int fds[2], ch;

		ch = peer_open(fds, &tx, &rx, variant->cipher);
		kssh_put_be32(pkt, lens[i]);
		len = raw_layout(&tx, true)->clear_len ? 68 : 64;
		raw_seal(&tx, pkt, len, out);
		ASSERT_EQ(64, write_all(fds[1], out, 64));
		expect_fault(fds[0], ch, &rx, -EMSGSIZE, "KsshBadLength",
			     before);
		close(ch);
		close(fds[0]);
		close(fds[1]);
	}
}

TEST_F(peer, padding_below_four)
{
	unsigned long before = stat_value("KsshBadPadding");
	unsigned char out[100];
	int len = raw_packet(&self->tx, "P", 1, 3, out);

	ASSERT_EQ(len, write_all(self->tx.fd, out, len));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO, "KsshBadPadding",
		     before);
}

TEST_F(peer, padding_beyond_the_packet)
{
	unsigned long before = stat_value("KsshBadPadding");
	unsigned char out[100];
	int len = raw_packet(&self->tx, "P", 1, 200, out);

	ASSERT_EQ(len, write_all(self->tx.fd, out, len));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO, "KsshBadPadding",
		     before);
}

TEST_F(peer, empty_payload)
{
	unsigned long before = stat_value("KsshBadPadding");
	unsigned char out[100];
	int len = raw_packet(&self->tx, "", 0, -1, out);

	ASSERT_EQ(len, write_all(self->tx.fd, out, len));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO, "KsshBadPadding",
		     before);
}

TEST_F(peer, data_beyond_the_window)
{
	unsigned long before = stat_value("KsshWindowOverrun");
	int i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, raw_data(&self->tx, 1, 32768));
	ASSERT_EQ(0, raw_data(&self->tx, 1, 1697));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO,
		     "KsshWindowOverrun", before);
}

TEST_F(peer, data_beyond_the_packet_size)
{
	unsigned long before = stat_value("KsshWindowOverrun");

	ASSERT_EQ(0, raw_data(&self->tx, 1, 32769));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO,
		     "KsshWindowOverrun", before);
}

TEST_F(peer, window_adjust_overflow)
{
	unsigned long before = stat_value("KsshWindowOverflow");

	ASSERT_EQ(0, raw_adjust(&self->tx, 1, 0xffffffff - WINDOW));
	ASSERT_EQ(0, raw_adjust(&self->tx, 1, 1));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO,
		     "KsshWindowOverflow", before);
}

TEST_F(peer, malformed_channel_messages)
{
	static const struct {
		int len;
		unsigned char msg[20];
	} bad[] = {
		{ 4, { 94, 0, 0, 0 } },
		{ 8, { 94, 0, 0, 0, 1, 0, 0, 0 } },
		{ 10, { 94, 0, 0, 0, 1, 0, 0, 0, 2, 'x' } },
		{ 10, { 94, 0, 0, 0, 1, 0, 0, 0, 0, 'x' } },
		{ 12, { 95, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0 } },
		{ 9, { 94, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff } },
		{ 8, { 93, 0, 0, 0, 1, 0, 0, 0 } },
		{ 10, { 93, 0, 0, 0, 1, 0, 0, 0, 0, 0 } },
		{ 6, { 96, 0, 0, 0, 1, 0 } },
		{ 4, { 97, 0, 0, 0 } },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		unsigned long before = stat_value("KsshProtocol");
		struct raw tx, rx;
		int fds[2], ch = peer_open(fds, &tx, &rx, variant->cipher);

		ASSERT_EQ(0, raw_send(&tx, bad[i].msg, bad[i].len));
		expect_fault(fds[0], ch, &rx, -EPROTO, "KsshProtocol", before);
		close(ch);
		close(fds[0]);
		close(fds[1]);
	}
}

TEST_F(peer, messages_of_other_layers_behind_kexinit)
{
	static const unsigned char late[][14] = {
		{ SSH_MSG_CHANNEL_DATA, 0, 0, 0, 1, 0, 0, 0, 5 },
		{ SSH_MSG_CHANNEL_WINDOW_ADJUST, 0, 0, 0, 1, 0, 0, 0, 5 },
		{ SSH_MSG_GLOBAL_REQUEST, 0, 0, 0, 1, 'x', 0 },
		{ 255 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(late); i++) {
		unsigned long before = stat_value("KsshProtocol");
		struct raw tx, rx;
		int fds[2], ch = peer_open(fds, &tx, &rx, variant->cipher);

		ASSERT_EQ(0, raw_data(&tx, 1, 5));
		ASSERT_EQ(0, raw_send(&tx, "\x14", 1));
		/* these may come */
		ASSERT_EQ(0, raw_send(&tx, "\x02", 1));
		ASSERT_EQ(0, raw_send(&tx, "\x1e", 1));
		ASSERT_EQ(0, raw_send(&tx, late[i], sizeof(late[i])));
		expect_fault(fds[0], ch, &rx, -EPROTO, "KsshProtocol", before);
		close(ch);
		close(fds[0]);
		close(fds[1]);
	}
}

TEST_F(peer, data_behind_eof)
{
	unsigned long before = stat_value("KsshProtocol");
	unsigned char buf[16];

	ASSERT_EQ(0, raw_data(&self->tx, 1, 5));
	ASSERT_EQ(0, raw_send(&self->tx, "\x60\0\0\0\1", 5));
	ASSERT_EQ(0, raw_data(&self->tx, 1, 5));
	EXPECT_EQ(-EPROTO, recv_type(self->fd));
	EXPECT_EQ(before + 1, stat_value("KsshProtocol"));
	/* whoever has seen the end of file is not told of errors behind it */
	EXPECT_EQ(5, read_all(self->ch, buf, 5));
	EXPECT_EQ(0, read(self->ch, buf, 1));
	EXPECT_EQ(0, read(self->ch, buf, 1));
}

TEST_F(peer, an_error_is_told_behind_the_data_once)
{
	unsigned char buf[16];

	ASSERT_EQ(0, raw_data(&self->tx, 1, 5));
	ASSERT_EQ(0, raw_send(&self->tx, "\x5e", 1));
	EXPECT_EQ(-EPROTO, recv_type(self->fd));
	/* a writer that is told takes nothing from the reader */
	EXPECT_EQ(-1, send(self->ch, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(5, recv(self->ch, buf, 10, MSG_WAITALL));
	EXPECT_EQ(-1, recv(self->ch, buf, 10, MSG_WAITALL));
	EXPECT_EQ(EPROTO, errno);
	EXPECT_EQ(0, recv(self->ch, buf, 10, 0));
}

TEST_F(peer, what_comes_after_a_fault_is_dropped)
{
	unsigned char out[1024] = { 0 };
	char disconnect[14] = { SSH_MSG_DISCONNECT };
	int i, left, unsent;

	ASSERT_EQ(0, raw_send(&self->tx, "\x5e", 1));
	EXPECT_EQ(-EPROTO, recv_type(self->fd));
	/* unread bytes would make a RST of our FIN */
	for (i = 0; i < 100; i++)
		ASSERT_EQ(sizeof(out),
			  write_all(self->tx.fd, out, sizeof(out)));
	ASSERT_EQ(14, send(self->fd, disconnect, 14, 0));
	/* until all has been taken from TCP there, see the window's end */
	for (i = 0; i < 500; i++) {
		ASSERT_EQ(0, ioctl(self->fd, SIOCINQ, &left));
		ASSERT_EQ(0, ioctl(self->tx.fd, SIOCOUTQ, &unsent));
		if (!left && !unsent)
			break;
		usleep(10000);
	}
	usleep(50000);
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(14, raw_recv(&self->rx, out));
	EXPECT_EQ(SSH_MSG_DISCONNECT, out[0]);
}

TEST_F(peer, nothing_of_a_channel_follows_its_close)
{
	static unsigned char buf[70000];
	int i, ret, n, closed;

	for (i = 0; i < 50; i++) {
		struct kssh_channel info = channel_info(100 + i, 200 + i);
		int ch;

		info.remote_window = 1 << 20;
		ch = bind_channel(self->fd, &info);
		ASSERT_LE(0, ch);
		if (!fork()) {
			/* a writer that does not know */
			for (n = 0; n < 64; n++)
				if (send(ch, buf, 1000, MSG_NOSIGNAL) < 0)
					break;
			_exit(0);
		}
		close(ch);
		ASSERT_EQ(0, send_close(self->fd, 200 + i));
		ASSERT_EQ(5, send(self->fd, "\x02\0\0\0\0", 5, 0));
		wait(NULL);
		closed = 0;
		do {
			ret = raw_recv(&self->rx, buf);
			ASSERT_LT(0, ret);
			if (buf[0] == SSH_MSG_CHANNEL_CLOSE)
				closed++;
			else if (buf[0] != SSH_MSG_IGNORE)
				EXPECT_EQ(0, closed);
		} while (buf[0] != SSH_MSG_IGNORE);
		EXPECT_EQ(1, closed);
		ASSERT_EQ(0, raw_send(&self->tx,
				      (unsigned char[]){ 97, 0, 0, 0, 100 + i },
				      5));
		/* there may be the event that all has been sent */
		do {
			ret = recv_type(self->fd);
		} while (ret == -ENOMSG);
		EXPECT_EQ(SSH_MSG_CHANNEL_CLOSE, ret);
	}
}

TEST_F(peer, newkeys_out_of_place)
{
	unsigned long before = stat_value("KsshProtocol");

	ASSERT_EQ(0, raw_send(&self->tx, "\x15", 1));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO, "KsshProtocol",
		     before);
}

TEST_F(peer, fin_inside_a_packet)
{
	unsigned long before = stat_value("KsshTruncated");
	unsigned char out[100];

	raw_packet(&self->tx, "P", 1, -1, out);
	ASSERT_EQ(20, write_all(self->tx.fd, out, 20));
	shutdown(self->tx.fd, SHUT_WR);
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO, "KsshTruncated",
		     before);
}

TEST_F(peer, fin_inside_a_length)
{
	unsigned long before = stat_value("KsshTruncated");

	ASSERT_EQ(3, write_all(self->tx.fd, "\0\0\0", 3));
	shutdown(self->tx.fd, SHUT_WR);
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO, "KsshTruncated",
		     before);
}

TEST_F(peer, clean_fin)
{
	unsigned char buf[16];

	ASSERT_EQ(0, raw_data(&self->tx, 1, 5));
	shutdown(self->tx.fd, SHUT_WR);
	EXPECT_EQ(0, recv_type(self->fd));
	/* data first, then the error: no EOF came */
	EXPECT_EQ(5, read(self->ch, buf, sizeof(buf)));
	EXPECT_EQ(-1, read(self->ch, buf, sizeof(buf)));
	EXPECT_EQ(ECONNRESET, errno);
}

TEST_F(peer, reset)
{
	struct linger linger = { .l_onoff = 1 };
	struct kssh_cmsg_rx rx;
	unsigned char buf[16];

	ASSERT_EQ(0, raw_data(&self->tx, 1, 5));
	ASSERT_NE(0, poll_for(self->ch, POLLIN, 5000));
	setsockopt(self->tx.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(self->tx.fd);
	self->tx.fd = -1;
	EXPECT_EQ(-ECONNRESET, recv_any(self->fd, buf, sizeof(buf), &rx, 0));
	EXPECT_EQ(5, read(self->ch, buf, sizeof(buf)));
	EXPECT_EQ(-1, read(self->ch, buf, sizeof(buf)));
	EXPECT_EQ(ECONNRESET, errno);
	EXPECT_EQ(-1, send(self->ch, "x", 1, MSG_NOSIGNAL));
}

TEST_F(peer, one_byte_segments)
{
	unsigned char msg[300], buf[300], *out = malloc(1000);
	struct kssh_cmsg_rx rx;
	int i, len, rcvbuf = 2304;

	setsockopt(self->fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	fill(msg, sizeof(msg), 2);
	msg[0] = SSH_MSG_GLOBAL_REQUEST;
	len = raw_packet(&self->tx, msg, sizeof(msg), -1, out);
	for (i = 0; i < len; i++) {
		ASSERT_EQ(1, write(self->tx.fd, out + i, 1));
		if (i % 50 == 0)
			usleep(1000);
	}
	ASSERT_EQ(300, recv_any(self->fd, buf, sizeof(buf), &rx, 0));
	EXPECT_EQ(0, memcmp(msg, buf, 300));
	free(out);
}

TEST_F(peer, large_packet_with_a_small_receive_buffer)
{
	int fds[2], ch, rcvbuf = 4096, len = 250000;
	struct kssh_channel info = channel_info(1, 2);
	unsigned char *in = malloc(len);
	struct raw tx;
	pid_t pid;

	ASSERT_EQ(0, tcp_pair(fds));
	setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	ASSERT_EQ(0, attach(fds[0]));
	ASSERT_EQ(0, new_keys(fds[0], KSSH_TX, variant->cipher, 1, 0, 0));
	ASSERT_EQ(0, new_keys(fds[0], KSSH_RX, variant->cipher, 9, 0, 0));
	info.local_max_packet = len;
	ch = bind_channel(fds[0], &info);
	raw_init(&tx, fds[1], variant->cipher, 9);
	pid = fork();
	if (!pid)
		_exit(raw_data(&tx, 1, len) != 0);
	ASSERT_EQ(len, read_all(ch, in, len));
	waitpid(pid, NULL, 0);
	close(ch);
	close(fds[0]);
	close(fds[1]);
	free(in);
}

TEST_F(peer, ignore_debug_and_empty_data_are_dropped)
{
	unsigned long before = stat_value("KsshRxIgnored");
	int i;

	for (i = 0; i < 500; i++) {
		ASSERT_EQ(0, raw_send(&self->tx, "\x02\0\0\0\0", 5));
		ASSERT_EQ(0, raw_send(&self->tx, "\x04\0\0\0\0\0\0\0\0\0", 10));
		ASSERT_EQ(0, raw_data(&self->tx, 1, 0));
	}
	ASSERT_EQ(0, raw_send(&self->tx, "\x50", 1));
	EXPECT_EQ(0x50, recv_type(self->fd));
	EXPECT_EQ(before + 1000, stat_value("KsshRxIgnored"));
	EXPECT_EQ(0, poll_for(self->ch, POLLIN, 0));
}

TEST_F(peer, byte_by_byte_data_are_kept_together)
{
	unsigned char buf[3000];
	int i;

	for (i = 0; i < 3000; i++)
		ASSERT_EQ(0, raw_data(&self->tx, 1, 1));
	ASSERT_EQ(0, raw_send(&self->tx, "\x50", 1));
	EXPECT_EQ(0x50, recv_type(self->fd));
	ASSERT_EQ(3000, recv(self->ch, buf, 3000, MSG_WAITALL));
}

TEST_F(peer, glued_to_newkeys)
{
	unsigned char out[1000], buf[100];
	struct kssh_cmsg_rx rx;
	int len = 0;

	ASSERT_EQ(0, send_byte(self->fd, SSH_MSG_KEXINIT));
	len += raw_packet(&self->tx, "\x14", 1, -1, out);
	len += raw_packet(&self->tx, "\x15", 1, -1, out + len);
	raw_init(&self->tx, self->tx.fd, variant->cipher, 77);
	len += raw_packet(&self->tx,
			  "\x50"
			  "after",
			  6, -1, out + len);
	ASSERT_EQ(len, write_all(self->tx.fd, out, len));
	ASSERT_EQ(0x14, recv_type(self->fd));
	ASSERT_EQ(0x15, recv_type(self->fd));
	EXPECT_EQ(0, poll_for(self->fd, POLLIN, 50));
	EXPECT_NE(0, get_info(self->fd).state & KSSH_STATE_RX_PARKED);
	ASSERT_EQ(0, new_keys(self->fd, KSSH_RX, variant->cipher, 77, 0,
			      KSSH_CRYPTO_SEQ_RESET));
	ASSERT_EQ(6, recv_any(self->fd, buf, sizeof(buf), &rx, 0));
	EXPECT_EQ(0, rx.pkt_seq);
}

TEST_F(peer, urgent_data_end_it)
{
	struct kssh_cmsg_rx rx;
	char buf[16];

	ASSERT_EQ(1, send(self->tx.fd, "!", 1, MSG_OOB));
	EXPECT_EQ(-EPROTO, recv_any(self->fd, buf, sizeof(buf), &rx, 0));
}

TEST_F(peer, close_while_tcp_is_full)
{
	unsigned char *out = malloc(WINDOW), msg[70000];
	int ret, total = 0, sent, messages = 0;

	fill(out, WINDOW, 1);
	set_nonblock(self->ch);
	sent = write(self->ch, out, WINDOW);
	ASSERT_LT(0, sent);
	set_nonblock(self->fd);
	/* TCP may have taken part of the last packet only */
	while (send_byte(self->fd, SSH_MSG_GLOBAL_REQUEST) == 0)
		;
	close(self->fd);
	self->fd = -1;
	for (;;) {
		ret = raw_recv(&self->rx, msg);
		if (ret < 0)
			break;
		if (msg[0] != SSH_MSG_CHANNEL_DATA) {
			messages++;
			continue;
		}
		ASSERT_EQ(0, memcmp(out + total, msg + 9, ret - 9));
		total += ret - 9;
	}
	/* the end is at a packet boundary */
	EXPECT_EQ(-EPIPE, ret);
	EXPECT_GE(sent, total);
	free(out);
}

/* Misuse */

TEST(attach_only_when_connected)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd, fds[2] = { -1, -1 };

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT_EQ(-ENOTCONN, attach(fd));
	ASSERT_EQ(0, bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	ASSERT_EQ(0, listen(fd, 1));
	EXPECT_EQ(-ENOTCONN, attach(fd));
	close(fd);
	ASSERT_EQ(0, tcp_pair(fds));
	EXPECT_EQ(0, attach(fds[0]));
	EXPECT_EQ(-EEXIST, attach(fds[0]));
	addr.sin_family = AF_UNSPEC;
	EXPECT_EQ(-1, connect(fds[0], (struct sockaddr *)&addr, sizeof(addr)));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(-1, listen(fds[0], 1));
	close(fds[0]);
	close(fds[1]);
}

static void set_sysctl(const char *value)
{
	int fd = open("/proc/sys/net/kssh/unprivileged_attach", O_WRONLY);

	EXPECT_EQ(1, write(fd, value, 1));
	close(fd);
}

TEST(attach_needs_the_capability)
{
	int fds[2] = { -1, -1 }, status;
	pid_t pid;

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	ASSERT_EQ(0, tcp_pair(fds));
	pid = fork();
	if (!pid)
		_exit(setuid(65534) || attach(fds[0]) != -EPERM);
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	set_sysctl("1");
	pid = fork();
	if (!pid)
		_exit(setuid(65534) || attach(fds[0]) != 0);
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	set_sysctl("0");
	close(fds[0]);
	close(fds[1]);
}

TEST(keys_are_checked)
{
	const int cipher = KSSH_CIPHER_AES_128_GCM;
	struct kssh_crypto_info info, good = crypto_info(cipher, 1, 0, 0);
	int fds[2] = { -1, -1 }, opt;

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	ASSERT_EQ(0, tcp_pair(fds));
	ASSERT_EQ(0, attach(fds[0]));
#define BAD(err, change)                                      \
	do {                                                  \
		info = good;                                  \
		change;                                       \
		EXPECT_EQ(err, set_keys(fds[0], opt, &info)); \
	} while (0)
	for (opt = KSSH_TX; opt <= KSSH_RX; opt++) {
		BAD(-EINVAL, info.version = 0);
		BAD(-EINVAL, info.version = 2);
		BAD(-ENOENT, info.cipher = 0);
		BAD(-ENOENT, info.cipher = 99);
		BAD(-ENOENT, info.mac = KSSH_MAC_HMAC_SHA2_256);
		BAD(-EINVAL, info.flags = 4);
		BAD(-EINVAL, info.flags = KSSH_CRYPTO_SEQ_RESET);
		BAD(-EINVAL, info.flags = KSSH_CRYPTO_SEQ_KEEP);
		BAD(-EINVAL, info.key_len = 15);
		BAD(-EINVAL, info.key_len = 65);
		BAD(-EINVAL, info.iv_len = 16);
		BAD(-EINVAL, info.iv_len = 17);
		BAD(-EINVAL, info.mac_key_len = 1);
		BAD(-EINVAL, info.reserved0 = 1);
		BAD(-EINVAL, info.reserved[7] = 1);
		EXPECT_EQ(-1, setsockopt(fds[0], SOL_KSSH, opt, &good,
					 sizeof(good) - 1));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(-1, setsockopt(fds[0], SOL_KSSH, opt, NULL,
					 sizeof(good)));
		EXPECT_EQ(EFAULT, errno);
	}
	EXPECT_EQ(-ENOTCONN, channel(fds[0], 1, 2));
	opt = KSSH_TX;
	BAD(0, );
	EXPECT_EQ(-ENOTCONN, channel(fds[0], 1, 2));
	BAD(-EBUSY, );
	opt = KSSH_RX;
	BAD(0, );
	BAD(-EBUSY, );
	/* the next ones: only once NEWKEYS has passed, and with their rules */
	ASSERT_EQ(0, send_byte(fds[0], SSH_MSG_KEXINIT));
	opt = KSSH_TX;
	BAD(-EBUSY, );
	ASSERT_EQ(0, send_byte(fds[0], SSH_MSG_NEWKEYS));
	BAD(-EINVAL, info.flags = KSSH_CRYPTO_SEQ_RESET; info.pkt_seq = 1);
	BAD(-EINVAL, info.flags = 3);
	BAD(0, info.flags = KSSH_CRYPTO_SEQ_KEEP);
	EXPECT_EQ(2, get_info(fds[0]).tx_pkt_seq);
	EXPECT_EQ(-1, setsockopt(fds[0], SOL_KSSH, 99, &good, sizeof(good)));
	EXPECT_EQ(ENOPROTOOPT, errno);
	close(fds[0]);
	close(fds[1]);
#undef BAD
}

TEST_F(kssh, channels_are_checked)
{
	struct kssh_channel info, good = channel_info(5, 6);
	int fd, i;

#define BAD(err, change)                                      \
	do {                                                  \
		info = good;                                  \
		change;                                       \
		EXPECT_EQ(err, bind_channel(self->a, &info)); \
	} while (0)
	BAD(-EINVAL, info.version = 0);
	BAD(-EINVAL, info.flags = 2);
	BAD(-EINVAL, info.remote_max_packet = 0);
	BAD(-EINVAL, info.data_type = 2);
	BAD(-EINVAL, info.reserved[5] = 1);
	BAD(-EINVAL, info.data_type = KSSH_DATA_STDERR);
	EXPECT_EQ(-1, ioctl(self->a, SIOCKSSHCHANNEL, NULL));
	EXPECT_EQ(EFAULT, errno);
#undef BAD
	info = good;
	info.flags = KSSH_CHANNEL_NONBLOCK;
	fd = bind_channel(self->a, &info);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_NE(0, O_NONBLOCK & fcntl(fd, F_GETFL));
	EXPECT_EQ(-1, getpeername(fd, NULL, NULL));
	EXPECT_EQ(-1, lseek(fd, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(-1, send(fd, "x", 1, MSG_OOB));
	EXPECT_EQ(EOPNOTSUPP, errno);
	close(fd);
	/* what the peer may send is bounded: net.kssh.conn_window_max */
	for (i = 100; i < 1000; i++) {
		fd = channel(self->a, i, i);
		if (fd < 0)
			break;
		close(fd);
	}
	EXPECT_EQ(-ENOBUFS, fd);
	EXPECT_LE(get_info(self->a).local_windows, 256 << 20);
	EXPECT_GT(get_info(self->a).local_windows, (256 << 20) - WINDOW);
	/* thousands of them, if they ask for little */
	for (i = 1000; i < 6200; i++) {
		info = channel_info(i, i);
		info.local_window = 0;
		fd = bind_channel(self->a, &info);
		if (fd < 0)
			break;
		close(fd);
	}
	EXPECT_EQ(-ENOSPC, fd);
	EXPECT_EQ(4096, get_info(self->a).channels);
}

TEST_F(kssh, message_buffers_are_checked)
{
	struct kssh_cmsg_rx rx;
	char *big = calloc(1, 40000), buf[100];

	EXPECT_EQ(-1, send(self->a, big, 40000, 0));
	EXPECT_EQ(EMSGSIZE, errno);
	EXPECT_EQ(-1, send(self->a, big, 0, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, send(self->a, big, 1, MSG_OOB));
	memset(big, SSH_MSG_GLOBAL_REQUEST, 50);
	ASSERT_EQ(50, send(self->a, big, 50, 0));
	EXPECT_EQ(-EMSGSIZE, recv_any(self->b, buf, 49, &rx, 0));
	EXPECT_EQ(50, recv_any(self->b, buf, 50, &rx, MSG_PEEK));
	EXPECT_EQ(50, recv_any(self->b, buf, 50, &rx, 0));
	EXPECT_EQ(-EAGAIN, recv_any(self->b, buf, 50, &rx, MSG_DONTWAIT));
	/* an event needs its control message, a message does not */
	ASSERT_EQ(0, shutdown(self->ca, SHUT_WR));
	EXPECT_EQ(-1, recv(self->a, buf, 100, 0));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-EMSGSIZE, recv_any(self->a, buf, 4, &rx, 0));
	EXPECT_EQ(sizeof(struct kssh_event),
		  recv_any(self->a, buf, 100, &rx, 0));
	ASSERT_EQ(50, send(self->b, big, 50, 0));
	EXPECT_EQ(50, recv(self->a, buf, 100, 0));
	free(big);
}

TEST_F(kssh, splice_on_the_tcp_socket_is_refused)
{
	int p[2];

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(1, write(p[1], "x", 1));
	EXPECT_EQ(-1, splice(p[0], NULL, self->a, NULL, 1, 0));
	EXPECT_EQ(-1, splice(self->a, NULL, p[1], NULL, 1, 0));
	close(p[0]);
	close(p[1]);
}

/* Lifetime */

TEST_F(kssh, tcp_socket_closed_with_channels_open)
{
	char buf[16];

	ASSERT_EQ(3, write(self->cb, "abc", 3));
	ASSERT_NE(0, poll_for(self->ca, POLLIN, 5000));
	close(self->a);
	self->a = -1;
	EXPECT_NE(0, POLLHUP & poll_for(self->ca, POLLIN, 0));
	EXPECT_EQ(3, read(self->ca, buf, sizeof(buf)));
	EXPECT_EQ(-1, read(self->ca, buf, sizeof(buf)));
	EXPECT_EQ(ECONNRESET, errno);
	EXPECT_EQ(0, read(self->ca, buf, sizeof(buf)));
	EXPECT_EQ(-1, send(self->ca, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(EPIPE, errno);
	EXPECT_EQ(0, recv_type(self->b));
}

TEST_F_SIGNAL(kssh, sigpipe_on_a_closed_channel, SIGPIPE)
{
	shutdown(self->ca, SHUT_WR);
	EXPECT_EQ(-1, write(self->ca, "x", 1));
}

TEST_F(kssh, sleeping_reader_and_writer_are_woken_by_close)
{
	struct reader r = { self->ca, malloc(10), 10, 0 };
	pthread_t th;

	pthread_create(&th, NULL, reader_thread, &r);
	usleep(50000);
	close(self->b);
	self->b = -1;
	pthread_join(th, NULL);
	EXPECT_EQ(-ECONNRESET, r.ret);
	free(r.buf);
}

static void *noise_thread(void *arg)
{
	int *fd = arg;
	char buf[5000];
	int i;

	for (i = 0; i < 300; i++) {
		if (send(*fd, buf, i * 17 % sizeof(buf),
			 MSG_NOSIGNAL | (i & 1 ? MSG_MORE : 0)) < 0)
			break;
	}
	return NULL;
}

TEST_F(kssh, two_threads_build_one_packet)
{
	unsigned char *in = malloc(5000);
	pthread_t th[2];
	size_t want = 0, got = 0;
	int i;

	for (i = 0; i < 300; i++)
		want += 2 * (i * 17 % 5000);
	for (i = 0; i < 2; i++)
		pthread_create(&th[i], NULL, noise_thread, &self->ca);
	while (got < want) {
		int ret;

		if (!poll_for(self->cb, POLLIN, 300)) {
			/* the last one may be corked */
			shutdown(self->ca, SHUT_WR);
		}
		ret = read(self->cb, in, 5000);
		if (ret <= 0)
			break;
		got += ret;
	}
	for (i = 0; i < 2; i++)
		pthread_join(th[i], NULL);
	EXPECT_EQ(want, got);
	free(in);
}

static void *churn_thread(void *arg)
{
	int *fd = arg;
	int i, ch;
	char c;

	for (i = 0; i < 200; i++) {
		ch = channel(*fd, 1000 + i, 1000 + i);
		if (ch < 0)
			break;
		send(ch, "data", 4, MSG_NOSIGNAL);
		recv(ch, &c, 1, MSG_DONTWAIT);
		close(ch);
		send_close(*fd, 1000 + i);
	}
	return NULL;
}

static void *drain_thread(void *arg)
{
	int *fd = arg;

	int ret;

	do {
		ret = recv_type(*fd);
	} while (ret > 0 || ret == -ENOMSG);
	return NULL;
}

TEST(connections_die_under_load)
{
	int round;

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	for (round = 0; round < 12; round++) {
		int cipher = KSSH_CIPHER_AES_128_GCM, fds[2] = { -1, -1 };
		struct linger linger = { .l_onoff = 1 };
		pthread_t th[5];
		int ca, cb, n = 0;

		ASSERT_EQ(0, tcp_pair(fds));
		ASSERT_EQ(0, attach(fds[0]));
		ASSERT_EQ(0, attach(fds[1]));
		ASSERT_EQ(0, new_keys(fds[0], KSSH_TX, cipher, 1, 3, 0));
		ASSERT_EQ(0, new_keys(fds[1], KSSH_RX, cipher, 1, 3, 0));
		ASSERT_EQ(0, new_keys(fds[1], KSSH_TX, cipher, 9, 3, 0));
		ASSERT_EQ(0, new_keys(fds[0], KSSH_RX, cipher, 9, 3, 0));
		ca = channel(fds[0], 1, 2);
		cb = channel(fds[1], 2, 1);
		pthread_create(&th[n++], NULL, noise_thread, &ca);
		pthread_create(&th[n++], NULL, noise_thread, &cb);
		pthread_create(&th[n++], NULL, churn_thread, &fds[0]);
		pthread_create(&th[n++], NULL, drain_thread, &fds[1]);
		usleep(round * 3000);
		if (round & 1)
			setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &linger,
				   sizeof(linger));
		/* the number stays in use: it is the file that goes */
		dup2(STDERR_FILENO, round & 2 ? fds[0] : fds[1]);
		shutdown(round & 2 ? fds[1] : fds[0], SHUT_RDWR);
		while (n--)
			pthread_join(th[n], NULL);
		close(ca);
		close(cb);
		close(fds[0]);
		close(fds[1]);
	}
}

TEST(nothing_is_left)
{
	int i;

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	for (i = 0; i < 100 && stat_value("KsshCurrConn"); i++)
		usleep(10000);
	EXPECT_EQ(0, stat_value("KsshCurrConn"));
}

TEST_HARNESS_MAIN
