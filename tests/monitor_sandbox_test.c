// SPDX-License-Identifier: MIT
/* monitor/sandbox.c: what auth can do, and what ends it. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "harness.h"
#include "kex/kex.h"
#include "lib/mem.h"
#include "log_lines.h"
#include "monitor/sandbox.h"

FIXTURE(sandbox)
{
	struct sandbox sandbox;
};

FIXTURE_SETUP(sandbox)
{
#ifdef KSSH_SAN
	SKIP(return, "a sanitizer needs calls that a sandbox forbids");
#endif
	ASSERT_EQ(0, kex_prepare());
	ASSERT_EQ(0, sandbox_prepare(&self->sandbox));
}

FIXTURE_TEARDOWN(sandbox)
{
	sandbox_free(&self->sandbox);
}

#define KILLED	(1000 + SIGSYS)

/* Exit code, or 1000 + signal, of a process that does @fn in the sandbox. */
static int run(FIXTURE_DATA(sandbox) *self, int (*fn)(void))
{
	const char *step;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (sandbox_enter(&self->sandbox, &step)) {
			fprintf(stderr, "# cannot enter: %s\n", step);
			_exit(100);
		}
		_exit(fn());
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) :
				   1000 + WTERMSIG(status);
}

static int do_work(void)
{
	uint8_t random[64];
	struct timespec ts = { 0, 1000 };
	void *p = malloc(1 << 24);

	if (!p || mem_random(random, sizeof(random)))
		return 1;
	memset(p, 1, 1 << 24);
	free(p);
	if (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL))
		return 2;
	return 0;
}

/* All algorithms once more, in the sandbox this time. */
static int do_kex(void)
{
	return kex_prepare() ? 1 : 0;
}

static int do_open(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
}

static int do_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int do_fork(void)
{
	return fork() < 0;
}

static int do_exec(void)
{
	return execl("/bin/true", "true", (char *)NULL);
}

static int do_ptrace(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), 0, 0) < 0;
}

static int do_kill(void)
{
	return kill(getpid(), 0);
}

static int do_setuid(void)
{
	return setuid(0);
}

static int do_dup(void)
{
	return dup(0);
}

static int do_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int do_code_later(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static int do_io_uring(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL) < 0;
}

TEST_F(sandbox, lets_auth_do_its_work)
{
	EXPECT_EQ(0, run(self, do_work));
	EXPECT_EQ(0, run(self, do_kex));
}

TEST_F(sandbox, refuses_files_and_sockets)
{
	EXPECT_EQ(EACCES, run(self, do_open));
	EXPECT_EQ(EACCES, run(self, do_socket));
}

TEST_F(sandbox, kills_whoever_tries_more)
{
	EXPECT_EQ(KILLED, run(self, do_fork));
	EXPECT_EQ(KILLED, run(self, do_exec));
	EXPECT_EQ(KILLED, run(self, do_ptrace));
	EXPECT_EQ(KILLED, run(self, do_kill));
	EXPECT_EQ(KILLED, run(self, do_setuid));
	EXPECT_EQ(KILLED, run(self, do_dup));
	EXPECT_EQ(KILLED, run(self, do_io_uring));
}

TEST_F(sandbox, has_no_place_for_new_code)
{
	EXPECT_EQ(KILLED, run(self, do_code));
	EXPECT_EQ(KILLED, run(self, do_code_later));
}

/* Its state as others see it, while it waits in read(2). */
TEST_F(sandbox, has_no_rights_left)
{
	char path[64], line[256], link[256] = "";
	int up[2], down[2];
	const char *step;
	pid_t pid;
	char c = 0;
	FILE *f;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_EQ(0, pipe(up));
	ASSERT_EQ(0, pipe(down));
	pid = fork();
	if (!pid) {
		if (sandbox_enter(&self->sandbox, &step))
			_exit(100);
		if (write(up[1], "x", 1) != 1 || read(down[0], &c, 1) != 1)
			_exit(101);
		_exit(0);
	}
	ASSERT_EQ(1, read(up[0], &c, 1));
	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	EXPECT_LT(0, readlink(path, link, sizeof(link) - 1));
	EXPECT_STREQ(SANDBOX_DIR, link);
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	ASSERT_NOT_NULL(f);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "Uid:", 4) || !strncmp(line, "Gid:", 4))
			EXPECT_NULL(strstr(line, "\t0"));
		if (!strncmp(line, "CapEff:", 7) ||
		    !strncmp(line, "CapPrm:", 7))
			EXPECT_EQ(0, strtoull(line + 7, NULL, 16));
		if (!strncmp(line, "NoNewPrivs:", 11))
			EXPECT_EQ(1, atoi(line + 11));
		if (!strncmp(line, "Seccomp:", 8))
			EXPECT_EQ(2, atoi(line + 8));
	}
	fclose(f);
	ASSERT_EQ(1, write(down[1], "x", 1));
	waitpid(pid, NULL, 0);
}

TEST(refuses_a_folder_that_others_can_write)
{
	struct sandbox sandbox;
	struct log_lines lines;
	struct stat st;

	if (geteuid())
		SKIP(return, "needs root");
	log_lines_open(&lines, LOG_LEVEL_ERROR);
	ASSERT_EQ(0, sandbox_prepare(&sandbox));
	sandbox_free(&sandbox);
	ASSERT_EQ(0, stat(SANDBOX_DIR, &st));
	ASSERT_EQ(0, chmod(SANDBOX_DIR, 0777));
	EXPECT_EQ(-EPERM, sandbox_prepare(&sandbox));
	ASSERT_EQ(0, chmod(SANDBOX_DIR, st.st_mode & 07777));
	EXPECT_NOT_NULL(strstr(log_lines_read(&lines), SANDBOX_DIR));
	log_lines_close(&lines);
}

TEST_HARNESS_MAIN
