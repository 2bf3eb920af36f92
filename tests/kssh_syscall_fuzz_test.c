// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzer of what userspace can ask of kssh.ko: socket options, ioctls, messages,
 * splices and lifetimes, with good and bad arguments, from several threads on
 * the same sockets. docs/testing.md tells how to run it for longer. It runs in
 * the VM.
 */
#include <sys/epoll.h>
#include <sys/un.h>

#include "kssh_fuzz.h"

#define THREADS 3
#define ARENA 65536

/* Descriptors all threads use; the numbers stay, what they are does not. */
enum {
	SLOT_A,
	SLOT_B,
	SLOT_CH_A,
	SLOT_CH_B,
	SLOT_STDERR,
	SLOT_ATTACHED,
	SLOT_ATTACHED_PEER,
	SLOT_PLAIN,
	SLOT_PLAIN_PEER,
	SLOT_PIPE,
	SLOT_PIPE_W,
	SLOT_PIPE2,
	SLOT_PIPE2_W,
	SLOT_UNIX,
	SLOT_UNIX_PEER,
	SLOT_FILE,
	SLOT_EPOLL,
	SLOTS,
};

#define SOCKETS (SLOT_PLAIN_PEER + 1)

static int slots[SLOTS];

struct fuzzer {
	struct rng rng;
	/* ARENA bytes, a page that cannot be written, one that is not there */
	unsigned char *arena;
};

/* No error number of the kernel's own may get out. */
static long sys(long ret)
{
	if (ret < 0)
		EXPECT_GT(200, errno);
	return ret;
}

/* Mostly a socket of ours. */
static int any_fd(struct fuzzer *f)
{
	if (one_in(&f->rng, 12))
		return slots[below(&f->rng, SLOTS)];
	if (one_in(&f->rng, 4))
		return slots[below(&f->rng, SOCKETS)];
	return slots[below(&f->rng, SLOT_ATTACHED + 1)];
}

/* Room for @len bytes, or not. */
static void *any_ptr(struct fuzzer *f, size_t len)
{
	unsigned char *end = f->arena + ARENA;

	switch (below(&f->rng, 16)) {
	case 0:
		return NULL;
	case 1:
		return end; /* read-only */
	case 2:
		return end + 4096; /* nothing there */
	case 3:
		return end + 4096 - below(&f->rng, 64);
	case 4:
		return (void *)0xffff888000000000;
	case 5:
		return (void *)rng_next(&f->rng);
	}
	return len < ARENA ? end - len - below(&f->rng, ARENA - len) : f->arena;
}

static int any_len(struct fuzzer *f, int right)
{
	if (!one_in(&f->rng, 3))
		return right;
	if (one_in(&f->rng, 2))
		return right + (int)below(&f->rng, 9) - 4;
	return edge(&f->rng);
}

static size_t any_size(struct fuzzer *f)
{
	if (one_in(&f->rng, 20))
		return edge(&f->rng);
	return below(&f->rng, one_in(&f->rng, 3) ? ARENA : 300);
}

static int any_flags(struct fuzzer *f)
{
	static const int flags[] = {
		MSG_OOB,	 MSG_PEEK,     MSG_DONTROUTE, MSG_CTRUNC,
		MSG_TRUNC,	 MSG_DONTWAIT, MSG_WAITALL,   MSG_CONFIRM,
		MSG_ERRQUEUE,	 MSG_MORE,     MSG_ZEROCOPY,  MSG_FASTOPEN,
		MSG_CMSG_CLOEXEC
	};
	int all = MSG_NOSIGNAL;

	while (one_in(&f->rng, 2))
		all |= flags[below(&f->rng, ARRAY_SIZE(flags))];
	return all;
}

/* Some bytes of it are others than they should be. */
static void spoil(struct fuzzer *f, void *p, size_t len)
{
	unsigned char *byte = p;

	while (one_in(&f->rng, 3))
		byte[below(&f->rng, len)] = edge(&f->rng);
}

/* Copy it to where the call shall find it, if that can be. */
static void *place(struct fuzzer *f, const void *p, size_t len)
{
	unsigned char *to = any_ptr(f, len);

	if (to >= f->arena && to + len <= f->arena + ARENA)
		memcpy(to, p, len);
	return to;
}

/* What is in @slot from now on. */
static void replace(int fd, int slot)
{
	if (fd < 0)
		return;
	limit_sleep(fd);
	dup3(fd, slots[slot], O_CLOEXEC);
	close(fd);
}

/* Calls. */

static void call_set_keys(struct fuzzer *f)
{
	struct kssh_crypto_info info =
		crypto_info(suites[below(&f->rng, ARRAY_SIZE(suites))],
			    below(&f->rng, 2) ? 1 : 9, 0, below(&f->rng, 4));

	spoil(f, &info, sizeof(info));
	sys(setsockopt(any_fd(f), SOL_KSSH, KSSH_TX + below(&f->rng, 2),
		       place(f, &info, sizeof(info)),
		       any_len(f, sizeof(info))));
}

static void call_set_limits(struct fuzzer *f)
{
	struct kssh_rekey_limits limits = {
		.version = KSSH_API_VERSION,
		.seconds = one_in(&f->rng, 2) ? edge(&f->rng) : 1,
		.bytes = edge(&f->rng),
		.packets = edge(&f->rng),
	};

	spoil(f, &limits, sizeof(limits));
	sys(setsockopt(any_fd(f), SOL_KSSH, KSSH_REKEY_LIMITS,
		       place(f, &limits, sizeof(limits)),
		       any_len(f, sizeof(limits))));
}

static void call_set_other(struct fuzzer *f)
{
	static const int opts[][2] = {
		{ SOL_SOCKET, SO_RCVBUF },    { SOL_SOCKET, SO_SNDBUF },
		{ SOL_SOCKET, SO_RCVLOWAT },  { SOL_SOCKET, SO_ZEROCOPY },
		{ SOL_SOCKET, SO_KEEPALIVE }, { SOL_SOCKET, SO_OOBINLINE },
		{ SOL_TCP, TCP_CORK },	      { SOL_TCP, TCP_NODELAY },
		{ SOL_TCP, TCP_MAXSEG },      { SOL_TCP, TCP_REPAIR },
		{ SOL_KSSH, KSSH_INFO },      { SOL_KSSH, 0 },
		{ SOL_KSSH, 5 },	      { SOL_KSSH, -1 },
		{ SOL_TCP, TCP_QUICKACK },
	};
	static const char ulps[][4] = { "ssh", "tls", "mpt", "" };
	int i = below(&f->rng, ARRAY_SIZE(opts)), val = edge(&f->rng);

	if (one_in(&f->rng, 3))
		sys(setsockopt(any_fd(f), SOL_TCP, TCP_ULP,
			       ulps[one_in(&f->rng, 2) ? 0 : below(&f->rng, 4)],
			       4));
	else
		sys(setsockopt(any_fd(f), opts[i][0], opts[i][1],
			       place(f, &val, sizeof(val)),
			       any_len(f, sizeof(val))));
}

static void call_get(struct fuzzer *f)
{
	static const int opts[][2] = {
		{ SOL_KSSH, KSSH_TX },	       { SOL_KSSH, KSSH_RX },
		{ SOL_KSSH, KSSH_INFO },       { SOL_KSSH, KSSH_INFO },
		{ SOL_KSSH, KSSH_INFO },       { SOL_KSSH, KSSH_REKEY_LIMITS },
		{ SOL_TCP, TCP_ULP },	       { SOL_TCP, TCP_INFO },
		{ SOL_SOCKET, SO_ERROR },      { SOL_SOCKET, SO_MEMINFO },
		{ SOL_TCP, TCP_ZEROCOPY_RECEIVE },
	};
	int i = below(&f->rng, ARRAY_SIZE(opts)), ret;
	int right = sizeof(struct kssh_info), given = any_len(f, right);
	unsigned char buf[sizeof(struct kssh_info) + 16];
	socklen_t len;

	if (one_in(&f->rng, 2)) {
		ret = sys(getsockopt(any_fd(f), opts[i][0], opts[i][1],
				     any_ptr(f, right), any_ptr(f, 4)));
		return;
	}
	/* no byte more than there was room for */
	memset(buf, 0xa5, sizeof(buf));
	if (given < 0 || given > (int)sizeof(buf))
		given = sizeof(buf) - 1;
	len = given;
	ret = sys(getsockopt(any_fd(f), SOL_KSSH, KSSH_INFO, buf, &len));
	if (!ret)
		EXPECT_GE(given, (int)len);
	for (i = ret ? 0 : len; i < (int)sizeof(buf) && buf[i] == 0xa5; i++)
		;
	EXPECT_EQ(sizeof(buf), i);
}

static void call_bind(struct fuzzer *f)
{
	struct kssh_channel info = channel_info(edge(&f->rng), edge(&f->rng));
	struct kssh_channel *at;
	int ret;

	if (one_in(&f->rng, 2))
		info.local_id = below(&f->rng, 4);
	info.remote_id = below(&f->rng, 4);
	if (one_in(&f->rng, 3)) {
		info.local_window = edge(&f->rng);
		info.remote_window = edge(&f->rng);
		info.remote_max_packet = edge(&f->rng);
	}
	if (one_in(&f->rng, 4))
		info = (struct kssh_channel){ .version = KSSH_API_VERSION,
					      .local_id = info.local_id,
					      .data_type = KSSH_DATA_STDERR };
	spoil(f, &info, sizeof(info));
	at = place(f, &info, sizeof(info));
	ret = sys(ioctl(any_fd(f), SIOCKSSHCHANNEL, at));
	/* only what is all in the arena can succeed */
	if (!ret)
		replace(at->fd, SLOT_CH_A + below(&f->rng, 3));
}

static void call_ioctl(struct fuzzer *f)
{
	static const unsigned int cmds[] = { SIOCINQ,
					     SIOCOUTQ,
					     SIOCATMARK,
					     SIOCOUTQNSD,
					     SIOCPROTOPRIVATE + 1,
					     SIOCPROTOPRIVATE + 15,
					     0,
					     0xffffffff };

	sys(ioctl(any_fd(f), cmds[below(&f->rng, ARRAY_SIZE(cmds))],
		  any_ptr(f, 4)));
}

static int any_iov(struct fuzzer *f, struct iovec iov[8])
{
	int i, n = below(&f->rng, 9);

	for (i = 0; i < n; i++) {
		iov[i].iov_len = any_size(f);
		iov[i].iov_base = any_ptr(f, iov[i].iov_len);
	}
	return n;
}

/* The first byte is a message's number; few of those end a connection. */
static void any_payload(struct fuzzer *f, struct iovec *iov)
{
	static const unsigned char types[] = { 2,  2,  4,  6,  20, 21, 80, 93,
					       94, 95, 96, 97, 98, 98, 98, 1 };
	unsigned char *p = iov->iov_base;

	if (p < f->arena || p + 16 > f->arena + ARENA)
		return;
	p[0] = types[below(&f->rng, ARRAY_SIZE(types))];
	kssh_put_be32(p + 1, below(&f->rng, 4));
	kssh_put_be32(p + 5, iov->iov_len - 9);
}

static void call_sendmsg(struct fuzzer *f)
{
	unsigned char control[128];
	struct cmsghdr *cmsg = (struct cmsghdr *)control;
	struct iovec iov[8];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = any_iov(f, iov) };
	int level[] = { SOL_KSSH, SOL_SOCKET, SOL_TCP, SOL_IP };

	if (one_in(&f->rng, 3)) {
		rng_fill(&f->rng, control, sizeof(control));
		cmsg->cmsg_len = any_len(f, CMSG_LEN(8));
		cmsg->cmsg_level = level[below(&f->rng, 4)];
		cmsg->cmsg_type = below(&f->rng, 40);
		msg.msg_control = control;
		msg.msg_controllen = below(&f->rng, sizeof(control) + 1);
	}
	if (msg.msg_iovlen)
		any_payload(f, &iov[0]);
	sys(sendmsg(any_fd(f), &msg, any_flags(f)));
}

static void call_recvmsg(struct fuzzer *f)
{
	unsigned char control[CMSG_SPACE(8)] = { 0 };
	struct iovec iov[8];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = any_iov(f, iov) };
	struct kssh_cmsg_rx rx;
	struct cmsghdr *cmsg;
	bool known = one_in(&f->rng, 2);

	msg.msg_control = known ? control : any_ptr(f, 64);
	msg.msg_controllen = known ? below(&f->rng, sizeof(control) + 1) :
				     any_size(f);
	/* passed descriptors have a call of their own */
	if (sys(recvmsg(slots[below(&f->rng, SOCKETS)], &msg, any_flags(f))) <
		    0 ||
	    !known)
		return;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_level != SOL_KSSH)
		return;
	EXPECT_EQ(CMSG_LEN(sizeof(rx)), cmsg->cmsg_len);
	memcpy(&rx, CMSG_DATA(cmsg), sizeof(rx));
	EXPECT_EQ(0, rx.reserved);
	EXPECT_TRUE(rx.kind == KSSH_RX_MESSAGE || rx.kind == KSSH_RX_EVENT);
}

/* What keeps connections going: the right way. */
static void call_write(struct fuzzer *f)
{
	sys(send(slots[below(&f->rng, SLOT_ATTACHED)], f->arena, any_size(f),
		 MSG_NOSIGNAL | MSG_DONTWAIT));
}

static void call_read(struct fuzzer *f)
{
	sys(recv(slots[below(&f->rng, SLOT_ATTACHED)], f->arena, ARENA,
		 MSG_DONTWAIT));
}

static void call_read_write(struct fuzzer *f)
{
	struct iovec iov[8];
	int n = any_iov(f, iov), fd = any_fd(f);

	if (one_in(&f->rng, 2))
		sys(readv(fd, iov, n));
	else
		sys(writev(fd, iov, n));
}

static void call_splice(struct fuzzer *f)
{
	/* a pipe has no timeout */
	int flags = below(&f->rng, 16) | SPLICE_F_NONBLOCK;
	int pipe = SLOT_PIPE + below(&f->rng, 4);
	size_t n = below(&f->rng, ARENA);
	struct iovec iov = { f->arena, n };

	switch (below(&f->rng, 7)) {
	case 0:
		sys(splice(any_fd(f), NULL, slots[pipe], NULL, n, flags));
		break;
	case 1:
	case 2:
		sys(splice(slots[pipe], NULL, any_fd(f), NULL, n, flags));
		break;
	case 3:
		sys(tee(slots[SLOT_PIPE], slots[SLOT_PIPE2_W], n, flags));
		break;
	case 4:
		sys(vmsplice(slots[pipe], &iov, 1, flags));
		break;
	case 5:
		sys(sendfile(any_fd(f), slots[SLOT_FILE], NULL, n));
		lseek(slots[SLOT_FILE], below(&f->rng, ARENA), SEEK_SET);
		break;
	default:
		sys(sendfile(slots[SLOT_PIPE_W], any_fd(f), NULL, n));
	}
}

static void call_poll(struct fuzzer *f)
{
	struct epoll_event ev = { .events = edge(&f->rng) };
	struct pollfd pfd[4];
	int i;

	for (i = 0; i < 4; i++)
		pfd[i] = (struct pollfd){ any_fd(f), edge(&f->rng), 0 };
	sys(poll(pfd, 4, below(&f->rng, 2)));
	sys(epoll_ctl(slots[SLOT_EPOLL], EPOLL_CTL_ADD + below(&f->rng, 3),
		      any_fd(f), &ev));
	sys(epoll_wait(slots[SLOT_EPOLL], &ev, 1, below(&f->rng, 2)));
}

static void call_socket(struct fuzzer *f)
{
	struct sockaddr_in addr = { .sin_family = AF_UNSPEC };
	struct sockaddr *sa = one_in(&f->rng, 2) ? (struct sockaddr *)&addr :
						   any_ptr(f, sizeof(addr));
	socklen_t len = sizeof(addr),
		  *at = one_in(&f->rng, 2) ? &len : any_ptr(f, 4);
	int fd = any_fd(f);

	switch (below(&f->rng, 6)) {
	case 0:
		sys(connect(fd, (struct sockaddr *)&addr, len));
		break;
	case 1:
		sys(listen(fd, 1));
		break;
	case 2:
		sys(getsockname(fd, sa, at));
		break;
	case 3:
		sys(getpeername(fd, sa, at));
		break;
	case 4:
		sys(bind(fd, sa, any_len(f, sizeof(addr))));
		break;
	default:
		if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) ==
		    MAP_FAILED)
			sys(-1);
	}
}

static void call_shutdown(struct fuzzer *f)
{
	if (one_in(&f->rng, 8))
		sys(shutdown(any_fd(f), below(&f->rng, 4)));
	else
		sys(shutdown(slots[SLOT_CH_A + below(&f->rng, 3)],
			     below(&f->rng, 4)));
}

static void call_dup(struct fuzzer *f)
{
	int from = below(&f->rng, SOCKETS), to = below(&f->rng, SOCKETS);

	if (from != to && one_in(&f->rng, 3))
		sys(dup3(slots[from], slots[to], O_CLOEXEC));
	else if (one_in(&f->rng, 4))
		sys(close(slots[to]));
}

static void call_fdinfo(struct fuzzer *f)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", any_fd(f));
	fd = sys(open(path, O_RDONLY | O_CLOEXEC));
	sys(read(fd, f->arena, ARENA));
	close(fd);
}

/* A descriptor on its way, which may be the last reference. */
static void call_pass(struct fuzzer *f)
{
	unsigned char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct cmsghdr *cmsg = (struct cmsghdr *)control;
	struct iovec iov = { f->arena, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	int fd = any_fd(f);

	if (one_in(&f->rng, 2)) {
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
		sys(sendmsg(slots[SLOT_UNIX], &msg, MSG_DONTWAIT));
		return;
	}
	if (sys(recvmsg(slots[SLOT_UNIX_PEER], &msg,
			MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) <= 0)
		return;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET ||
	    cmsg->cmsg_type != SCM_RIGHTS)
		return;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	replace(fd, below(&f->rng, SOCKETS));
}

static void some_calls(struct fuzzer *f, int n);

static void call_fork(struct fuzzer *f)
{
	pid_t pid;

	if (!one_in(&f->rng, 8))
		return;
	pid = fork();
	if (!pid) {
		some_calls(f, 10);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void call_nonblock(struct fuzzer *f)
{
	int fd = slots[below(&f->rng, SOCKETS)];

	/* they sleep no longer than SO_RCVTIMEO anyway */
	sys(fcntl(fd, F_SETFL, one_in(&f->rng, 2) ? O_NONBLOCK : 0));
}

static void some_calls(struct fuzzer *f, int n)
{
	static void (*const calls[])(struct fuzzer *f) = {
		call_set_keys, call_set_limits, call_set_other, call_get,
		call_bind,     call_bind,	call_ioctl,	call_sendmsg,
		call_sendmsg,  call_sendmsg,	call_recvmsg,	call_recvmsg,
		call_recvmsg,  call_write,	call_write,	call_read,
		call_read,     call_read_write, call_splice,	call_splice,
		call_splice,   call_poll,	call_poll,	call_socket,
		call_shutdown, call_dup,	call_fdinfo,	call_pass,
		call_fork,     call_nonblock,
	};

	while (n--)
		calls[below(&f->rng, ARRAY_SIZE(calls))](f);
}

static void *fuzzer_thread(void *arg)
{
	struct fuzzer *f = arg;

	some_calls(f, 30 + below(&f->rng, 200));
	return NULL;
}

static void open_arena(struct fuzzer *f)
{
	f->arena = mmap(NULL, ARENA + 2 * 4096, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE((void *)MAP_FAILED, (void *)f->arena);
	rng_fill(&f->rng, f->arena, ARENA);
	mprotect(f->arena + ARENA, 4096, PROT_READ);
	munmap(f->arena + ARENA + 4096, 4096);
}

static void open_keyed(struct rng *rng)
{
	int suite = suites[below(rng, ARRAY_SIZE(suites))], i;

	ASSERT_EQ(0, tcp_pair(&slots[SLOT_A]));
	for (i = 0; i < 2; i++) {
		int fd = slots[SLOT_A + i];

		ASSERT_EQ(0, attach(fd));
		ASSERT_EQ(0, new_keys(fd, KSSH_TX, suite, i ? 9 : 1, 0, 0));
		ASSERT_EQ(0, new_keys(fd, KSSH_RX, suite, i ? 1 : 9, 0, 0));
		slots[SLOT_CH_A + i] = channel(fd, 1, 1);
		ASSERT_LE(0, slots[SLOT_CH_A + i]);
	}
	slots[SLOT_STDERR] = stderr_channel(slots[SLOT_A], 1);
	ASSERT_LE(0, slots[SLOT_STDERR]);
}

static void open_slots(struct rng *rng)
{
	int i;

	open_keyed(rng);
	ASSERT_EQ(0, tcp_pair(&slots[SLOT_ATTACHED]));
	ASSERT_EQ(0, attach(slots[SLOT_ATTACHED]));
	ASSERT_EQ(0, tcp_pair(&slots[SLOT_PLAIN]));
	ASSERT_EQ(0, pipe2(&slots[SLOT_PIPE], O_NONBLOCK));
	ASSERT_EQ(0, pipe2(&slots[SLOT_PIPE2], O_NONBLOCK));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, &slots[SLOT_UNIX]));
	slots[SLOT_FILE] = memfd_create("file", 0);
	ASSERT_EQ(0, ftruncate(slots[SLOT_FILE], 2 * ARENA));
	slots[SLOT_EPOLL] = epoll_create1(0);
	for (i = 0; i < SOCKETS; i++)
		limit_sleep(slots[i]);
	limit_sleep(slots[SLOT_UNIX]);
	limit_sleep(slots[SLOT_UNIX_PEER]);
}

static void syscall_round(uint64_t seed)
{
	struct rng rng = { seed };
	struct fuzzer f[THREADS];
	pthread_t thread[THREADS];
	int i;

	open_slots(&rng);
	for (i = 0; i < THREADS; i++) {
		f[i].rng = rng_fork(&rng);
		open_arena(&f[i]);
	}
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, fuzzer_thread, &f[i]);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < THREADS; i++)
		munmap(f[i].arena, ARENA + 4096);
	for (i = 0; i < SLOTS; i++)
		close(slots[i]);
}

/* Whatever is asked, from wherever: an answer, and nothing is harmed. */
TEST(any_calls)
{
	fuzz_rounds(20, syscall_round);
}

TEST_HARNESS_MAIN
