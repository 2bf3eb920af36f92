// SPDX-License-Identifier: MIT
/* check-file-handle, check-file-name: hashes of a file's range. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "file/sftp_server.h"
#include "lib/mem.h"

#define CHECK_BUF_LEN	(64 * 1024)
#define BLOCK_MIN	256
/* An answer with more would be too long. */
#define HASHES_MAX	SFTP_NAMES_MAX

static const struct {
	const char *name;
	const char *md;
} algorithms[] = {
	{ "md5", "MD5" },	{ "sha1", "SHA1" },
	{ "sha224", "SHA2-224" }, { "sha256", "SHA2-256" },
	{ "sha384", "SHA2-384" }, { "sha512", "SHA2-512" },
};

static bool use_algorithm(struct sftp_check *check, const char *name,
			  size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(algorithms); i++) {
		if (len != strlen(algorithms[i].name) ||
		    memcmp(name, algorithms[i].name, len))
			continue;
		check->algorithm = algorithms[i].name;
		check->md = crypto_md(algorithms[i].md);
		return check->md;
	}
	return false;
}

/* The first of the client's that we have. */
static int choose_algorithm(struct sftp_check *check, const char *names)
{
	size_t len;

	for (;;) {
		len = strcspn(names, ",");
		if (use_algorithm(check, names, len))
			return 0;
		if (!names[len])
			return -EOPNOTSUPP;
		names += len + 1;
	}
}

static void check_end(struct sftp *sftp)
{
	struct sftp_check *check = &sftp->job.check;

	EVP_MD_CTX_free(check->ctx);
	buf_free(&check->hashes);
	if (check->own_fd)
		close(check->fd);
}

static int begin_block(struct sftp_check *check)
{
	check->block_left = check->block_size ? check->block_size : UINT64_MAX;
	return EVP_DigestInit_ex2(check->ctx, check->md, NULL) == 1 ? 0 : -EIO;
}

/* 0, or -EMSGSIZE: there are too many. */
static int end_block(struct sftp_check *check)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned int len;

	if (EVP_DigestFinal_ex(check->ctx, hash, &len) != 1)
		return -EIO;
	if (buf_len(&check->hashes) + len > HASHES_MAX)
		return -EMSGSIZE;
	return buf_put_raw(&check->hashes, hash, len);
}

/* draft-ietf-secsh-filexfer-extensions-00 3: name of the hash, hashes */
static int reply_hashes(struct sftp *sftp)
{
	struct sftp_check *check = &sftp->job.check;
	struct buf *buf = &sftp->reply;
	int err = 0;

	/* The range is one block, or ends within the last. */
	if (!check->block_size || check->block_left < check->block_size)
		err = end_block(check);
	if (err)
		return err;
	sftp_reply_begin(sftp, SSH_FXP_EXTENDED_REPLY, sftp->job.req_id);
	buf_put_cstring(buf, "check-file");
	buf_put_cstring(buf, check->algorithm);
	buf_put_raw(buf, buf_data(&check->hashes), buf_len(&check->hashes));
	return sftp_reply_end(sftp);
}

static ssize_t read_some(const struct sftp_check *check, void *p, size_t len)
{
	ssize_t n;

	do {
		n = pread(check->fd, p, len, check->off);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int check_step(struct sftp *sftp)
{
	struct sftp_check *check = &sftp->job.check;
	uint8_t buf[CHECK_BUF_LEN];
	uint64_t len = sizeof(buf);
	ssize_t n;
	int err;

	if (len > check->left)
		len = check->left;
	if (len > check->block_left)
		len = check->block_left;
	n = len ? read_some(check, buf, len) : 0;
	if (n < 0)
		return n;
	if (!n)
		return reply_hashes(sftp);
	if (EVP_DigestUpdate(check->ctx, buf, n) != 1)
		return -EIO;
	sftp->work += n;
	check->off += n;
	check->left -= n;
	check->block_left -= n;
	if (!check->block_left) {
		err = end_block(check);
		if (!err)
			err = begin_block(check);
		if (err)
			return err;
	}
	return -EINPROGRESS;
}

/* How many hashes there will be is known before, unless the file grows. */
static int check_range(struct sftp_check *check)
{
	uint64_t hashes_max = HASHES_MAX / EVP_MD_get_size(check->md);
	uint64_t len = 0;
	struct stat st;

	if (fstat(check->fd, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	/* What has no offsets, or no end. */
	if (!S_ISREG(st.st_mode))
		return -EOPNOTSUPP;
	if ((uint64_t)st.st_size > check->off)
		len = st.st_size - check->off;
	if (len > check->left)
		len = check->left;
	if (check->block_size && len / check->block_size > hashes_max)
		return -EMSGSIZE;
	return 0;
}

static int start(struct sftp *sftp, uint32_t req_id)
{
	struct sftp_check *check = &sftp->job.check;
	int err;

	err = check_range(check);
	if (err)
		return err;
	buf_init(&check->hashes, HASHES_MAX);
	check->ctx = EVP_MD_CTX_new();
	if (!check->ctx)
		return -ENOMEM;
	err = begin_block(check);
	if (err) {
		EVP_MD_CTX_free(check->ctx);
		return err;
	}
	return sftp_job_start(sftp, req_id, check_step, check_end);
}

/*
 * draft-ietf-secsh-filexfer-extensions-00 3: names of hashes, offset, length
 * (0: to the end), size of the blocks (0: one, else 256 at least)
 */
static int get_range(struct sftp_check *check, struct buf *req)
{
	char *names;
	int err;

	err = buf_get_cstring(req, &names);
	if (err)
		return err;
	err = choose_algorithm(check, names);
	free(names);
	if (buf_get_u64(req, &check->off) || buf_get_u64(req, &check->left) ||
	    buf_get_u32(req, &check->block_size))
		return -EPROTO;
	if (check->off > INT64_MAX ||
	    (check->block_size && check->block_size < BLOCK_MIN))
		return -EINVAL;
	if (!check->left || check->left > INT64_MAX - check->off)
		check->left = INT64_MAX - check->off;
	return err;
}

int sftp_check_handle(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct sftp_check *check = &sftp->job.check;
	struct sftp_handle *handle;
	int handle_err, err;

	*check = (struct sftp_check){ 0 };
	handle_err = sftp_handle_get(sftp, req, &handle);
	if (handle_err == -EPROTO)
		return handle_err;
	err = get_range(check, req);
	if (err)
		return err;
	if (handle_err || handle->kind != SFTP_HANDLE_FILE)
		return -ESTALE;
	if ((handle->open_flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	check->fd = handle->fd;
	return start(sftp, req_id);
}

int sftp_check_name(struct sftp *sftp, uint32_t req_id, struct buf *req)
{
	struct sftp_check *check = &sftp->job.check;
	char *path;
	int err;

	*check = (struct sftp_check){ .own_fd = true };
	err = sftp_path_get(sftp, req, &path);
	if (err)
		return err;
	err = get_range(check, req);
	if (!err) {
		check->fd = sftp_open_file(path, O_RDONLY, 0);
		err = check->fd < 0 ? check->fd : 0;
	}
	free(path);
	if (err)
		return err;
	err = start(sftp, req_id);
	if (err < 0)
		close(check->fd);
	return err;
}
