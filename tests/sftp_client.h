/* SPDX-License-Identifier: MIT */
/*
 * The other end of an SFTP server in the same process, on a channel in memory:
 * requests in, answers out, in a directory of its own.
 */
#ifndef KSSH_TESTS_SFTP_CLIENT_H
#define KSSH_TESTS_SFTP_CLIENT_H

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include "core/core.h"
#include "fake_channel.h"
#include "file/sftp.h"
#include "file/sftp_server.h"
#include "harness.h"

#define CLIENT_HANDLE_MAX	64

/**
 * struct client - a client and its server
 * @fake: what lies between them
 * @taken: answers read
 * @req: the request being filled
 * @req_id: of the last request
 * @reply: the last answer, behind its id
 * @type: its type
 * @reply_id: its id
 * @dir: where the server works
 */
struct client {
	struct fake_channel fake;
	size_t taken;
	struct buf req;
	uint32_t req_id;
	struct buf reply;
	uint8_t type;
	uint32_t reply_id;
	char dir[64];
};

struct client_handle {
	uint8_t str[CLIENT_HANDLE_MAX];
	size_t len;
};

static inline int client_remove(const char *path, const struct stat *st,
				int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

/* @ring: of the channel; NULL: it is on poll(2), and does no file I/O */
static inline void client_start(struct client *cl,
				const struct sftp_options *options,
				struct ring *ring, size_t piece)
{
	memset(cl, 0, sizeof(*cl));
	fake_init(&cl->fake);
	cl->fake.piece = piece;
	if (ring)
		cl->fake.ch.ring = ring;
	buf_init(&cl->req, 1024 * 1024);
	strcpy(cl->dir, "/tmp/kssh-sftp-XXXXXX");
	ASSERT_NOT_NULL(mkdtemp(cl->dir));
	ASSERT_EQ(0, chdir(cl->dir));
	umask(022);
	ASSERT_EQ(0, sftp_start(&cl->fake.ch, options));
}

static inline void client_open(struct client *cl, bool read_only, size_t piece)
{
	struct sftp_options options = { .read_only = read_only };

	client_start(cl, &options, NULL, piece);
}

static inline void client_close(struct client *cl)
{
	if (!cl->fake.finished)
		fake_send_end(&cl->fake);
	EXPECT_TRUE(cl->fake.finished);
	fake_exit(&cl->fake);
	buf_free(&cl->req);
	EXPECT_EQ(0, chdir("/"));
	nftw(cl->dir, client_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* All has been taken on either side: what has passed is forgotten. */
static inline void client_rewind(struct client *cl)
{
	ASSERT_EQ(cl->fake.in_len, cl->fake.in_off);
	ASSERT_EQ(cl->fake.out_len, cl->taken);
	cl->fake.in_len = 0;
	cl->fake.in_ready = 0;
	cl->fake.in_off = 0;
	cl->fake.out_len = 0;
	cl->taken = 0;
}

/* ---- requests ---- */

static inline struct buf *client_begin(struct client *cl, uint8_t type)
{
	buf_reset(&cl->req);
	buf_put_u32(&cl->req, 0);
	buf_put_u8(&cl->req, type);
	buf_put_u32(&cl->req, ++cl->req_id);
	return &cl->req;
}

/* As if @type were an extension's name. */
static inline struct buf *client_begin_ext(struct client *cl, const char *name)
{
	client_begin(cl, SSH_FXP_EXTENDED);
	buf_put_cstring(&cl->req, name);
	return &cl->req;
}

/* Queue the request; it has not arrived. */
static inline void client_queue(struct client *cl)
{
	ASSERT_EQ(0, buf_error(&cl->req));
	kssh_put_be32(cl->req.data, buf_len(&cl->req) - 4);
	fake_send(&cl->fake, buf_data(&cl->req), buf_len(&cl->req));
}

/* Take the next answer; false: there is none. */
static inline bool client_take(struct client *cl)
{
	const uint8_t *p = cl->fake.out + cl->taken;
	size_t have = cl->fake.out_len - cl->taken;
	uint32_t len;

	if (have < 4)
		return false;
	len = kssh_get_be32(p);
	ASSERT_LE(4 + (size_t)len, have);
	ASSERT_LE(5, len);
	cl->taken += 4 + len;
	cl->type = p[4];
	cl->reply_id = kssh_get_be32(p + 5);
	buf_ref(&cl->reply, p + 9, len - 5);
	return true;
}

/* Send the request filled, take its answer: its type. */
static inline uint8_t client_call(struct client *cl)
{
	client_queue(cl);
	fake_arrive_all(&cl->fake);
	ASSERT_TRUE(client_take(cl));
	EXPECT_EQ(cl->req_id, cl->reply_id);
	EXPECT_EQ(cl->fake.out_len, cl->taken)
	{
		TH_LOG("more than one answer");
	}
	return cl->type;
}

/* The status an answer tells, or 1000 + its type. */
static inline uint32_t client_status_of(struct client *cl)
{
	const uint8_t *p;
	uint32_t status;
	size_t len;

	if (cl->type != SSH_FXP_STATUS)
		return 1000 + cl->type;
	ASSERT_EQ(0, buf_get_u32(&cl->reply, &status));
	ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &len));
	ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &len));
	ASSERT_EQ(0, buf_end(&cl->reply));
	return status;
}

static inline uint32_t client_status(struct client *cl)
{
	client_call(cl);
	return client_status_of(cl);
}

static inline void client_send_init(struct client *cl, uint32_t version)
{
	uint8_t init[9] = { 0, 0, 0, 5, SSH_FXP_INIT };

	kssh_put_be32(init + 5, version);
	fake_send(&cl->fake, init, sizeof(init));
	fake_arrive_all(&cl->fake);
}

static inline void client_init(struct client *cl)
{
	client_send_init(cl, 3);
	ASSERT_TRUE(client_take(cl));
	ASSERT_EQ(SSH_FXP_VERSION, cl->type);
	ASSERT_EQ(3, cl->reply_id); /* the version stands there */
}

/* The handle an answer holds, or its status. */
static inline uint32_t client_handle_of(struct client *cl,
					struct client_handle *handle)
{
	const uint8_t *p;

	if (cl->type != SSH_FXP_HANDLE)
		return client_status_of(cl);
	ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &handle->len));
	ASSERT_LE(handle->len, sizeof(handle->str));
	memcpy(handle->str, p, handle->len);
	return SSH_FX_OK;
}

static inline void client_fill_open(struct client *cl, const char *path,
				    uint32_t pflags, int mode)
{
	struct buf *req = client_begin(cl, SSH_FXP_OPEN);

	buf_put_cstring(req, path);
	buf_put_u32(req, pflags);
	buf_put_u32(req, mode < 0 ? 0 : SSH_FILEXFER_ATTR_PERMISSIONS);
	if (mode >= 0)
		buf_put_u32(req, mode);
}

static inline uint32_t client_open_mode(struct client *cl, const char *path,
					uint32_t pflags, int mode,
					struct client_handle *handle)
{
	client_fill_open(cl, path, pflags, mode);
	client_call(cl);
	return client_handle_of(cl, handle);
}

static inline uint32_t client_open_file(struct client *cl, const char *path,
					uint32_t pflags,
					struct client_handle *handle)
{
	return client_open_mode(cl, path, pflags, -1, handle);
}

static inline uint32_t client_opendir(struct client *cl, const char *path,
				      struct client_handle *handle)
{
	buf_put_cstring(client_begin(cl, SSH_FXP_OPENDIR), path);
	client_call(cl);
	return client_handle_of(cl, handle);
}

/* A request that has but a handle. */
static inline uint32_t client_on_handle(struct client *cl, uint8_t type,
					const struct client_handle *handle)
{
	buf_put_string(client_begin(cl, type), handle->str, handle->len);
	return client_status(cl);
}

/* A request that has but a path. */
static inline uint32_t client_on_path(struct client *cl, uint8_t type,
				      const char *path)
{
	buf_put_cstring(client_begin(cl, type), path);
	return client_status(cl);
}

static inline uint32_t client_on_two(struct client *cl, uint8_t type,
				     const char *from, const char *to)
{
	buf_put_cstring(client_begin(cl, type), from);
	buf_put_cstring(&cl->req, to);
	return client_status(cl);
}

static inline void client_fill_read(struct client *cl,
				    const struct client_handle *handle,
				    uint64_t off, uint32_t len)
{
	struct buf *req = client_begin(cl, SSH_FXP_READ);

	buf_put_string(req, handle->str, handle->len);
	buf_put_u64(req, off);
	buf_put_u32(req, len);
}

static inline void client_fill_write(struct client *cl,
				     const struct client_handle *handle,
				     uint64_t off, const void *p, size_t len)
{
	struct buf *req = client_begin(cl, SSH_FXP_WRITE);

	buf_put_string(req, handle->str, handle->len);
	buf_put_u64(req, off);
	buf_put_string(req, p, len);
}

static inline uint32_t client_write(struct client *cl,
				    const struct client_handle *handle,
				    uint64_t off, const void *p, size_t len)
{
	client_fill_write(cl, handle, off, p, len);
	return client_status(cl);
}

/* Data of a READ: its length at *len, or the status. */
static inline uint32_t client_read(struct client *cl,
				   const struct client_handle *handle,
				   uint64_t off, uint32_t len,
				   const uint8_t **data, size_t *data_len)
{
	client_fill_read(cl, handle, off, len);
	if (client_call(cl) != SSH_FXP_DATA)
		return client_status_of(cl);
	ASSERT_EQ(0, buf_get_string(&cl->reply, data, data_len));
	ASSERT_EQ(0, buf_end(&cl->reply));
	return SSH_FX_OK;
}

/* Send the request filled, take the one name of its answer; status. */
static inline uint32_t client_call_name(struct client *cl, char **name)
{
	uint32_t n;

	if (client_call(cl) != SSH_FXP_NAME)
		return client_status_of(cl);
	ASSERT_EQ(0, buf_get_u32(&cl->reply, &n));
	ASSERT_EQ(1, n);
	ASSERT_EQ(0, buf_get_cstring(&cl->reply, name));
	return SSH_FX_OK;
}

/* The one name of a REALPATH or READLINK; status. Freed by the caller. */
static inline uint32_t client_name(struct client *cl, uint8_t type,
				   const char *path, char **name)
{
	buf_put_cstring(client_begin(cl, type), path);
	return client_call_name(cl, name);
}

/* Attributes from the reply of a STAT and the like. */
static inline uint32_t client_attrs(struct client *cl, struct sftp_attrs *attrs)
{
	if (client_call(cl) != SSH_FXP_ATTRS)
		return client_status_of(cl);
	ASSERT_EQ(0, sftp_attrs_get(&cl->reply, attrs));
	ASSERT_EQ(0, buf_end(&cl->reply));
	return SSH_FX_OK;
}

/* ---- files beside the server ---- */

static inline void make_file(const char *path, const void *p, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	ASSERT_LE(0, fd);
	ASSERT_EQ(len, write(fd, p, len));
	close(fd);
}

/* @len bytes which differ from place to place. */
static inline uint8_t *make_data(size_t len)
{
	uint8_t *p = malloc(len + 1);
	uint32_t x = 12345;
	size_t i;

	for (i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = x >> 24;
	}
	return p;
}

static inline bool file_is(const char *path, const void *want, size_t len)
{
	uint8_t *p = malloc(len + 1);
	int fd = open(path, O_RDONLY);
	bool same;

	same = fd >= 0 && read(fd, p, len + 1) == (ssize_t)len &&
	       !memcmp(p, want, len);
	if (fd >= 0)
		close(fd);
	free(p);
	return same;
}

static inline unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

#endif
