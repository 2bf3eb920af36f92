// SPDX-License-Identifier: MIT
/* Connections for bench/datapath: plain TCP, kTLS, kSSH, with keys of ours. */
#include <errno.h>
#include <linux/kssh.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "datapath.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef TLS_RX_EXPECT_NO_PAD
#define TLS_RX_EXPECT_NO_PAD 4
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

static const char *const path_names[] = {
	[PATH_TCP] = "tcp",
	[PATH_KTLS] = "ktls",
	[PATH_KTLS_NOPAD] = "ktls-nopad",
	[PATH_KSSH] = "kssh",
};

static const struct suite suites[] = {
	{ "aes128-gcm", KSSH_CIPHER_AES_128_GCM, 0, 16, 12, 0 },
	{ "aes256-gcm", KSSH_CIPHER_AES_256_GCM, 0, 32, 12, 0 },
	{ "chacha20-poly1305", KSSH_CIPHER_CHACHA20_POLY1305, 0, 64, 0, 0 },
	{ "aes128-ctr+hmac-sha2-256-etm", KSSH_CIPHER_AES_128_CTR,
	  KSSH_MAC_HMAC_SHA2_256_ETM, 16, 16, 32 },
	{ "aes128-ctr+hmac-sha2-256", KSSH_CIPHER_AES_128_CTR,
	  KSSH_MAC_HMAC_SHA2_256, 16, 16, 32 },
	{ "aes256-ctr+hmac-sha2-256-etm", KSSH_CIPHER_AES_256_CTR,
	  KSSH_MAC_HMAC_SHA2_256_ETM, 32, 16, 32 },
	{ "aes256-ctr+hmac-sha2-512-etm", KSSH_CIPHER_AES_256_CTR,
	  KSSH_MAC_HMAC_SHA2_512_ETM, 32, 16, 64 },
};

const char *path_name(enum path_id path)
{
	return path_names[path];
}

bool path_by_name(const char *name, enum path_id *path)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(path_names); i++) {
		if (strcmp(name, path_names[i]))
			continue;
		*path = i;
		return true;
	}
	return false;
}

const struct suite *suite_by_index(size_t i)
{
	return i < ARRAY_SIZE(suites) ? &suites[i] : NULL;
}

/* kTLS is here as the measure of AES-GCM, TCP as that of none. */
bool path_has_suite(enum path_id path, const struct suite *suite)
{
	return path == PATH_KSSH || suite == &suites[0] ||
	       (path != PATH_TCP && suite == &suites[1]);
}

void connect_ends(struct end *tx, struct end *rx)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int one = 1, srv;

	memset(tx, 0, sizeof(*tx));
	memset(rx, 0, sizeof(*rx));
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	srv = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	tx->sk = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (srv < 0 || tx->sk < 0 || bind(srv, (struct sockaddr *)&addr, len) ||
	    listen(srv, 1) ||
	    getsockname(srv, (struct sockaddr *)&addr, &len) ||
	    connect(tx->sk, (struct sockaddr *)&addr, len))
		die("loopback connection: %s", strerror(errno));
	rx->sk = accept(srv, NULL, NULL);
	if (rx->sk < 0)
		die("accept: %s", strerror(errno));
	close(srv);
	setsockopt(tx->sk, SOL_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(rx->sk, SOL_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void attach(int sk, const char *ulp)
{
	if (setsockopt(sk, SOL_TCP, TCP_ULP, ulp, strlen(ulp) + 1))
		die("ULP %s: %s", ulp, strerror(errno));
}

static void ktls_keys(int sk, int opt, const struct suite *suite)
{
	struct tls12_crypto_info_aes_gcm_128 gcm128 = {
		.info = { TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128 },
		.key = "key",
		.iv = "iv",
		.salt = "sal",
	};
	struct tls12_crypto_info_aes_gcm_256 gcm256 = {
		.info = { TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_256 },
		.key = "key",
		.iv = "iv",
		.salt = "sal",
	};
	int err;

	if (suite->key_len == 16)
		err = setsockopt(sk, SOL_TLS, opt, &gcm128, sizeof(gcm128));
	else
		err = setsockopt(sk, SOL_TLS, opt, &gcm256, sizeof(gcm256));
	if (err)
		die("kTLS keys: %s", strerror(errno));
}

static void ktls_set_up(struct end *end, const struct setup *setup, bool sender)
{
	int one = 1;

	attach(end->sk, "tls");
	ktls_keys(end->sk, sender ? TLS_TX : TLS_RX, setup->suite);
	if (setup->path == PATH_KTLS_NOPAD && !sender &&
	    setsockopt(end->sk, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &one,
		       sizeof(one)))
		die("TLS_RX_EXPECT_NO_PAD: %s", strerror(errno));
}

static void kssh_keys(int sk, int opt, const struct suite *suite, int seed)
{
	struct kssh_crypto_info info = {
		.version = KSSH_API_VERSION,
		.cipher = suite->cipher,
		.mac = suite->mac,
		.key_len = suite->key_len,
		.iv_len = suite->iv_len,
		.mac_key_len = suite->mac_key_len,
	};
	int i;

	for (i = 0; i < info.key_len; i++)
		info.key[i] = seed + i;
	memset(info.iv, seed, info.iv_len);
	memset(info.mac_key, seed + 1, info.mac_key_len);
	if (setsockopt(sk, SOL_KSSH, opt, &info, sizeof(info)))
		die("kSSH keys of %s: %s", suite->name, strerror(errno));
}

static void kssh_set_up(struct end *end, const struct setup *setup, bool sender)
{
	int i;

	attach(end->sk, KSSH_ULP_NAME);
	kssh_keys(end->sk, KSSH_TX, setup->suite, sender ? 1 : 2);
	kssh_keys(end->sk, KSSH_RX, setup->suite, sender ? 2 : 1);
	for (i = 0; i < setup->nchan; i++) {
		struct kssh_channel chan = {
			.version = KSSH_API_VERSION,
			.local_id = i + (sender ? 0 : CHANNELS_MAX),
			.remote_id = i + (sender ? CHANNELS_MAX : 0),
			.local_window = setup->window,
			.local_max_packet = setup->size,
			.remote_window = setup->window,
			.remote_max_packet = setup->size,
		};

		if (ioctl(end->sk, SIOCKSSHCHANNEL, &chan))
			die("channel: %s", strerror(errno));
		end->data[i] = chan.fd;
	}
	end->ndata = setup->nchan;
}

/* Install keys, bind channels. */
void end_set_up(struct end *end, const struct setup *setup, bool sender)
{
	end->data[0] = end->sk;
	end->ndata = 1;
	if (end->raw)
		return;
	if (setup->path == PATH_KTLS || setup->path == PATH_KTLS_NOPAD)
		ktls_set_up(end, setup, sender);
	else if (setup->path == PATH_KSSH)
		kssh_set_up(end, setup, sender);
}

/* A channel has handed its last byte to TCP; see kssh(7). */
static void kssh_await_done(int sk)
{
	char control[CMSG_SPACE(sizeof(struct kssh_cmsg_rx))];
	uint8_t buf[4096];
	struct iovec iov = { buf, sizeof(buf) };
	struct kssh_cmsg_rx rx;
	struct kssh_event event;
	struct cmsghdr *cmsg;

	for (;;) {
		struct msghdr msg = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};

		if (recvmsg(sk, &msg, 0) <= 0)
			die("waiting for the end of a channel: %s",
			    strerror(errno));
		cmsg = CMSG_FIRSTHDR(&msg);
		if (!cmsg)
			continue;
		memcpy(&rx, CMSG_DATA(cmsg), sizeof(rx));
		memcpy(&event, buf, sizeof(event));
		if (rx.kind == KSSH_RX_EVENT &&
		    event.type == KSSH_EVENT_CHANNEL_TX_DONE)
			return;
	}
}

/* Nothing more will be sent: whoever reads the raw stream finds its end. */
void end_finish_tx(struct end *end, const struct setup *setup)
{
	int i;

	if (!end->raw && setup->path == PATH_KSSH) {
		for (i = 0; i < end->ndata; i++)
			shutdown(end->data[i], SHUT_WR);
		for (i = 0; i < end->ndata; i++)
			kssh_await_done(end->sk);
	}
	shutdown(end->sk, SHUT_WR);
}

/* Of kTLS the kernel does not say. */
void end_ask_driver(struct end *end, const struct setup *setup, bool sender)
{
	struct kssh_info info = { 0 };
	socklen_t len = sizeof(info);

	if (end->raw || setup->path != PATH_KSSH ||
	    getsockopt(end->sk, SOL_KSSH, KSSH_INFO, &info, &len))
		return;
	snprintf(end->driver, sizeof(end->driver), "%s",
		 sender ? info.tx_driver : info.rx_driver);
}

void end_close(struct end *end)
{
	int i;

	for (i = 0; i < end->ndata; i++)
		if (end->data[i] != end->sk)
			close(end->data[i]);
	close(end->sk);
}
