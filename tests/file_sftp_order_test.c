// SPDX-License-Identifier: MIT
/*
 * Whatever waits for a disk and whatever goes past it: a client sees what it
 * would if its requests were done one after the other.
 *
 * Requests are sent without waiting, by several handles of several files, of
 * which two names are of the same one. What each must be answered is known from
 * files in memory, where they are done in order. KSSH_FUZZ_SEED is where the
 * rounds begin.
 */
#include "lib/mem.h"
#include "sftp_client.h"
#include "slow_disk.h"
#include "stream/ring.h"

#define ROUNDS		150
#define REQUESTS	80
#define SIZE_MAX_OF_FILE 40000
#define READ_MAX	9000
#define WRITE_MAX	3000

static const char *const names[] = { "one", "two", "three", "link of one" };
#define N_NAMES		ARRAY_SIZE(names)
#define N_HANDLES	(2 * N_NAMES)

struct model_file {
	uint8_t data[SIZE_MAX_OF_FILE];
	size_t len;
};

struct answer {
	uint8_t type;
	int handle;
	uint32_t status;
	uint64_t size;
	size_t len;
	uint8_t *data;
};

struct world {
	struct client cl;
	struct ring ring;
	struct model_file files[N_NAMES - 1];
	struct client_handle handles[N_HANDLES];
	struct answer want[REQUESTS];
	int n;
	int reads; /* of 52, the others are WRITEs */
	uint32_t first_id;
	uint32_t last_id[N_HANDLES];
};

static struct model_file *file_of(struct world *w, size_t name)
{
	return &w->files[name % (N_NAMES - 1)];
}

static size_t name_of(int handle)
{
	return handle % N_NAMES;
}

static void set_len(struct model_file *f, size_t len)
{
	if (len > f->len)
		memset(f->data + f->len, 0, len - f->len);
	f->len = len;
}

/* ---- requests, and what they must be answered ---- */

static struct answer *expect(struct world *w, uint8_t type, int handle)
{
	struct answer *a = &w->want[w->n++];

	*a = (struct answer){ .type = type, .handle = handle };
	client_queue(&w->cl);
	return a;
}

static void send_read(struct world *w, int handle)
{
	struct model_file *f = file_of(w, name_of(handle));
	size_t off = rand() % SIZE_MAX_OF_FILE;
	size_t len = 1 + rand() % READ_MAX;
	struct answer *a;

	client_fill_read(&w->cl, &w->handles[handle], off, len);
	if (off >= f->len) {
		expect(w, SSH_FXP_STATUS, handle)->status = SSH_FX_EOF;
		return;
	}
	a = expect(w, SSH_FXP_DATA, handle);
	a->len = len < f->len - off ? len : f->len - off;
	a->data = malloc(a->len);
	memcpy(a->data, f->data + off, a->len);
}

static void send_write(struct world *w, int handle)
{
	struct model_file *f = file_of(w, name_of(handle));
	size_t off = rand() % (SIZE_MAX_OF_FILE - WRITE_MAX);
	size_t len = 1 + rand() % WRITE_MAX;
	uint8_t data[WRITE_MAX];

	memset(data, rand(), len);
	client_fill_write(&w->cl, &w->handles[handle], off, data, len);
	if (f->len < off + len)
		set_len(f, off + len);
	memcpy(f->data + off, data, len);
	expect(w, SSH_FXP_STATUS, handle);
}

static void send_fstat(struct world *w, int handle)
{
	buf_put_string(client_begin(&w->cl, SSH_FXP_FSTAT),
		       w->handles[handle].str, w->handles[handle].len);
	expect(w, SSH_FXP_ATTRS, -1)->size = file_of(w, name_of(handle))->len;
}

static void send_stat(struct world *w, int name)
{
	buf_put_cstring(client_begin(&w->cl, SSH_FXP_STAT), names[name]);
	expect(w, SSH_FXP_ATTRS, -1)->size = file_of(w, name)->len;
}

static void send_fsetstat(struct world *w, int handle)
{
	size_t len = rand() % SIZE_MAX_OF_FILE;
	struct buf *req = client_begin(&w->cl, SSH_FXP_FSETSTAT);

	buf_put_string(req, w->handles[handle].str, w->handles[handle].len);
	buf_put_u32(req, SSH_FILEXFER_ATTR_SIZE);
	buf_put_u64(req, len);
	set_len(file_of(w, name_of(handle)), len);
	expect(w, SSH_FXP_STATUS, -1);
}

static void send_fsync(struct world *w, int handle)
{
	buf_put_string(client_begin_ext(&w->cl, "fsync@openssh.com"),
		       w->handles[handle].str, w->handles[handle].len);
	expect(w, SSH_FXP_STATUS, -1);
}

/* What it opens is closed when its answer is there. */
static void send_open(struct world *w, int name)
{
	bool truncates = rand() % 2;

	client_fill_open(&w->cl, names[name],
			 SSH_FXF_WRITE | (truncates ? SSH_FXF_TRUNC : 0), -1);
	if (truncates)
		set_len(file_of(w, name), 0);
	expect(w, SSH_FXP_HANDLE, -1);
}

static void send_any(struct world *w)
{
	int handle = rand() % N_HANDLES;
	int kind = rand() % 64;

	if (kind < w->reads)
		send_read(w, handle);
	else if (kind < 52)
		send_write(w, handle);
	else if (kind < 55)
		send_fstat(w, handle);
	else if (kind < 58)
		send_stat(w, handle % N_NAMES);
	else if (kind < 60)
		send_fsetstat(w, handle);
	else if (kind < 62)
		send_fsync(w, handle);
	else
		send_open(w, handle % N_NAMES);
}

/* ---- answers ---- */

static void check_data(struct client *cl, const struct answer *a)
{
	const uint8_t *p;
	size_t len;

	ASSERT_EQ(0, buf_get_string(&cl->reply, &p, &len));
	ASSERT_EQ(a->len, len);
	ASSERT_MEMEQ(a->data, p, len);
}

static void check_answer(struct world *w, struct client_handle *opened)
{
	struct client *cl = &w->cl;
	struct answer *a = &w->want[cl->reply_id - w->first_id];
	struct sftp_attrs attrs;

	ASSERT_GT((uint32_t)w->n, cl->reply_id - w->first_id);
	ASSERT_EQ(a->type, cl->type);
	/* READs and WRITEs of a handle in their order */
	if (a->handle >= 0) {
		ASSERT_LT(w->last_id[a->handle], cl->reply_id);
		w->last_id[a->handle] = cl->reply_id;
	}
	switch (cl->type) {
	case SSH_FXP_DATA:
		check_data(cl, a);
		break;
	case SSH_FXP_ATTRS:
		ASSERT_EQ(0, sftp_attrs_get(&cl->reply, &attrs));
		ASSERT_EQ(a->size, attrs.size);
		break;
	case SSH_FXP_HANDLE:
		ASSERT_EQ(SSH_FX_OK, client_handle_of(cl, opened));
		break;
	default:
		ASSERT_EQ(a->status, client_status_of(cl));
	}
	free(a->data);
	*a = (struct answer){ 0 }; /* once only */
}

static void arrive_in_pieces(struct world *w)
{
	struct fake_channel *fake = &w->cl.fake;
	size_t left = fake->in_len - fake->in_ready;

	while (left) {
		size_t n = 1 + rand() % 5000;

		if (n > left)
			n = left;
		fake_arrive(fake, n);
		left -= n;
		if (rand() % 8 == 0)
			ASSERT_EQ(0, ring_run(&w->ring));
	}
	ASSERT_EQ(0, ring_run(&w->ring));
}

static void do_round(struct world *w)
{
	struct client_handle opened[REQUESTS];
	int n = 1 + rand() % REQUESTS;
	int i, n_opened = 0;

	w->n = 0;
	w->first_id = w->cl.req_id + 1;
	w->reads = rand() % 52;
	slow = rand() % 2;
	for (i = 0; i < n; i++)
		send_any(w);
	arrive_in_pieces(w);
	for (i = 0; i < n; i++) {
		ASSERT_TRUE(client_take(&w->cl));
		check_answer(w, &opened[n_opened]);
		n_opened += w->cl.type == SSH_FXP_HANDLE;
	}
	ASSERT_FALSE(client_take(&w->cl));
	while (n_opened--)
		ASSERT_EQ(SSH_FX_OK, client_on_handle(&w->cl, SSH_FXP_CLOSE,
						      &opened[n_opened]));
	client_rewind(&w->cl);
}

static void open_world(struct world *w, size_t piece)
{
	struct sftp_options options = { 0 };
	size_t i;

	client_start(&w->cl, &options, &w->ring, piece);
	client_init(&w->cl);
	for (i = 0; i < N_NAMES - 1; i++)
		make_file(names[i], "", 0);
	ASSERT_EQ(0, link(names[0], names[N_NAMES - 1]));
	for (i = 0; i < N_HANDLES; i++)
		ASSERT_EQ(SSH_FX_OK,
			  client_open_file(&w->cl, names[name_of(i)],
					   SSH_FXF_READ | SSH_FXF_WRITE,
					   &w->handles[i]));
}

static void run_world(size_t piece)
{
	const char *seed = getenv("KSSH_FUZZ_SEED");
	struct world *w = calloc(1, sizeof(*w));
	int err = ring_init(&w->ring, 8);
	size_t i;

	if (err == -EPERM || err == -ENOSYS) {
		free(w);
		SKIP(return, "no io_uring here");
	}
	ASSERT_EQ(0, err);
	srand(seed ? strtoul(seed, NULL, 0) : 1);
	cold_at_random = true;
	open_world(w, piece);
	for (i = 0; i < ROUNDS; i++)
		do_round(w);
	for (i = 0; i < N_NAMES - 1; i++)
		EXPECT_TRUE(
			file_is(names[i], w->files[i].data, w->files[i].len));
	EXPECT_LT(0, in_place);
	client_close(&w->cl);
	ring_exit(&w->ring);
	free(w);
}

TEST(as_if_one_after_the_other)
{
	run_world(0);
}

TEST(as_if_one_after_the_other_in_pieces)
{
	run_world(100);
}

TEST_HARNESS_MAIN
