/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The pure core: packet layout, channel headers, windows, rekey limits.
 * No sockets, no allocation, no locks: compiled into the module and into
 * userspace, so that both data paths decide alike.
 */
#ifndef _KSSH_CORE_H
#define _KSSH_CORE_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/minmax.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#endif

static inline u32 kssh_get_be32(const u8 *p)
{
	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

static inline void kssh_put_be32(u8 *p, u32 v)
{
	p[0] = v >> 24;
	p[1] = v >> 16;
	p[2] = v >> 8;
	p[3] = v;
}

static inline u64 kssh_get_be64(const u8 *p)
{
	return (u64)kssh_get_be32(p) << 32 | kssh_get_be32(p + 4);
}

static inline void kssh_put_be64(u8 *p, u64 v)
{
	kssh_put_be32(p, v >> 32);
	kssh_put_be32(p + 4, v);
}

/* Message numbers: RFC 4250 4.1.2, RFC 8308 2.3, OpenSSH PROTOCOL 1.9 */
#define SSH_MSG_DISCONNECT			1
#define SSH_MSG_IGNORE				2
#define SSH_MSG_UNIMPLEMENTED			3
#define SSH_MSG_DEBUG				4
#define SSH_MSG_SERVICE_REQUEST			5
#define SSH_MSG_SERVICE_ACCEPT			6
#define SSH_MSG_EXT_INFO			7
#define SSH_MSG_KEXINIT				20
#define SSH_MSG_NEWKEYS				21
#define SSH_MSG_KEX_ECDH_INIT			30
#define SSH_MSG_KEX_ECDH_REPLY			31
#define SSH_MSG_USERAUTH_REQUEST		50
#define SSH_MSG_USERAUTH_FAILURE		51
#define SSH_MSG_USERAUTH_SUCCESS		52
#define SSH_MSG_USERAUTH_BANNER			53
#define SSH_MSG_USERAUTH_PK_OK			60
#define SSH_MSG_GLOBAL_REQUEST			80
#define SSH_MSG_REQUEST_SUCCESS			81
#define SSH_MSG_REQUEST_FAILURE			82
#define SSH_MSG_CHANNEL_OPEN			90
#define SSH_MSG_CHANNEL_OPEN_CONFIRMATION	91
#define SSH_MSG_CHANNEL_OPEN_FAILURE		92
#define SSH_MSG_CHANNEL_WINDOW_ADJUST		93
#define SSH_MSG_CHANNEL_DATA			94
#define SSH_MSG_CHANNEL_EXTENDED_DATA		95
#define SSH_MSG_CHANNEL_EOF			96
#define SSH_MSG_CHANNEL_CLOSE			97
#define SSH_MSG_CHANNEL_REQUEST			98
#define SSH_MSG_CHANNEL_SUCCESS			99
#define SSH_MSG_CHANNEL_FAILURE			100

/* RFC 4253 11.1 */
#define SSH_DISCONNECT_HOST_NOT_ALLOWED_TO_CONNECT	1
#define SSH_DISCONNECT_PROTOCOL_ERROR			2
#define SSH_DISCONNECT_KEY_EXCHANGE_FAILED		3
#define SSH_DISCONNECT_MAC_ERROR			5
#define SSH_DISCONNECT_SERVICE_NOT_AVAILABLE		7
#define SSH_DISCONNECT_PROTOCOL_VERSION_NOT_SUPPORTED	8
#define SSH_DISCONNECT_CONNECTION_LOST			10
#define SSH_DISCONNECT_BY_APPLICATION			11
#define SSH_DISCONNECT_TOO_MANY_CONNECTIONS		12
#define SSH_DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE	14
#define SSH_DISCONNECT_ILLEGAL_USER_NAME		15

#endif /* _KSSH_CORE_H */
