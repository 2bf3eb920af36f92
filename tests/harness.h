/* SPDX-License-Identifier: MIT */
/*
 * A small test harness with the macro names of the kernel's selftests.
 *
 *	#include "harness.h"
 *
 *	TEST(adds) { EXPECT_EQ(4, 2 + 2); }
 *
 *	FIXTURE(kssh) { int fd; };
 *	FIXTURE_VARIANT(kssh) { int cipher; };
 *	FIXTURE_VARIANT_ADD(kssh, aes256_gcm) { .cipher = 1 };
 *	FIXTURE_SETUP(kssh) { self->fd = open_one(variant->cipher); }
 *	FIXTURE_TEARDOWN(kssh) { close(self->fd); }
 *	TEST_F(kssh, rejects_padding_below_four)
 *	{
 *		ASSERT_LE(0, self->fd)
 *			TH_LOG("no socket");
 *	}
 *
 *	TEST_HARNESS_MAIN
 *
 * The value that is expected comes first. Numbers are compared as numbers,
 * whatever their types: -1 is below 1u. ASSERT_* ends the test (and runs the
 * teardown), EXPECT_* goes on. Both may be used in helper functions, in
 * threads and in processes which the test forks: a failure there counts, and
 * ASSERT_* then ends that thread or process only. SKIP(return, "why") leaves
 * a test or a setup. A teardown runs unless the setup failed or skipped.
 *
 * Each test runs in a child, in a process group of its own which is killed
 * when the test is over, and within a timeout: TEST_TIMEOUT seconds (define
 * it before the include) or those of TEST_TIMEOUT_F() and TEST_F_TIMEOUT(),
 * times $KSSH_TEST_TIMEOUT_SCALE. Under AddressSanitizer memory that a test
 * leaks makes it fail.
 *
 *	x_test			run all
 *	x_test -l		list the names
 *	x_test -r 'kssh.*.rekey' -r kssh.aes256_gcm
 *				run by name, shell pattern or leading part
 *	x_test -n -r NAME	run without a child, for gdb
 *
 * Output is TAP 13; exit status 0 passed, 1 failed, 4 nothing but skips.
 */
#ifndef KSSH_TESTS_HARNESS_H
#define KSSH_TESTS_HARNESS_H

#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef TEST_TIMEOUT
#define TEST_TIMEOUT 30
#endif

#define TH_UNUSED __attribute__((unused))
#define TH_CTOR static __attribute__((constructor)) void

enum th_exit { TH_PASS = 0, TH_FAIL = 1, TH_SKIP = 4 };

struct th_variant {
	const char *name;
	const void *data;
	struct th_variant *next;
};

struct th_fixture {
	const char *name;
	size_t size;
	void (*setup)(void *self, const void *variant);
	void (*teardown)(void *self, const void *variant);
	struct th_variant *variants;
};

struct th_test {
	const char *name;
	struct th_fixture *fixture; /* NULL for TEST() */
	void (*fn)(void *self, const void *variant);
	int termsig;
	int timeout;
	struct th_test *next;
};

/* What a test's child tells its parent; shared memory. */
struct th_result {
	bool failed;
	bool skipped;
	char reason[256];
};

struct th_state {
	struct th_test *tests;
	struct th_result *result;
	const char *current; /* full name of the test that runs */
	sigjmp_buf escape;
	pid_t pid;
	pid_t tid;
	const char *patterns[64];
	int nr_patterns;
	bool no_fork;
	double scale;
	int nr, passed, failed, skipped;
};

static struct th_state th_state TH_UNUSED;
static volatile sig_atomic_t th_timed_out TH_UNUSED;

/* Registration: constructors run in the order of the file. */

static TH_UNUSED void th_add_test(struct th_test *test)
{
	struct th_test **p = &th_state.tests;

	while (*p)
		p = &(*p)->next;
	*p = test;
}

static TH_UNUSED void th_add_variant(struct th_fixture *fixture,
				     struct th_variant *variant)
{
	struct th_variant **p = &fixture->variants;

	while (*p)
		p = &(*p)->next;
	*p = variant;
}

#define FIXTURE_DATA(fix) struct th_data_##fix
#define FIXTURE_VARIANT(fix) struct th_variant_##fix

#define FIXTURE(fix)                                                  \
	FIXTURE_VARIANT(fix);                                         \
	FIXTURE_DATA(fix);                                            \
	static size_t th_sizeof_##fix(void);                          \
	static struct th_fixture th_fixture_##fix = { .name = #fix }; \
	TH_CTOR th_ctor_##fix(void)                                   \
	{                                                             \
		th_fixture_##fix.size = th_sizeof_##fix();            \
	}                                                             \
	FIXTURE_DATA(fix)

#define TH_FIXTURE_FN(fix, what)                                            \
	static void th_##what##_##fix(FIXTURE_DATA(fix) *self,              \
				      const FIXTURE_VARIANT(fix) *variant); \
	static void th_wrap_##what##_##fix(void *self, const void *variant) \
	{                                                                   \
		th_##what##_##fix(self, variant);                           \
	}                                                                   \
	TH_CTOR th_ctor_##what##_##fix(void)                                \
	{                                                                   \
		th_fixture_##fix.what = th_wrap_##what##_##fix;             \
	}

/* A fixture needs a setup, if only an empty one. */
#define FIXTURE_SETUP(fix)                                             \
	static size_t th_sizeof_##fix(void)                            \
	{                                                              \
		return sizeof(FIXTURE_DATA(fix));                      \
	}                                                              \
	TH_FIXTURE_FN(fix, setup)                                      \
	static void th_setup_##fix(FIXTURE_DATA(fix) * self TH_UNUSED, \
				   const FIXTURE_VARIANT(fix) *        \
					   variant TH_UNUSED)

#define FIXTURE_TEARDOWN(fix)                                             \
	TH_FIXTURE_FN(fix, teardown)                                      \
	static void th_teardown_##fix(FIXTURE_DATA(fix) * self TH_UNUSED, \
				      const FIXTURE_VARIANT(fix) *        \
					      variant TH_UNUSED)

#define FIXTURE_VARIANT_ADD(fix, var)                                    \
	static const FIXTURE_VARIANT(fix) th_variant_##fix##_##var;      \
	static struct th_variant th_variant_obj_##fix##_##var = {        \
		.name = #var,                                            \
		.data = &th_variant_##fix##_##var,                       \
	};                                                               \
	TH_CTOR th_ctor_variant_##fix##_##var(void)                      \
	{                                                                \
		th_add_variant(&th_fixture_##fix,                        \
			       &th_variant_obj_##fix##_##var);           \
	}                                                                \
	static const FIXTURE_VARIANT(fix) th_variant_##fix##_##var =

#define TH_TEST_OBJ(id, test, fix, sig, secs)               \
	static struct th_test th_test_##id = {              \
		.name = #test,                              \
		.fixture = fix,                             \
		.fn = th_wrap_##id,                         \
		.termsig = sig,                             \
		.timeout = secs,                            \
	};                                                  \
	TH_CTOR th_ctor_test_##id(void)                     \
	{                                                   \
		th_add_test(&th_test_##id);                 \
	}

#define TH_TEST(test, sig, secs)                                  \
	static void th_run_##test(void);                          \
	static void th_wrap_##test(void *self TH_UNUSED,          \
				   const void *variant TH_UNUSED) \
	{                                                         \
		th_run_##test();                                  \
	}                                                         \
	TH_TEST_OBJ(test, test, NULL, sig, secs)                  \
	static void th_run_##test(void)

#define TH_TEST_F(fix, test, sig, secs)                                       \
	static void th_run_##fix##_##test(FIXTURE_DATA(fix) * self,           \
					  const FIXTURE_VARIANT(fix) *        \
						  variant);                   \
	static void th_wrap_##fix##_##test(void *self, const void *variant)   \
	{                                                                     \
		th_run_##fix##_##test(self, variant);                         \
	}                                                                     \
	TH_TEST_OBJ(fix##_##test, test, &th_fixture_##fix, sig, secs)         \
	static void th_run_##fix##_##test(FIXTURE_DATA(fix) * self TH_UNUSED, \
					  const FIXTURE_VARIANT(fix) *        \
						  variant TH_UNUSED)

#define TEST(test) TH_TEST(test, 0, TEST_TIMEOUT)
#define TEST_SIGNAL(test, sig) TH_TEST(test, sig, TEST_TIMEOUT)
#define TEST_TIMEOUT_F(test, secs) TH_TEST(test, 0, secs)
#define TEST_F(fix, test) TH_TEST_F(fix, test, 0, TEST_TIMEOUT)
#define TEST_F_SIGNAL(fix, test, sig) TH_TEST_F(fix, test, sig, TEST_TIMEOUT)
#define TEST_F_TIMEOUT(fix, test, secs) TH_TEST_F(fix, test, 0, secs)

/* Checks. */

static TH_UNUSED __attribute__((format(printf, 3, 4))) void
th_log(const char *file, int line, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	char msg[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	printf("# %s:%d:%s: %s\n", base ? base + 1 : file, line,
	       th_state.current ? th_state.current : "-", msg);
	fflush(stdout);
}

#define TH_LOG(...) th_log(__FILE__, __LINE__, __VA_ARGS__)

static TH_UNUSED void th_fail(bool fatal)
{
	if (th_state.result)
		__atomic_store_n(&th_state.result->failed, true,
				 __ATOMIC_SEQ_CST);
	if (!fatal)
		return;
	fflush(stdout);
	if (getpid() != th_state.pid)
		_exit(TH_FAIL);
	if (syscall(SYS_gettid) != th_state.tid)
		pthread_exit(NULL);
	siglongjmp(th_state.escape, 1);
}

#define SKIP(statement, ...)                                             \
	do {                                                             \
		__atomic_store_n(&th_state.result->skipped, true,        \
				 __ATOMIC_SEQ_CST);                      \
		snprintf(th_state.result->reason,                        \
			 sizeof(th_state.result->reason), __VA_ARGS__);  \
		statement;                                               \
	} while (0)

struct th_val {
	intmax_t v;
	bool is_signed;
};

/* The conditional makes bit fields and arrays fit for typeof. */
#define TH_TYPE(x) __typeof__(1 ? (x) : (x))
#define TH_VAL(x)                                                     \
	__extension__({                                               \
		TH_TYPE(x) th_x = (x);                                \
		(struct th_val){ (intmax_t)th_x,                      \
				 (TH_TYPE(x))-1 < (TH_TYPE(x))1 };    \
	})

static TH_UNUSED int th_cmp(struct th_val a, struct th_val b)
{
	bool a_neg = a.is_signed && a.v < 0, b_neg = b.is_signed && b.v < 0;
	uintmax_t x = (uintmax_t)a.v, y = (uintmax_t)b.v;

	if (a_neg != b_neg)
		return a_neg ? -1 : 1;
	return x < y ? -1 : x > y;
}

static TH_UNUSED const char *th_str(struct th_val val, char *buf, size_t len)
{
	if (val.is_signed && val.v < 0)
		snprintf(buf, len, "%jd", val.v);
	else
		snprintf(buf, len, "%ju = 0x%jx", (uintmax_t)val.v,
			 (uintmax_t)val.v);
	return buf;
}

static TH_UNUSED void th_log_num(const char *file, int line, const char *exp,
				 struct th_val e, const char *op,
				 const char *seen, struct th_val s)
{
	char a[64], b[64];

	th_log(file, line, "Expected %s (%s) %s %s (%s)", exp,
	       th_str(e, a, sizeof(a)), op, seen, th_str(s, b, sizeof(b)));
}

static TH_UNUSED bool th_mem_ok(const char *file, int line, const char *what,
				const void *exp, const void *seen, size_t len)
{
	const unsigned char *e = exp, *s = seen;
	size_t i;

	for (i = 0; i < len && e[i] == s[i]; i++)
		;
	if (i == len)
		return true;
	th_log(file, line, "%s differs at byte %zu of %zu: 0x%02x, 0x%02x",
	       what, i, len, e[i], s[i]);
	return false;
}

static TH_UNUSED bool th_str_ok(const char *file, int line, const char *exp,
				const char *e, const char *seen, const char *s,
				bool equal)
{
	bool same = e && s ? !strcmp(e, s) : e == s;

	if (same == equal)
		return true;
	th_log(file, line, "Expected %s (\"%s\") %s %s (\"%s\")", exp,
	       e ? e : "(null)", equal ? "==" : "!=", seen, s ? s : "(null)");
	return false;
}

/* A statement or a block may follow a check; it runs if the check failed. */
#define TH_CHECK(ok, fatal) \
	for (bool th_bad = !(ok); th_bad; th_bad = false, th_fail(fatal))

#define TH_NUM(exp, es, op, seen, ss, fatal)                                   \
	TH_CHECK(__extension__({                                               \
			 struct th_val th_e = TH_VAL(exp);                     \
			 struct th_val th_s = TH_VAL(seen);                    \
			 bool th_ok = th_cmp(th_e, th_s) op 0;                 \
			 if (!th_ok)                                           \
				 th_log_num(__FILE__, __LINE__, es, th_e, #op, \
					    ss, th_s);                         \
			 th_ok;                                                \
		 }),                                                           \
		 fatal)

#define TH_TRUTH(seen, ss, want, fatal)                                   \
	TH_CHECK(__extension__({                                          \
			 bool th_ok = (!!(seen)) == (want);               \
			 if (!th_ok)                                      \
				 th_log(__FILE__, __LINE__,               \
					"Expected %s to be %s", ss,       \
					(want) ? "true" : "false");       \
			 th_ok;                                           \
		 }),                                                      \
		 fatal)

#define TH_STRING(exp, seen, equal, fatal)                                     \
	TH_CHECK(th_str_ok(__FILE__, __LINE__, #exp, exp, #seen, seen, equal), \
		 fatal)

#define TH_MEM(exp, seen, len, fatal)                                     \
	TH_CHECK(th_mem_ok(__FILE__, __LINE__, #seen, exp, seen, len), fatal)

#define ASSERT_EQ(exp, seen) TH_NUM(exp, #exp, ==, seen, #seen, true)
#define ASSERT_NE(exp, seen) TH_NUM(exp, #exp, !=, seen, #seen, true)
#define ASSERT_LT(exp, seen) TH_NUM(exp, #exp, <, seen, #seen, true)
#define ASSERT_LE(exp, seen) TH_NUM(exp, #exp, <=, seen, #seen, true)
#define ASSERT_GT(exp, seen) TH_NUM(exp, #exp, >, seen, #seen, true)
#define ASSERT_GE(exp, seen) TH_NUM(exp, #exp, >=, seen, #seen, true)
#define ASSERT_TRUE(seen) TH_TRUTH(seen, #seen, true, true)
#define ASSERT_FALSE(seen) TH_TRUTH(seen, #seen, false, true)
#define ASSERT_NULL(seen) TH_NUM((void *)NULL, "NULL", ==, seen, #seen, true)
#define ASSERT_NOT_NULL(seen) \
	TH_NUM((void *)NULL, "NULL", !=, seen, #seen, true)
#define ASSERT_STREQ(exp, seen) TH_STRING(exp, seen, true, true)
#define ASSERT_STRNE(exp, seen) TH_STRING(exp, seen, false, true)
#define ASSERT_MEMEQ(exp, seen, len) TH_MEM(exp, seen, len, true)

#define EXPECT_EQ(exp, seen) TH_NUM(exp, #exp, ==, seen, #seen, false)
#define EXPECT_NE(exp, seen) TH_NUM(exp, #exp, !=, seen, #seen, false)
#define EXPECT_LT(exp, seen) TH_NUM(exp, #exp, <, seen, #seen, false)
#define EXPECT_LE(exp, seen) TH_NUM(exp, #exp, <=, seen, #seen, false)
#define EXPECT_GT(exp, seen) TH_NUM(exp, #exp, >, seen, #seen, false)
#define EXPECT_GE(exp, seen) TH_NUM(exp, #exp, >=, seen, #seen, false)
#define EXPECT_TRUE(seen) TH_TRUTH(seen, #seen, true, false)
#define EXPECT_FALSE(seen) TH_TRUTH(seen, #seen, false, false)
#define EXPECT_NULL(seen) TH_NUM((void *)NULL, "NULL", ==, seen, #seen, false)
#define EXPECT_NOT_NULL(seen) \
	TH_NUM((void *)NULL, "NULL", !=, seen, #seen, false)
#define EXPECT_STREQ(exp, seen) TH_STRING(exp, seen, true, false)
#define EXPECT_STRNE(exp, seen) TH_STRING(exp, seen, false, false)
#define EXPECT_MEMEQ(exp, seen, len) TH_MEM(exp, seen, len, false)

/* The runner. */

extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static TH_UNUSED void th_call(void (*fn)(void *self, const void *variant),
			      void *self, const void *variant)
{
	if (fn && !sigsetjmp(th_state.escape, 1))
		fn(self, variant);
}

static TH_UNUSED void th_body(struct th_test *test, struct th_variant *variant)
{
	const void *data = variant ? variant->data : NULL;
	struct th_fixture *fixture = test->fixture;
	struct th_result *res = th_state.result;
	void *self = NULL;

	th_state.pid = getpid();
	th_state.tid = (pid_t)syscall(SYS_gettid);
	if (!fixture) {
		th_call(test->fn, NULL, NULL);
		return;
	}
	self = calloc(1, fixture->size ? fixture->size : 1);
	th_call(fixture->setup, self, data);
	if (!res->failed && !res->skipped) {
		th_call(test->fn, self, data);
		th_call(fixture->teardown, self, data);
	}
	free(self);
}

static TH_UNUSED void th_on_alarm(int sig)
{
	(void)sig;
	th_timed_out = 1;
}

static TH_UNUSED void th_set_timer(double secs)
{
	struct itimerval it = { 0 };

	it.it_value.tv_sec = (time_t)secs;
	it.it_value.tv_usec = (suseconds_t)((secs - (time_t)secs) * 1e6);
	/* Comes again: the first one may hit before waitpid() sleeps. */
	it.it_interval.tv_usec = secs > 0 ? 200000 : 0;
	setitimer(ITIMER_REAL, &it, NULL);
}

static TH_UNUSED void th_child(struct th_test *test, struct th_variant *variant)
{
	struct th_result *res = th_state.result;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGALRM, SIG_DFL);
	th_body(test, variant);
	fflush(NULL);
	if (res->failed)
		_exit(TH_FAIL);
	if (res->skipped)
		_exit(TH_SKIP);
	if (__lsan_do_recoverable_leak_check &&
	    __lsan_do_recoverable_leak_check()) {
		TH_LOG("memory leaked");
		_exit(TH_FAIL);
	}
	_exit(TH_PASS);
}

/* Waits for the child and whatever it left behind in its group. */
static TH_UNUSED int th_wait(pid_t pid, double secs)
{
	struct sigaction sa = { .sa_handler = th_on_alarm };
	int status = 0;

	th_timed_out = 0;
	sigaction(SIGALRM, &sa, NULL);
	th_set_timer(secs);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
		if (th_timed_out)
			kill(-pid, SIGKILL);
	}
	th_set_timer(0);
	kill(-pid, SIGKILL);
	return status;
}

static TH_UNUSED enum th_exit th_judge(struct th_test *test, int status,
				       double secs)
{
	struct th_result *res = th_state.result;
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (sig == SIGKILL && th_timed_out) {
		printf("# %s: timed out after %g s\n", th_state.current, secs);
		return TH_FAIL;
	}
	if (sig != test->termsig) {
		printf("# %s: %s %d (%s)\n", th_state.current,
		       sig ? "killed by signal" : "did not die of signal",
		       sig ? sig : test->termsig,
		       strsignal(sig ? sig : test->termsig));
		return TH_FAIL;
	}
	if (res->failed)
		return TH_FAIL;
	if (!sig && WEXITSTATUS(status) != TH_PASS &&
	    WEXITSTATUS(status) != TH_SKIP) {
		printf("# %s: exit status %d\n", th_state.current,
		       WEXITSTATUS(status));
		return TH_FAIL;
	}
	return res->skipped ? TH_SKIP : TH_PASS;
}

static TH_UNUSED enum th_exit th_run_forked(struct th_test *test,
					    struct th_variant *variant)
{
	double secs = test->timeout * th_state.scale;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		printf("# fork: %s\n", strerror(errno));
		return TH_FAIL;
	}
	if (!pid)
		th_child(test, variant);
	setpgid(pid, pid);
	return th_judge(test, th_wait(pid, secs), secs);
}

static TH_UNUSED void th_run_one(struct th_test *test,
				 struct th_variant *variant, const char *name)
{
	struct th_result *res = th_state.result;
	enum th_exit how;

	memset(res, 0, sizeof(*res));
	th_state.current = name;
	if (th_state.no_fork) {
		th_body(test, variant);
		how = res->failed ? TH_FAIL : res->skipped ? TH_SKIP : TH_PASS;
	} else {
		how = th_run_forked(test, variant);
	}
	th_state.passed += how == TH_PASS;
	th_state.failed += how == TH_FAIL;
	th_state.skipped += how == TH_SKIP;
	printf("%sok %d - %s%s%s\n", how == TH_FAIL ? "not " : "",
	       ++th_state.nr, name, how == TH_SKIP ? " # SKIP " : "",
	       how == TH_SKIP ? res->reason : "");
	fflush(stdout);
}

static TH_UNUSED bool th_wanted(const char *name)
{
	int i;

	if (!th_state.nr_patterns)
		return true;
	for (i = 0; i < th_state.nr_patterns; i++) {
		const char *pat = th_state.patterns[i];
		size_t len = strlen(pat);

		if (!fnmatch(pat, name, 0))
			return true;
		if (!strncmp(pat, name, len) && name[len] == '.')
			return true;
	}
	return false;
}

typedef void th_visit(struct th_test *test, struct th_variant *variant,
		      const char *name);

/* Calls visit, if there is one, for each test that is wanted. */
static TH_UNUSED int th_each(th_visit *visit)
{
	struct th_test *test;
	int nr = 0;

	for (test = th_state.tests; test; test = test->next) {
		struct th_fixture *fixture = test->fixture;
		struct th_variant *var = fixture ? fixture->variants : NULL;

		do {
			char name[512];

			snprintf(name, sizeof(name), "%s%s%s%s%s",
				 fixture ? fixture->name : "",
				 fixture ? "." : "", var ? var->name : "",
				 var ? "." : "", test->name);
			if (th_wanted(name)) {
				nr++;
				if (visit)
					visit(test, var, name);
			}
			var = var ? var->next : NULL;
		} while (var);
	}
	return nr;
}

static TH_UNUSED void th_print(struct th_test *test, struct th_variant *variant,
			       const char *name)
{
	(void)test;
	(void)variant;
	puts(name);
}

/* Returns -1 to go on, or the exit status. */
static TH_UNUSED int th_options(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "hlnr:")) != -1) {
		switch (opt) {
		case 'l':
			th_each(th_print);
			return TH_PASS;
		case 'n':
			th_state.no_fork = true;
			break;
		case 'r':
			if (th_state.nr_patterns == 64)
				return TH_FAIL;
			th_state.patterns[th_state.nr_patterns++] = optarg;
			break;
		default:
			fprintf(opt == 'h' ? stdout : stderr,
				"usage: %s [-l] [-n] [-r NAME]...\n", argv[0]);
			return opt == 'h' ? TH_PASS : TH_FAIL;
		}
	}
	return -1;
}

static TH_UNUSED int th_main(int argc, char **argv)
{
	const char *scale = getenv("KSSH_TEST_TIMEOUT_SCALE");
	int nr, err;

	err = th_options(argc, argv);
	if (err >= 0)
		return err;
	th_state.scale = scale && atof(scale) > 0 ? atof(scale) : 1;
	th_state.result = mmap(NULL, sizeof(*th_state.result),
			       PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (th_state.result == MAP_FAILED)
		return TH_FAIL;
	nr = th_each(NULL);
	printf("TAP version 13\n1..%d\n", nr);
	if (!nr && th_state.nr_patterns) {
		printf("# no test has this name\n");
		return TH_FAIL;
	}
	th_each(th_run_one);
	printf("# %d passed, %d failed, %d skipped\n", th_state.passed,
	       th_state.failed, th_state.skipped);
	munmap(th_state.result, sizeof(*th_state.result));
	if (th_state.failed)
		return TH_FAIL;
	return th_state.skipped == nr && nr ? TH_SKIP : TH_PASS;
}

#define TEST_HARNESS_MAIN                       \
	int main(int argc, char **argv)         \
	{                                       \
		return th_main(argc, argv);     \
	}

#endif
