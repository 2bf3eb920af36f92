/* SPDX-License-Identifier: MIT */
/* The SFTP server's inside; from outside see sftp.h. */
#ifndef KSSH_FILE_SFTP_SERVER_H
#define KSSH_FILE_SFTP_SERVER_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>
#include "channel/channel.h"
#include "file/sftp_wire.h"
#include "lib/buf.h"
#include "lib/crypto.h"
#include "lib/log.h"
#include "stream/ring.h"

/* What limits@openssh.com tells; a READ for more gets this much. */
#define SFTP_PACKET_MAX		(256 * 1024)
#define SFTP_IO_MAX		(SFTP_PACKET_MAX - 1024)
/* A WRITE of 256 KiB of data with its header still passes. */
#define SFTP_MSG_MAX		(SFTP_PACKET_MAX + 1024)
/* The largest answer but DATA from a file, and what READDIR fills one to. */
#define SFTP_REPLY_MAX		(34 * 1024)
#define SFTP_NAMES_MAX		(32 * 1024)
/*
 * Answers leave together: when no request waits, or from so many bytes of
 * answers or of requests answered. More are gathered only while the channel
 * takes none; from SFTP_BACKLOG_MAX no request is taken.
 */
#define SFTP_GATHER_OUT		(16 * 1024)
#define SFTP_GATHER_IN		(128 * 1024)
#define SFTP_BACKLOG_MAX	(64 * 1024)
/* READ of what is not a regular file. */
#define SFTP_SPECIAL_MAX	(32 * 1024)
/* A file that is no larger when opened is cheaper copied than spliced. */
#define SFTP_SMALL_MAX		(16 * 1024)
#define SFTP_FRAME_HDR_LEN	5	/* length and type */
#define SFTP_REQUEST_HDR_LEN	9	/* and id */
#define SFTP_HANDLE_OFF		13	/* and length of the handle */
#define SFTP_DATA_HDR_LEN	13	/* of DATA: and data length */

#define SFTP_HANDLE_LEN		8	/* slot and generation, both be32 */
#define SFTP_HANDLE_STR_MAX	256	/* the draft's limit, 6.2 */
#define SFTP_HANDLES_MAX	1024

enum sftp_handle_kind {
	SFTP_HANDLE_FREE,
	SFTP_HANDLE_FILE,
	SFTP_HANDLE_DIR,
};

/* Two handles, or a handle and a name, may be of one file. */
struct sftp_file {
	dev_t dev;
	ino_t ino;
};

/**
 * struct sftp_handle - a slot of the handle table
 * @kind: what is open
 * @gen: counts the uses of the slot, so that a handle closed stays invalid
 * @next_free: next slot of the free list
 * @fd: file, or that of @dir
 * @dir: for SFTP_HANDLE_DIR
 * @open_flags: of open(2)
 * @regular: may go through channel_send_file()
 * @small: but had better not
 * @seekable: takes pread() and pwrite()
 * @name: for the log, NULL: nothing is logged
 * @bytes_read: so far
 * @bytes_written: so far
 * @file: which it is
 * @warm: how often in a row what was asked for was in the page cache
 * @aio_ops: operations not answered
 * @aio_begun: of those, how many have room: are under way or done
 * @aio_bytes: memory that these hold
 * @aio_next: place in the order of the next operation
 * @aio_turn: place of the one to be answered next
 */
struct sftp_handle {
	enum sftp_handle_kind kind;
	uint32_t gen;
	uint32_t next_free;
	int fd;
	DIR *dir;
	int open_flags;
	bool regular;
	bool small;
	bool seekable;
	char *name;
	uint64_t bytes_read;
	uint64_t bytes_written;
	struct sftp_file file;
	unsigned int warm;
	unsigned int aio_ops;
	unsigned int aio_begun;
	size_t aio_bytes;
	uint32_t aio_next;
	uint32_t aio_turn;
};

struct sftp_handles {
	struct sftp_handle *slot;
	uint32_t n;  /* slots allocated */
	uint32_t max;
	uint32_t free;  /* head of the free list, @n: empty */
};

/**
 * struct sftp_attrs - file attributes, draft 5
 * @flags: SSH_FILEXFER_ATTR_*: which fields hold
 */
struct sftp_attrs {
	uint32_t flags;
	uint64_t size;
	uint32_t uid;
	uint32_t gid;
	uint32_t perm;
	uint32_t atime;
	uint32_t mtime;
};

/* A disk that was slow: so many WRITEs to it are still done by io_uring. */
#define SFTP_SLOW_DISKS		4
struct sftp_slow {
	dev_t dev;
	unsigned int writes;
};

/* What io_uring does for requests */
enum sftp_aio_kind {
	SFTP_AIO_READ,
	SFTP_AIO_WRITE,
	SFTP_AIO_FSYNC,
	SFTP_AIO_KINDS,
};

/* A READ, from its request until its DATA is taken by the channel. */
struct sftp_read {
	bool active;
	uint32_t req_id;
	struct sftp_handle *handle;
	uint64_t off;
	uint32_t len;
};

struct sftp_aio;

/**
 * struct sftp_write - a WRITE whose data is streaming in
 * @active: bytes of its frame are still to come
 * @left: bytes of data to come
 * @skip: bytes to drop behind them
 * @err: first failure: what remains is dropped, then it is the answer
 * @aio: gathers the data, NULL: they go to the file as they come
 */
struct sftp_write {
	bool active;
	uint32_t req_id;
	struct sftp_handle *handle;
	uint64_t off;
	uint32_t left;
	uint32_t skip;
	int err;
	struct sftp_aio *aio;
};

/*
 * What jobs do in a turn of the loop, in bytes of files: then the others of the
 * connection have theirs. Beginning one counts, too.
 */
#define SFTP_TURN_MAX		(1024 * 1024)
#define SFTP_JOB_COST		(64 * 1024)

/**
 * struct sftp_copy - a copy-data
 * @from: file to read
 * @to: file to write
 * @from_off: where to go on
 * @to_off: where to go on
 * @left: bytes to copy
 * @to_eof: or fewer, if the file ends before
 * @plain: by reading and writing
 */
struct sftp_copy {
	int from;
	int to;
	uint64_t from_off;
	uint64_t to_off;
	uint64_t left;
	bool to_eof;
	bool plain;
};

/**
 * struct sftp_check - a check-file
 * @fd: file to read
 * @own_fd: it is closed at the end
 * @off: where to go on
 * @left: bytes of the range, if the file has them
 * @block_size: bytes one hash is over, 0: all
 * @block_left: of the one at hand
 * @algorithm: name of the hash
 * @md: the hash
 * @ctx: the hash of the block at hand
 * @hashes: of the blocks before it
 */
struct sftp_check {
	int fd;
	bool own_fd;
	uint64_t off;
	uint64_t left;
	uint32_t block_size;
	uint64_t block_left;
	const char *algorithm;
	const EVP_MD *md;
	EVP_MD_CTX *ctx;
	struct buf hashes;
};

#define SFTP_IDS_MAX		1024

/**
 * struct sftp_ids - a users-groups-by-id
 * @id: users, then groups
 * @n_users: how many
 * @n: and with the groups
 * @done: looked up
 * @names: of those, as strings
 * @users_len: bytes of the users' in @names
 */
struct sftp_ids {
	uint32_t id[SFTP_IDS_MAX];
	size_t n_users;
	size_t n;
	size_t done;
	struct buf names;
	size_t users_len;
};

struct sftp;

/**
 * struct sftp_job - a request that may take many turns of the loop
 * @step: does a part of it: -EINPROGRESS, or what a handler returns; NULL:
 *	there is no job. What it does it adds to sftp->work
 * @end: releases what the job holds, may be NULL
 * @req_id: whose it is
 */
struct sftp_job {
	int (*step)(struct sftp *sftp);
	void (*end)(struct sftp *sftp);
	uint32_t req_id;
	union {
		struct sftp_copy copy;
		struct sftp_check check;
		struct sftp_ids ids;
	};
};

#define SFTP_OWNERS		64
#define SFTP_OWNER_MAX		64

/* Names of users and groups, "" for none; asking for them may be slow. */
struct sftp_owner {
	bool valid;
	uint32_t id;
	char name[SFTP_OWNER_MAX];
};

/**
 * struct sftp - a server on its channel
 * @ch: the channel
 * @ring: the loop, NULL: it does no file I/O
 * @read_only: refuse what changes files
 * @has_umask: @umask counts
 * @umask: of files and directories that are made
 * @refused: bits of requests, sftp_request_bit()
 * @log_level: from INFO on opened and closed files are logged
 * @start_dir: where relative names begin, NULL: working directory
 * @version: agreed on, 0 until SSH_FXP_INIT came
 * @running: inside serve(), which a call from the channel must not enter twice
 * @again: such a call was put off
 * @closed: the channel is gone
 * @held: a packet may be held back for more (CHANNEL_MORE)
 * @input_left: the last look at the input left bytes there
 * @input_none: it is known that there are none; the channel will tell of more
 * @body_left: bytes of the frame being dispatched that are still to come
 * @in: a frame, or the header of a WRITE, that came in pieces
 * @reply: answers not taken by the channel yet, and the one being made
 * @reply_len: end of the last one that is complete
 * @gathered: bytes of requests taken since @reply was empty
 * @work: what jobs have done in this turn of the loop
 * @slow: disks that were slow
 * @aio: operations not answered, in the order of their requests
 * @aio_end: where the next is linked
 * @aio_ops: how many
 * @aio_kinds: of those, how many of each kind
 * @aio_begun: of those, how many have room: are under way or done
 * @aio_done: of those, how many are done
 * @aio_news: one has ended since answers were looked for
 */
struct sftp {
	struct channel *ch;
	struct ring *ring;
	bool read_only;
	bool has_umask;
	mode_t umask;
	uint64_t refused;
	enum log_level log_level;
	char *start_dir;
	uint32_t version;
	bool running;
	bool again;
	bool closed;
	bool held;
	bool input_left;
	bool input_none;
	uint32_t body_left;
	struct buf in;
	struct buf reply;
	size_t reply_len;
	size_t gathered;
	struct sftp_slow slow[SFTP_SLOW_DISKS];
	struct sftp_aio *aio;
	struct sftp_aio **aio_end;
	unsigned int aio_ops;
	unsigned int aio_kinds[SFTP_AIO_KINDS];
	unsigned int aio_begun;
	unsigned int aio_done;
	bool aio_news;
	struct sftp_read read;
	struct sftp_write write;
	size_t work;
	struct sftp_job job;
	struct sftp_handles handles;
	struct sftp_owner users[SFTP_OWNERS];
	struct sftp_owner groups[SFTP_OWNERS];
	uint64_t bytes_sent;
	uint64_t bytes_received;
};

/*
 * A request's handler; @req stands behind the id. Returns 0: to be answered by
 * SSH_FX_OK; SFTP_ANSWERED: the answer is in @reply or will be; -errno: to be
 * answered by the status for it (-EPROTO: malformed, -ESTALE: no such handle).
 */
#define SFTP_ANSWERED	1
typedef int (*sftp_fn)(struct sftp *sftp, uint32_t req_id, struct buf *req);

/* sftp_proto.c */
/*
 * Begin and end an answer; between them fields are put into sftp->reply. One
 * that was begun and not ended is dropped by the next.
 */
void sftp_reply_begin(struct sftp *sftp, uint8_t type, uint32_t req_id);
int sftp_reply_end(struct sftp *sftp);
/* Overwrite the u32 at @pos of the answer. */
void sftp_reply_patch(struct sftp *sftp, size_t pos, uint32_t v);
/* Drop the last @n bytes of the answer being made. */
void sftp_reply_trim(struct sftp *sftp, size_t n);
/* 0: no answer is left in sftp->reply; -EAGAIN; other -errno: dead */
int sftp_push_replies(struct sftp *sftp, unsigned int flags);
/* Flags of the next answer: may its packet wait for one behind it? */
unsigned int sftp_tx_flags(struct sftp *sftp);
/* Something has come that may let the server go on; it may be gone after. */
void sftp_run(struct sftp *sftp);

/* sftp_job.c */
/* Begin a job, whose state is filled: SFTP_ANSWERED. */
int sftp_job_start(struct sftp *sftp, uint32_t req_id,
		   int (*step)(struct sftp *sftp),
		   void (*end)(struct sftp *sftp));
/* Go on with sftp->job: 0 it is done; -EAGAIN; other -errno: dead. */
int sftp_job_go(struct sftp *sftp);
/* It is over, done or not. */
void sftp_job_end(struct sftp *sftp);

/* sftp_status.c */
uint32_t sftp_status_of(int err);
int sftp_reply_status(struct sftp *sftp, uint32_t req_id, uint32_t status);
/* The answer to a handler's result. */
int sftp_reply_errno(struct sftp *sftp, uint32_t req_id, int err);

/* sftp_handle.c */
void sftp_handles_init(struct sftp_handles *handles);
/* Closes what is open. */
void sftp_handles_exit(struct sftp_handles *handles);
/* A free slot, or NULL: there are too many. */
struct sftp_handle *sftp_handle_alloc(struct sftp_handles *handles,
				      enum sftp_handle_kind kind);
/* Close and free; 0 or the -errno of closing. */
int sftp_handle_free(struct sftp_handles *handles, struct sftp_handle *handle);
void sftp_handle_fill(const struct sftp_handles *handles,
		      const struct sftp_handle *handle,
		      uint8_t str[SFTP_HANDLE_LEN]);
struct sftp_handle *sftp_handle_find(const struct sftp_handles *handles,
				     const uint8_t *str, size_t len);
/* Parse a handle: 0, -EPROTO, -ESTALE. */
int sftp_handle_get(struct sftp *sftp, struct buf *req,
		    struct sftp_handle **handle);
int sftp_reply_handle(struct sftp *sftp, uint32_t req_id,
		      const struct sftp_handle *handle);

/* sftp_log.c */
void sftp_log_open(struct sftp *sftp, struct sftp_handle *handle,
		   const char *path, mode_t mode);
void sftp_log_opendir(struct sftp *sftp, struct sftp_handle *handle,
		      const char *path);
/* @forced: by the end of the channel. */
void sftp_log_close(const struct sftp_handle *handle, bool forced);

/* sftp_open.c */
/* open(2) that does not wait: descriptor or -errno. */
int sftp_open_file(const char *path, int flags, mode_t mode);
int sftp_open(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_close(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_fsync(struct sftp *sftp, uint32_t req_id, struct buf *req);

/* sftp_read.c */
int sftp_read(struct sftp *sftp, uint32_t req_id, struct buf *req);
void sftp_fill_data_hdr(uint8_t hdr[SFTP_DATA_HDR_LEN], uint32_t req_id,
			uint32_t n);
/* Go on with sftp->read: 0 it is done; -EAGAIN; other -errno: dead. */
int sftp_read_go(struct sftp *sftp);

/* sftp_aio.c */
void sftp_aio_init(struct sftp *sftp);
/* Would this READ wait for a disk, or has it others before it? */
bool sftp_aio_wants(struct sftp *sftp, const struct sftp_read *rd);
/* It begins when there is room; answered when it is done. 0 or -ENOMEM. */
int sftp_aio_read(struct sftp *sftp, const struct sftp_read *rd);
/* A WRITE has taken so long, nanoseconds. */
void sftp_aio_wrote(struct sftp *sftp, const struct sftp_handle *handle,
		    uint64_t ns);
/* Nanoseconds, to a few milliseconds. */
uint64_t sftp_aio_now(void);
/* Is a WRITE to be gathered, and done meanwhile? */
bool sftp_aio_wants_write(struct sftp *sftp, const struct sftp_handle *handle);
/* sftp->write.aio for @len > 0 bytes; 0 or -ENOMEM. */
int sftp_aio_write(struct sftp *sftp, uint32_t len);
/* The next @n bytes of it; with the last of them it begins. */
void sftp_aio_gather(struct sftp_aio *aio, const uint8_t *p, size_t n);
/* One that is not under way: answered, or no more of its data comes. */
void sftp_aio_free(struct sftp_aio *aio);
int sftp_aio_fsync(struct sftp *sftp, uint32_t req_id,
		   struct sftp_handle *handle);
/* May one more begin now? */
bool sftp_aio_has_room(const struct sftp *sftp,
		       const struct sftp_handle *handle);
/* Is there one of this kind, of @file if not NULL, but not by @except? */
bool sftp_aio_any(const struct sftp *sftp, enum sftp_aio_kind kind,
		  const struct sftp_file *file,
		  const struct sftp_handle *except);
/* Answer what is done. 0; -EAGAIN; other -errno: dead. */
int sftp_aio_push(struct sftp *sftp);
/* The server goes; what is under way ends by itself. */
void sftp_aio_exit(struct sftp *sftp);

/* sftp_order.c */
/* Operations that a client may have under way or waiting for their turn. */
#define SFTP_AIO_MAX		1024
/*
 * Must the request that begins at @p, or goes on there, wait for operations
 * under way? sftp->in holds what came of it before.
 */
bool sftp_must_wait(struct sftp *sftp, const uint8_t *p, size_t n);

/* sftp_write.c */
int sftp_write(struct sftp *sftp, uint32_t req_id, struct buf *req);
/* Drop what is to come of a WRITE, then answer @err. */
void sftp_write_refuse(struct sftp *sftp, uint32_t req_id, int err);
/* The input ends: of a WRITE that is not complete nothing more comes. */
void sftp_write_end(struct sftp *sftp);
/* Data of sftp->write: bytes taken of the @n > 0; -errno: dead. */
ssize_t sftp_write_data(struct sftp *sftp, const uint8_t *p, size_t n);

/* sftp_attr.c */
int sftp_attrs_get(struct buf *req, struct sftp_attrs *attrs);
void sftp_attrs_put(struct buf *buf, const struct sftp_attrs *attrs);
void sftp_attrs_of(struct sftp_attrs *attrs, const struct stat *st);
int sftp_stat(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_lstat(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_fstat(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_setstat(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_lsetstat(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_fsetstat(struct sftp *sftp, uint32_t req_id, struct buf *req);

/* sftp_name.c */
#define SFTP_LONGNAME_MAX	512	/* owners, and a name of 255 bytes */
/* "": there is none. */
const char *sftp_user_name(struct sftp *sftp, uint32_t uid);
const char *sftp_group_name(struct sftp *sftp, uint32_t gid);
void sftp_mode_str(char str[11], mode_t mode);
/* A line as ls -l prints it; bytes of it. */
size_t sftp_longname(struct sftp *sftp, char *line, const char *name,
		     const struct stat *st, time_t now);

/* sftp_dir.c */
int sftp_opendir(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_readdir(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_mkdir(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_rmdir(struct sftp *sftp, uint32_t req_id, struct buf *req);

/* sftp_path.c */
/* Parse a name; relative ones get the start directory. Freed by the caller. */
int sftp_path_get(const struct sftp *sftp, struct buf *req, char **path);
/* The last component need not exist. 0 or -errno; freed by the caller. */
int sftp_path_resolve(const char *path, char **resolved);
/* One name, without attributes. */
int sftp_reply_name(struct sftp *sftp, uint32_t req_id, const char *name,
		    size_t len);
/* As REALPATH answers, for @path. */
int sftp_reply_resolved(struct sftp *sftp, uint32_t req_id, const char *path);
int sftp_realpath(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_readlink(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_symlink(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_hardlink(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_rename(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_posix_rename(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_remove(struct sftp *sftp, uint32_t req_id, struct buf *req);

/* sftp_copy.c */
int sftp_copy_data(struct sftp *sftp, uint32_t req_id, struct buf *req);

/* sftp_check.c */
int sftp_check_handle(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_check_name(struct sftp *sftp, uint32_t req_id, struct buf *req);

/* sftp_user.c */
int sftp_expand_path(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_home_directory(struct sftp *sftp, uint32_t req_id, struct buf *req);
int sftp_names_by_id(struct sftp *sftp, uint32_t req_id, struct buf *req);

/* sftp_extended.c */
int sftp_extended(struct sftp *sftp, uint32_t req_id, struct buf *req);
/* Name and version of each extension that is not refused, for the answer. */
void sftp_extensions_put(struct sftp *sftp);
/* Bits of an extension's name without its domain; 0: there is none. */
#define SFTP_EXTENSION_BIT0	32
uint64_t sftp_extension_bits(const char *name, size_t len);

#endif
