/* SPDX-License-Identifier: MIT */
/* A channel whose bytes are a stream descriptor: the kernel data path. */
#ifndef KSSH_CHANNEL_CHANNEL_FD_H
#define KSSH_CHANNEL_CHANNEL_FD_H

#include "channel/channel_impl.h"
#include "stream/ring.h"

/*
 * @rx_fd and @tx_fd (may be the same) are non-blocking stream sockets, taken
 * over also on failure. 0 or -ENOMEM.
 */
int channel_fd_alloc(struct channel **ch, struct ring *ring, int rx_fd,
		     int tx_fd);
/* Socket that sends SSH_MSG_CHANNEL_EXTENDED_DATA, taken over. */
void channel_fd_set_ext(struct channel *ch, int ext_fd);
/*
 * The EOF is out for good only when the module says so: tx_done waits for
 * channel_notify_tx_done() from outside.
 */
void channel_fd_wait_tx_done(struct channel *ch);

#endif
