// SPDX-License-Identifier: MIT
/* Negotiated keys to setsockopt(2) calls, nothing else. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/mem.h"
#include "offload/ulp.h"

int ulp_attach(int fd)
{
	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, KSSH_ULP_NAME,
		       sizeof(KSSH_ULP_NAME)) < 0)
		return -errno;
	return 0;
}

int ulp_install(int fd, bool tx, const struct newkeys *keys, uint32_t pkt_seq,
		enum ulp_seq seq)
{
	struct kssh_crypto_info info = {
		.version = KSSH_API_VERSION,
		.cipher = keys->cipher,
		.mac = keys->mac,
		.key_len = keys->key_len,
		.iv_len = keys->iv_len,
		.mac_key_len = keys->mac_key_len,
	};
	int err = 0;

	if (seq == ULP_SEQ_RESET)
		info.flags = KSSH_CRYPTO_SEQ_RESET;
	else if (seq == ULP_SEQ_KEEP)
		info.flags = KSSH_CRYPTO_SEQ_KEEP;
	else
		info.pkt_seq = pkt_seq;
	memcpy(info.key, keys->key, keys->key_len);
	memcpy(info.iv, keys->iv, keys->iv_len);
	memcpy(info.mac_key, keys->mac_key, keys->mac_key_len);

	if (setsockopt(fd, SOL_KSSH, tx ? KSSH_TX : KSSH_RX, &info,
		       sizeof(info)) < 0)
		err = -errno;
	mem_wipe(&info, sizeof(info));
	return err;
}

int ulp_rekey_limits(int fd, uint64_t bytes, uint32_t seconds)
{
	struct kssh_rekey_limits limits = {
		.version = KSSH_API_VERSION,
		.bytes = bytes,
		.seconds = seconds,
	};

	if (setsockopt(fd, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
		       sizeof(limits)) < 0)
		return -errno;
	return 0;
}

uint64_t ulp_rx_packets(int fd)
{
	struct kssh_info info = { .version = 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_KSSH, KSSH_INFO, &info, &len) < 0)
		return 0;
	return info.rx_packets;
}

int ulp_channel(int fd, const struct kssh_channel *channel)
{
	struct kssh_channel arg = *channel;

	arg.version = KSSH_API_VERSION;
	arg.flags |= KSSH_CHANNEL_NONBLOCK;
	if (ioctl(fd, SIOCKSSHCHANNEL, &arg) < 0)
		return -errno;
	return arg.fd;
}

bool ulp_present(void)
{
	return !access("/sys/module/kssh", F_OK);
}
