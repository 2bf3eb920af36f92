/* SPDX-License-Identifier: MIT */
/* From negotiated keys to the kernel module, and nothing else: tcp(7) ULP. */
#ifndef KSSH_OFFLOAD_ULP_H
#define KSSH_OFFLOAD_ULP_H

#include <stdbool.h>
#include <stdint.h>
#include "packet/newkeys.h"

/*
 * Attach the ULP (needs CAP_NET_ADMIN unless net.kssh.unprivileged_attach).
 * 0; -ENOENT the module is not there; -EPERM. The socket stays plain TCP until
 * the first keys.
 */
int ulp_attach(int fd);

enum ulp_seq { ULP_SEQ_SET, ULP_SEQ_RESET, ULP_SEQ_KEEP };

/* Install keys of a direction; -ENOENT the module lacks the cipher or MAC. */
int ulp_install(int fd, bool tx, const struct newkeys *keys, uint32_t pkt_seq,
		enum ulp_seq seq);
int ulp_rekey_limits(int fd, uint64_t bytes, uint32_t seconds);
/* Bind a channel; returns the socket (O_CLOEXEC, O_NONBLOCK) or -errno. */
int ulp_channel(int fd, const struct kssh_channel *channel);

/* Can the module of this version take the cipher? KSSH_CIPHER_* */
/* Packets received so far, all keys; 0 if that cannot be told. */
uint64_t ulp_rx_packets(int fd);

/* Is the module there? For log lines and -t; loads nothing. */
bool ulp_present(void);

#endif
