// SPDX-License-Identifier: MIT
/* Handles of open files and directories. */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "core/core.h"
#include "file/sftp_server.h"

#define SLOTS_FIRST	16
#define FDS_OF_OTHERS	64	/* connection, ring, pipes of other channels */

static uint32_t slots_max(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) || rl.rlim_cur == RLIM_INFINITY)
		return SFTP_HANDLES_MAX;
	if (rl.rlim_cur < FDS_OF_OTHERS + SLOTS_FIRST)
		return SLOTS_FIRST;
	if (rl.rlim_cur - FDS_OF_OTHERS < SFTP_HANDLES_MAX)
		return rl.rlim_cur - FDS_OF_OTHERS;
	return SFTP_HANDLES_MAX;
}

void sftp_handles_init(struct sftp_handles *handles)
{
	*handles = (struct sftp_handles){ .max = slots_max() };
}

static int close_slot(struct sftp_handle *handle)
{
	int err;

	if (handle->kind == SFTP_HANDLE_DIR)
		err = closedir(handle->dir);
	else
		err = close(handle->fd);
	err = err ? -errno : 0;
	free(handle->name);
	return err;
}

void sftp_handles_exit(struct sftp_handles *handles)
{
	uint32_t i;

	for (i = 0; i < handles->n; i++) {
		if (handles->slot[i].kind == SFTP_HANDLE_FREE)
			continue;
		sftp_log_close(&handles->slot[i], true);
		close_slot(&handles->slot[i]);
	}
	free(handles->slot);
	*handles = (struct sftp_handles){ 0 };
}

static int grow(struct sftp_handles *handles)
{
	uint32_t n = handles->n ? handles->n * 2 : SLOTS_FIRST;
	struct sftp_handle *slot;
	uint32_t i;

	if (n > handles->max)
		n = handles->max;
	if (n == handles->n)
		return -EMFILE;
	slot = reallocarray(handles->slot, n, sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	for (i = handles->n; i < n; i++)
		slot[i] = (struct sftp_handle){ .next_free = i + 1, .fd = -1 };
	handles->slot = slot;
	handles->n = n;
	return 0;
}

struct sftp_handle *sftp_handle_alloc(struct sftp_handles *handles,
				      enum sftp_handle_kind kind)
{
	struct sftp_handle *handle;

	if (handles->free == handles->n && grow(handles))
		return NULL;
	handle = &handles->slot[handles->free];
	handles->free = handle->next_free;
	*handle = (struct sftp_handle){
		.kind = kind,
		.gen = handle->gen + 1,
		.fd = -1,
	};
	return handle;
}

int sftp_handle_free(struct sftp_handles *handles, struct sftp_handle *handle)
{
	uint32_t gen = handle->gen;
	int err;

	err = close_slot(handle);
	*handle = (struct sftp_handle){
		.gen = gen,
		.next_free = handles->free,
		.fd = -1,
	};
	handles->free = handle - handles->slot;
	return err;
}

void sftp_handle_fill(const struct sftp_handles *handles,
		      const struct sftp_handle *handle,
		      uint8_t str[SFTP_HANDLE_LEN])
{
	kssh_put_be32(str, handle - handles->slot);
	kssh_put_be32(str + 4, handle->gen);
}

struct sftp_handle *sftp_handle_find(const struct sftp_handles *handles,
				     const uint8_t *str, size_t len)
{
	struct sftp_handle *handle;
	uint32_t i;

	if (len != SFTP_HANDLE_LEN)
		return NULL;
	i = kssh_get_be32(str);
	if (i >= handles->n)
		return NULL;
	handle = &handles->slot[i];
	if (handle->kind == SFTP_HANDLE_FREE ||
	    handle->gen != kssh_get_be32(str + 4))
		return NULL;
	return handle;
}

int sftp_handle_get(struct sftp *sftp, struct buf *req,
		    struct sftp_handle **handle)
{
	const uint8_t *str;
	size_t len;
	int err;

	err = buf_get_string(req, &str, &len);
	if (err)
		return err;
	*handle = sftp_handle_find(&sftp->handles, str, len);
	return *handle ? 0 : -ESTALE;
}

int sftp_reply_handle(struct sftp *sftp, uint32_t req_id,
		      const struct sftp_handle *handle)
{
	uint8_t str[SFTP_HANDLE_LEN];

	sftp_handle_fill(&sftp->handles, handle, str);
	sftp_reply_begin(sftp, SSH_FXP_HANDLE, req_id);
	buf_put_string(&sftp->reply, str, sizeof(str));
	return sftp_reply_end(sftp);
}
