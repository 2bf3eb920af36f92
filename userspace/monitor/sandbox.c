// SPDX-License-Identifier: MIT
/* The cage of the auth process: ids, chroot, limits, system calls. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/account.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "monitor/sandbox.h"

/*
 * A sanitizer reads /proc and maps memory of its own at any time. The cage is
 * no use to it then but as a rehearsal: a call that is not allowed fails.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED	1
#else
#define SANITIZED	0
#endif

/* What packets, libcrypto, malloc and the monitor's messages need. */
static const int allowed[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(shutdown),
	SCMP_SYS(close),
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(futex),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* libc and libcrypto live without these: they are told no, not killed. */
static const int refused[] = {
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(socket),
	SCMP_SYS(sysinfo),
	SCMP_SYS(sched_getaffinity),
};

static int add_rules(scmp_filter_ctx ctx)
{
	size_t i;
	int err = 0;

	for (i = 0; !err && i < ARRAY_SIZE(allowed); i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	for (i = 0; !err && !SANITIZED && i < ARRAY_SIZE(refused); i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), refused[i],
				       0);
	/* memory, but never code */
	if (!err)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC,
					       0),
				       SCMP_A3(SCMP_CMP_MASKED_EQ,
					       MAP_ANONYMOUS, MAP_ANONYMOUS));
	if (!err)
		err = seccomp_rule_add(
			ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return err;
}

/* Through a file in memory: libseccomp can write a program, not give it. */
static int export_filter(scmp_filter_ctx ctx, struct sock_fprog *filter)
{
	struct stat st;
	int fd, err;

	fd = memfd_create("ksshd-filter", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = seccomp_export_bpf(ctx, fd);
	if (!err && fstat(fd, &st))
		err = -errno;
	if (!err && (!st.st_size || st.st_size % sizeof(*filter->filter) ||
		     st.st_size / sizeof(*filter->filter) > BPF_MAXINSNS))
		err = -EINVAL;
	if (err)
		goto out;
	filter->filter = malloc(st.st_size);
	if (!filter->filter) {
		err = -ENOMEM;
		goto out;
	}
	filter->len = st.st_size / sizeof(*filter->filter);
	if (pread(fd, filter->filter, st.st_size, 0) != st.st_size)
		err = -EIO;
out:
	close(fd);
	return err;
}

static int make_filter(struct sock_fprog *filter)
{
	scmp_filter_ctx ctx;
	int err;

	ctx = seccomp_init(SANITIZED ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS);
	if (!ctx)
		return -ENOMEM;
	err = SANITIZED ? 0 : add_rules(ctx);
	if (!err)
		err = export_filter(ctx, filter);
	seccomp_release(ctx);
	if (err) {
		log_error("sandbox: cannot make the seccomp filter: %s",
			  strerror(-err));
	}
	return err;
}

static int find_ids(struct sandbox *sandbox)
{
	struct passwd *pw;

	pw = getpwnam("sshd");
	if (!pw || !pw->pw_uid)
		pw = getpwnam("nobody");
	if (!pw || !pw->pw_uid) {
		log_error("sandbox: there is neither a user sshd nor nobody");
		return -ENOENT;
	}
	sandbox->uid = pw->pw_uid;
	sandbox->gid = pw->pw_gid;
	return 0;
}

static int check_dir(void)
{
	struct stat st;

	if (mkdir(SANDBOX_DIR, 0755) && errno != EEXIST) {
		log_error("sandbox: cannot make " SANDBOX_DIR ": %s",
			  strerror(errno));
		return -errno;
	}
	if (lstat(SANDBOX_DIR, &st) || !S_ISDIR(st.st_mode) || st.st_uid ||
	    (st.st_mode & 022)) {
		log_error(
			"sandbox: " SANDBOX_DIR
			" must be a directory of root that nobody else can write to");
		return -EPERM;
	}
	return 0;
}

int sandbox_prepare(struct sandbox *sandbox)
{
	int err = 0;

	memset(sandbox, 0, sizeof(*sandbox));
	sandbox->root = !geteuid();
	if (sandbox->root)
		err = find_ids(sandbox);
	if (!err && sandbox->root)
		err = check_dir();
	if (!err)
		err = make_filter(&sandbox->filter);
	return err;
}

void sandbox_free(struct sandbox *sandbox)
{
	free(sandbox->filter.filter);
	memset(sandbox, 0, sizeof(*sandbox));
}

static int set_limit(int what, rlim_t value)
{
	struct rlimit limit = { value, value };

	return setrlimit(what, &limit) ? -errno : 0;
}

static int set_limits(void)
{
	int err;

	err = set_limit(RLIMIT_FSIZE, 0);
	if (!err)
		err = set_limit(RLIMIT_NPROC, 0);
	if (!err)
		err = set_limit(RLIMIT_CORE, 0);
	/* the lowest number is in use; poll(2) wants room for its one entry */
	if (!err && !SANITIZED)
		err = set_limit(RLIMIT_NOFILE, 1);
	return err;
}

int sandbox_enter(const struct sandbox *sandbox, const char **step)
{
	int err = 0;

	*step = "chroot";
	if (sandbox->root && (chroot(SANDBOX_DIR) || chdir("/")))
		return -errno;
	*step = "setresuid";
	if (sandbox->root)
		err = account_become_ids(sandbox->uid, sandbox->gid);
	if (err)
		return err;
	*step = "setrlimit";
	err = set_limits();
	if (err)
		return err;
	*step = "prctl";
	/* set again, as taking on ids clears it */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || prctl(PR_SET_DUMPABLE, 0) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	*step = "seccomp";
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &sandbox->filter))
		return -errno;
	return 0;
}
