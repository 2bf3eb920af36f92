/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the selftests of kssh.ko share: connections over loopback with keys of our
 * own making, between two kSSH sockets (fixture kssh) or against a peer written
 * here, which can do wrong (fixture peer).
 */
#ifndef _TESTS_KSSH_PEER_H
#define _TESTS_KSSH_PEER_H

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

/* Nobody needs all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

#ifndef TEST_TIMEOUT
#define TEST_TIMEOUT 60
#endif
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
#define SUITE(cipher, mac) ((cipher) | (mac) << 8)
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

/* The value behind @name in the fdinfo of @fd. */
static unsigned long long fdinfo(int fd, const char *name)
{
	unsigned long long value = -1ULL, v;
	char path[64], line[128], key[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%63[^:]: %llu", key, &v) == 2 &&
		    !strcmp(key, name))
			value = v;
	if (file)
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

/* Until process @pid sleeps: POLLOUT goes later than a writer does. */
static void wait_asleep(pid_t pid)
{
	char path[64], line[256] = "";
	int fd, n = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	do {
		poll(NULL, 0, 10);
		fd = open(path, O_RDONLY);
		ASSERT_LE(0, fd);
		n = read(fd, line, sizeof(line) - 1);
		close(fd);
	} while (n <= 0 || !strstr(line, ") S "));
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

struct writer {
	int fd;
	const unsigned char *buf;
	size_t len;
	int ret;
};

static void *writer_thread(void *arg)
{
	struct writer *w = arg;

	w->ret = write_all(w->fd, w->buf, w->len);
	return NULL;
}

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

/* A connection under the module, and the peer that has its keys. */
static void peer_connect(int fds[2], struct raw *tx, struct raw *rx, int cipher)
{
	ASSERT_EQ(0, tcp_pair(fds));
	ASSERT_EQ(0, attach(fds[0]));
	ASSERT_EQ(0, new_keys(fds[0], KSSH_TX, cipher, 1, 0, 0));
	ASSERT_EQ(0, new_keys(fds[0], KSSH_RX, cipher, 9, 0, 0));
	raw_init(rx, fds[1], cipher, 1);
	raw_init(tx, fds[1], cipher, 9);
}

/* A connection of its own for one fault: returns its channel 1. */
static int peer_open(int fds[2], struct raw *tx, struct raw *rx, int cipher)
{
	peer_connect(fds, tx, rx, cipher);
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
	peer_connect(fds, &self->tx, &self->rx, variant->cipher);
	self->fd = fds[0];
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

#endif
