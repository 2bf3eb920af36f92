// SPDX-License-Identifier: MIT
/* Sessions on the user data path, with io_uring and without. */
#define TEST_TIMEOUT 60
#include <dirent.h>
#include <sys/ioctl.h>

#include "conn_peer.h"

#define WINDOW	(1u << 30)

FIXTURE(session)
{
	struct client c;
};

FIXTURE_VARIANT(session)
{
	bool use_poll;
	bool strict;
};

FIXTURE_VARIANT_ADD(session, io_uring){
	.use_poll = false,
	.strict = true,
};

FIXTURE_VARIANT_ADD(session, poll){
	.use_poll = true,
	.strict = false,
};

FIXTURE_SETUP(session)
{
	struct io_uring ring;
	struct io_uring_params params = { .flags = 0 };

	no_io_uring = false;
	if (!variant->use_poll) {
		if (io_uring_queue_init_params(8, &ring, &params))
			SKIP(return, "no io_uring here");
		io_uring_queue_exit(&ring);
	}
	client_setup(&self->c, variant->use_poll, variant->strict);
}

FIXTURE_TEARDOWN(session)
{
	client_teardown(&self->c);
}

/* ---- commands ---- */

TEST_F(session, command_gives_output_status_and_close_in_order)
{
	struct client *c = &self->c;

	client_start(c);
	client_exec(c, 0, "cat; exit 3", WINDOW);
	client_data(c, 0, "hello", 5);
	client_channel(c, 0, SSH_MSG_CHANNEL_EOF, 0);
	client_until(c, 0, 'c');
	EXPECT_STREQ("OSdesc", c->chans[0].events);
	EXPECT_STREQ("hello", c->chans[0].head);
	EXPECT_EQ(3, c->chans[0].status);
	client_close(c, 0);
	client_sync(c);
}

TEST_F(session, command_has_clean_descriptors_and_signals)
{
	struct client *c = &self->c;

	client_start(c);
	client_exec(c, 0,
		    "i=0; while [ $i -lt 100 ]; do "
		    "[ -e /proc/$$/fd/$i ] && echo -n $i.; "
		    "i=$((i+1)); done; "
		    "grep -E 'Sig(Blk|Ign)' /proc/self/status | "
		    "tr -d '\\n\\t'",
		    WINDOW);
	client_until(c, 0, 'c');
	EXPECT_MEMEQ("0.1.2.SigBlk:0000000000000000SigIgn:0000000000000000",
		     c->chans[0].head, 53)
	TH_LOG("%s", c->chans[0].head);
}

TEST_F(session, command_that_closes_its_output_is_waited_for)
{
	struct client *c = &self->c;

	client_start(c);
	client_exec(c, 0, "exec >&- 2>&-; read x; exit $x", WINDOW);
	client_until(c, 0, 'e');
	EXPECT_STREQ("OSe", c->chans[0].events);
	client_data(c, 0, "5\n", 2);
	client_until(c, 0, 'c');
	EXPECT_STREQ("OSesc", c->chans[0].events);
	EXPECT_EQ(5, c->chans[0].status);
}

TEST_F(session, status_comes_though_the_client_closes_at_eof)
{
	struct client *c = &self->c;

	client_start(c);
	client_exec(c, 0, "exec >&- 2>&-; sleep 0.3; exit 7", WINDOW);
	client_until(c, 0, 'e');
	client_close(c, 0);
	client_until(c, 0, 'c');
	EXPECT_STREQ("OSesc", c->chans[0].events);
	EXPECT_EQ(7, c->chans[0].status);
	/* and the channel is gone */
	client_exec(c, 1, "exit 8", WINDOW);
	client_until(c, 1, 'c');
	EXPECT_EQ(8, c->chans[1].status);
}

TEST_F(session, background_output_still_comes)
{
	struct client *c = &self->c;

	client_start(c);
	client_exec(c, 0, "{ sleep 0.3; echo late; } & exit 4", WINDOW);
	client_until(c, 0, 'c');
	/* whoever waits for the status does not wait for what goes on */
	EXPECT_STREQ("OSsdec", c->chans[0].events);
	EXPECT_STREQ("late\n", c->chans[0].head);
	EXPECT_EQ(4, c->chans[0].status);
}

TEST_F(session, deaf_command_does_not_stop_the_client)
{
	static const uint8_t block[32768];
	struct client *c = &self->c;
	uint64_t sent = 0;

	client_start(c);
	client_exec(c, 0, "exec <&-; sleep 1; echo done", WINDOW);
	client_until(c, 0, 'S');
	while (sent < 3 * CONN_WINDOW) {
		while (sent + sizeof(block) > CONN_WINDOW + c->chans[0].granted)
			if (!client_next(c))
				break;
		client_data(c, 0, block, sizeof(block));
		sent += sizeof(block);
	}
	client_until(c, 0, 'c');
	EXPECT_STREQ("done\n", c->chans[0].head);
}

TEST_F(session, signal_ends_the_command)
{
	struct client *c = &self->c;

	client_start(c);
	client_exec(c, 0, "echo up; exec sleep 30", WINDOW);
	client_until(c, 0, 'd');
	client_request(c, 0, "signal", "NONE");
	client_until(c, 0, 'f');
	client_request(c, 0, "signal", "TERM");
	client_until(c, 0, 'c');
	EXPECT_STREQ("OSdfSegc", c->chans[0].events);
	EXPECT_STREQ("TERM", c->chans[0].signal);
}

TEST_F(session, output_waits_for_the_window)
{
	struct client *c = &self->c;
	int i;

	client_start(c);
	client_exec(c, 0, "head -c 100000 /dev/zero; exit 9", 0);
	client_until(c, 0, 'S');
	client_sync(c);
	EXPECT_EQ(0, c->chans[0].out);
	for (i = 1; i <= 10; i++) {
		client_channel(c, 0, SSH_MSG_CHANNEL_WINDOW_ADJUST, 10000);
		while (c->chans[0].out < i * 10000u && client_next(c))
			;
	}
	client_until(c, 0, 'c');
	EXPECT_STREQ("OSdesc", c->chans[0].events);
	EXPECT_EQ(100000, c->chans[0].out);
	EXPECT_EQ(9, c->chans[0].status);
}

TEST_F(session, sftp_answers)
{
	static const uint8_t init[] = { 0, 0, 0, 5, 1, 0, 0, 0, 3 };
	struct client *c = &self->c;

	client_start(c);
	client_open(c, 0, WINDOW, 32768);
	client_until(c, 0, 'O');
	client_request(c, 0, "subsystem", "sftp");
	client_data(c, 0, init, sizeof(init));
	client_until(c, 0, 'd');
	client_channel(c, 0, SSH_MSG_CHANNEL_EOF, 0);
	client_until(c, 0, 'c');
	EXPECT_STREQ("OSdesc", c->chans[0].events);
}

TEST_F(session, requests_behind_the_end_are_refused)
{
	struct client *c = &self->c;

	client_start(c);
	client_exec(c, 0, "echo end", 0);
	client_until(c, 0, 'S');
	client_request(c, 0, "exec", "true");
	client_until(c, 0, 'f');
	client_channel(c, 0, SSH_MSG_CHANNEL_WINDOW_ADJUST, 100);
	client_until(c, 0, 'c');
	/* CLOSE is out: RFC 4254 5.4 wants no answers any more. */
	client_request(c, 0, "exec", "true");
	client_request(c, 0, "signal", "TERM");
	client_sync(c);
	EXPECT_STREQ("OSfdesc", c->chans[0].events);
}

/* ---- the peer closes ---- */

/* The process that echo $$ told of is gone. */
static bool is_gone(const struct chan *ch)
{
	return kill(atoi(ch->head), 0) && errno == ESRCH;
}

static void until_gone(struct client *c, uint32_t id)
{
	ASSERT_LT(1, atoi(c->chans[id].head));
	while (!is_gone(&c->chans[id]))
		usleep(10000);
}

TEST_F(session, closed_channel_ends_a_writing_command)
{
	struct client *c = &self->c;

	client_start(c);
	client_exec(c, 0, "echo $$; exec cat /dev/zero", WINDOW);
	client_until(c, 0, 'd');
	client_close(c, 0);
	client_until(c, 0, 'c');
	until_gone(c, 0);
	client_sync(c);
}

TEST_F(session, closed_channel_ends_a_command_that_waits_for_the_window)
{
	struct client *c = &self->c;

	client_start(c);
	client_exec(c, 0, "echo $$; exec cat /dev/zero", 32);
	while (c->chans[0].out < 32 && client_next(c))
		;
	client_close(c, 0);
	client_until(c, 0, 'c');
	until_gone(c, 0);
	client_sync(c);
}

TEST_F(session, closed_channel_still_gives_its_input)
{
	static const uint8_t block[32768];
	char command[64], path[] = "/tmp/kssh-conn-XXXXXX";
	struct client *c = &self->c;
	int fd = mkstemp(path), i;

	snprintf(command, sizeof(command), "sleep 0.3; exec cat >>%s", path);
	client_start(c);
	client_exec(c, 0, command, WINDOW);
	client_until(c, 0, 'S');
	for (i = 0; i < 32; i++)
		client_data(c, 0, block, sizeof(block));
	client_close(c, 0);
	client_until(c, 0, 'c');
	while (lseek(fd, 0, SEEK_END) < 32 * (off_t)sizeof(block))
		usleep(10000);
	unlink(path);
	close(fd);
	client_sync(c);
}

/* A command that neither reads nor writes costs its user's slots. */
TEST_F(session, commands_of_closed_channels_are_bounded)
{
	struct client *c = &self->c;
	unsigned int i, refused = 0;

	client_start(c);
	for (i = 0; i < CHANS; i++) {
		client_open(c, i, WINDOW, 32768);
		while (!c->chans[i].n_events && client_next(c))
			;
		if (c->chans[i].events[0] == 'F') {
			refused++;
			continue;
		}
		client_request(c, i, "exec",
			       "exec sleep 5 </dev/null >/dev/null 2>&1");
		client_until(c, i, 'S');
		client_close(c, i);
	}
	EXPECT_EQ(CHANS - CONN_CHANNELS_MAX, refused);
	client_sync(c);
}

static unsigned int count_fds(pid_t pid)
{
	char path[32];
	unsigned int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

TEST_F(session, nothing_stays_open)
{
	struct client *c = &self->c;
	unsigned int before, i;

	client_start(c);
	client_sync(c);
	before = count_fds(c->pid);
	ASSERT_NE(0, before);
	for (i = 0; i < 100; i++) {
		client_exec(c, 0, i % 3 ? "cat" : "head -c 99999 /dev/zero",
			    i % 2 ? WINDOW : 0);
		client_until(c, 0, 'S');
		client_data(c, 0, "x", 1);
		client_close(c, 0);
		client_until(c, 0, 'c');
	}
	while (count_fds(c->pid) > before)
		client_sync(c);
}

/* ---- keys are exchanged again ---- */

#define SEQ_COMMAND "seq 300000"
#define SEQ_LEN (9 * 2 + 90 * 3 + 900 * 4 + 9000 * 5 + 90000 * 6 + 200001 * 7)

static uint32_t seq_sum(void)
{
	uint32_t sum = 0;
	char line[16];
	int i, n, k;

	for (i = 1; i <= 300000; i++) {
		n = snprintf(line, sizeof(line), "%d\n", i);
		for (k = 0; k < n; k++)
			sum = sum * 31 + (uint8_t)line[k];
	}
	return sum;
}

TEST_F(session, server_rekeys_within_a_stream)
{
	struct client *c = &self->c;

	c->conf.rekey_bytes = 100000;
	client_start(c);
	client_exec(c, 0, SEQ_COMMAND, WINDOW);
	client_until(c, 0, 'c');
	EXPECT_STREQ("OSdesc", c->chans[0].events);
	EXPECT_EQ(SEQ_LEN, c->chans[0].out);
	EXPECT_EQ(seq_sum(), c->chans[0].sum);
	EXPECT_LE(3, c->rekeys);
}

TEST_F(session, client_rekeys_within_a_stream)
{
	const uint32_t step = 100000;
	struct client *c = &self->c;
	uint64_t next = 1, granted = 2 * step;

	client_start(c);
	/* what is on its way at once is less than between two exchanges */
	client_exec(c, 0, SEQ_COMMAND, granted);
	while (!strchr(c->chans[0].events, 'c') && client_next(c)) {
		if (c->kexinit_sent)
			continue;
		if (c->chans[0].out + step >= granted) {
			client_channel(c, 0, SSH_MSG_CHANNEL_WINDOW_ADJUST,
				       step);
			granted += step;
		}
		if (c->chans[0].out >= next) {
			client_send_kexinit(c);
			next = c->chans[0].out + 2 * step;
		}
	}
	EXPECT_STREQ("OSdesc", c->chans[0].events);
	EXPECT_EQ(SEQ_LEN, c->chans[0].out);
	EXPECT_EQ(seq_sum(), c->chans[0].sum);
	EXPECT_LE(3, c->rekeys);
}

TEST_F(session, both_rekey_at_once)
{
	struct client *c = &self->c;
	unsigned int seen = ~0u;

	c->conf.rekey_bytes = 100000;
	client_start(c);
	client_exec(c, 0, SEQ_COMMAND, WINDOW);
	/* Ours is out before the server's, which is due, can be seen. */
	while (!strchr(c->chans[0].events, 'c') && client_next(c))
		if (seen != c->rekeys && !c->kexinit_sent &&
		    c->chans[0].out > 50000) {
			seen = c->rekeys;
			client_send_kexinit(c);
		}
	EXPECT_STREQ("OSdesc", c->chans[0].events);
	EXPECT_EQ(seq_sum(), c->chans[0].sum);
	EXPECT_LE(3, c->rekeys);
}

/* Until the server has begun an exchange that the client leaves open. */
static void stall_rekey(struct client *c)
{
	c->conf.rekey_bytes = 100000;
	client_start(c);
	c->stall_kex = true;
	client_exec(c, 0, "head -c 200000 /dev/zero; cat", WINDOW);
	while (!c->server_init && client_next(c))
		;
}

TEST_F(session, answers_wait_for_the_new_keys)
{
	struct client *c = &self->c;
	int i;

	stall_rekey(c);
	client_open(c, 1, WINDOW, 32768);
	client_request(c, 0, "signal", "NONE");
	client_request(c, 0, "nonsense", NULL);
	for (i = 0; i < 100; i++)
		client_ping(c, 100);
	/* This is answered at once: RFC 4253 7.1 allows it. */
	client_send(c, "\x13unimplemented", 14);
	while (!c->unimplemented && client_next(c))
		;
	EXPECT_EQ(0, c->pongs);
	EXPECT_EQ(0, c->chans[1].n_events);
	client_answer_kex(c);
	while (c->pongs < 100 && client_next(c))
		;
	EXPECT_STREQ("O", c->chans[1].events);
	EXPECT_EQ(1, c->rekeys);
	c->stall_kex = false;
	client_channel(c, 0, SSH_MSG_CHANNEL_EOF, 0);
	client_until(c, 0, 'c');
	EXPECT_EQ(200000, c->chans[0].out);
}

TEST_F(session, end_of_a_command_waits_for_the_new_keys)
{
	struct client *c = &self->c;

	stall_rekey(c);
	client_channel(c, 0, SSH_MSG_CHANNEL_EOF, 0);
	client_send(c, "\x13unimplemented", 14);
	while (!c->unimplemented && client_next(c))
		;
	client_answer_kex(c);
	c->stall_kex = false;
	client_until(c, 0, 'c');
	EXPECT_STREQ("OSdesc", c->chans[0].events);
	EXPECT_EQ(200000, c->chans[0].out);
}

TEST_F(session, closing_while_keys_are_exchanged)
{
	struct client *c = &self->c;

	stall_rekey(c);
	client_close(c, 0);
	client_send(c, "\x13unimplemented", 14);
	while (!c->unimplemented && client_next(c))
		;
	client_answer_kex(c);
	c->stall_kex = false;
	client_until(c, 0, 'c');
	client_sync(c);
	client_exec(c, 1, "echo on", WINDOW);
	client_until(c, 1, 'c');
	EXPECT_STREQ("OSdesc", c->chans[1].events);
}

TEST_F(session, too_many_answers_kept_back_end_the_connection)
{
	struct client *c = &self->c;
	unsigned int i;

	stall_rekey(c);
	for (i = 0; i < CONN_HELD_MAX / 30000 + 1; i++)
		client_ping(c, 30000);
	client_until_end(c);
	EXPECT_EQ(0, c->pongs);
	EXPECT_EQ(SSH_DISCONNECT_PROTOCOL_ERROR, c->disconnect);
}

TEST_F(session, channel_messages_behind_kexinit_end_the_connection)
{
	struct client *c = &self->c;

	client_start(c);
	client_exec(c, 0, "cat", WINDOW);
	client_until(c, 0, 'S');
	c->stall_kex = true;
	client_send_kexinit(c);
	client_data(c, 0, "x", 1);
	client_until_end(c);
	EXPECT_EQ(SSH_DISCONNECT_PROTOCOL_ERROR, c->disconnect);
}

TEST_F(session, second_kexinit_ends_the_connection)
{
	struct client *c = &self->c;

	client_start(c);
	c->stall_kex = true;
	client_send_kexinit(c);
	client_send_kexinit(c);
	client_until_end(c);
	EXPECT_NE(0, c->disconnect);
}

/* ---- a client that does not read ---- */

/* Without waiting: false when the server takes no more. */
static bool try_ping(struct client *c, size_t *left, const uint8_t **p,
		     uint8_t *pkt, size_t size)
{
	ssize_t n;

	if (!*left) {
		memset(pkt, 0, size);
		pkt[PACKET_HDR_LEN] = 192;
		kssh_put_be32(pkt + PACKET_HDR_LEN + 1, 1000);
		ASSERT_EQ(0, packet_tx_seal(&c->tx, pkt, 1005));
		*left = packet_tx_size(&c->tx, 1005);
		*p = pkt;
	}
	n = send(c->fd, *p, *left, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return false;
	*p += n;
	*left -= n;
	return true;
}

TEST_F(session, flood_of_pings_without_reading_is_bounded)
{
	struct pollfd pfd = { .events = POLLOUT };
	struct client *c = &self->c;
	unsigned int sent = 0, i;
	const uint8_t *p = NULL;
	uint8_t pkt[2048];
	size_t left = 0;

	client_start(c);
	pfd.fd = c->fd;
	/* The server stops reading; a while of nothing is enough to say so. */
	for (i = 0; i < 64 * 1024; i++) {
		if (!try_ping(c, &left, &p, pkt, sizeof(pkt)) &&
		    poll(&pfd, 1, 300) <= 0)
			break;
		sent += !left;
	}
	EXPECT_LT(i, 64 * 1024);
	while (c->pongs < sent && client_next(c))
		;
	EXPECT_EQ(sent, c->pongs);
}

TEST_F(session, upload_goes_on_while_the_download_is_not_read)
{
	static const uint8_t block[32768];
	struct client *c = &self->c;
	int i;

	client_start(c);
	client_exec(c, 0, "exec cat /dev/zero", WINDOW);
	client_exec(c, 1, "wc -c", WINDOW);
	client_until(c, 1, 'S');
	/* A window full, in one go, as blocking clients write. */
	for (i = 0; i < CONN_WINDOW / (int)sizeof(block); i++)
		client_data(c, 1, block, sizeof(block));
	client_channel(c, 1, SSH_MSG_CHANNEL_EOF, 0);
	client_until(c, 1, 'd');
	EXPECT_STREQ("2097152\n", c->chans[1].head);
}

TEST_F(session, reason_arrives_behind_output_that_was_not_read)
{
	struct client *c = &self->c;
	int n, before = -1;

	client_start(c);
	client_exec(c, 0, "exec cat /dev/zero", WINDOW);
	client_until(c, 0, 'd');
	/* until the socket takes no more */
	while (!ioctl(c->fd, FIONREAD, &n) && n != before) {
		before = n;
		usleep(50000);
	}
	client_data(c, 5, "nobody", 6);
	c->chans[5].remote = 77;
	client_data(c, 5, "nobody", 6);
	client_until_end(c);
	EXPECT_EQ(SSH_DISCONNECT_PROTOCOL_ERROR, c->disconnect);
}

/* An SFTP server that has READ requests for @n times 32 KiB to answer. */
static void start_reading(struct client *c, uint32_t id, unsigned int n)
{
	static const uint8_t init[] = { 0, 0, 0, 5, 1, 0, 0, 0, 3 };
	const uint8_t *head = (const uint8_t *)c->chans[id].head;
	struct buf req;
	size_t off;

	client_open(c, id, WINDOW, 32768);
	client_until(c, id, 'O');
	client_request(c, id, "subsystem", "sftp");
	client_data(c, id, init, sizeof(init));
	buf_init(&req, BUF_MAX_DEFAULT);
	buf_put_u32(&req, 26);
	buf_put_u8(&req, 3); /* SSH_FXP_OPEN */
	buf_put_u32(&req, 1);
	buf_put_cstring(&req, "/dev/zero");
	buf_put_u32(&req, 1); /* SSH_FXF_READ */
	buf_put_u32(&req, 0);
	client_data(c, id, buf_data(&req), buf_len(&req));
	buf_reset(&req);
	/* SSH_FXP_VERSION, then SSH_FXP_HANDLE with one of 8 bytes */
	do {
		ASSERT_TRUE(client_next(c));
		off = 4 + kssh_get_be32(head);
	} while (c->chans[id].out < 4 || c->chans[id].out < off + 21);
	while (n--) {
		buf_put_u32(&req, 29);
		buf_put_u8(&req, 5); /* SSH_FXP_READ */
		buf_put_u32(&req, n);
		buf_put_string(&req, head + off + 13, 8);
		buf_put_u64(&req, 0);
		buf_put_u32(&req, 32768);
		if (buf_len(&req) < 30000 && n)
			continue;
		client_data(c, id, buf_data(&req), buf_len(&req));
		buf_reset(&req);
	}
	buf_free(&req);
}

TEST_F(session, channels_share_the_connection)
{
	struct client *c = &self->c;
	unsigned int i;

	client_start(c);
	for (i = 0; i < 3; i++)
		start_reading(c, i, 1000);
	while (c->chans[2].out < 4 * 1024 * 1024 && client_next(c))
		;
	for (i = 0; i < 3; i++)
		EXPECT_LT(2 * 1024 * 1024, c->chans[i].out);
	EXPECT_GT(16 * 1024 * 1024, c->chans[0].out);
	EXPECT_GT(8 * 1024 * 1024, c->chans[1].out);
}

/* ---- the connection ends ---- */

TEST_F(session, commands_end_with_the_connection)
{
	struct client *c = &self->c;
	char again[8];

	client_start(c);
	client_exec(c, 0, "echo $$; exec cat", WINDOW);
	client_until(c, 0, 'd');
	shutdown(c->fd, SHUT_RDWR);
	client_until_end(c);
	until_gone(c, 0);
	EXPECT_EQ(0, recv(c->fd, again, sizeof(again), 0));
}

TEST_F(session, disconnect_ends_the_session)
{
	static const uint8_t bye[] = {
		SSH_MSG_DISCONNECT, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0
	};
	struct client *c = &self->c;

	client_start(c);
	client_exec(c, 0, "cat", WINDOW);
	client_until(c, 0, 'S');
	client_send(c, bye, sizeof(bye));
	client_until_end(c);
	EXPECT_EQ(0, c->disconnect);
}

TEST_HARNESS_MAIN
