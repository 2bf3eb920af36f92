/* SPDX-License-Identifier: MIT */
/* Disks that are as slow as a test says, for the server's eyes. */
#ifndef KSSH_TESTS_SLOW_DISK_H
#define KSSH_TESTS_SLOW_DISK_H

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* In front of libc's: the page cache has what the test says. */
static bool cold;
static bool cold_at_random;
static unsigned int asked;

ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	asked++;
	if (cold_at_random ? rand() % 2 : cold) {
		errno = EAGAIN;
		return -1;
	}
	return preadv(fd, iov, n, off);
}

/* And the disk is so slow, by the clock that the server looks at. */
static bool slow;
static unsigned int in_place;
static time_t clock_s;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_MONOTONIC_COARSE)
		return syscall(SYS_clock_gettime, id, ts);
	*ts = (struct timespec){ .tv_sec = clock_s };
	return 0;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
	struct iovec iov = { .iov_base = (void *)p, .iov_len = n };

	in_place++;
	clock_s += slow;
	return pwritev(fd, &iov, 1, off);
}

#endif
