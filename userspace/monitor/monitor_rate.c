// SPDX-License-Identifier: MIT
/*
 * UserRateLimit: the meters of a user are a page that all the connections of
 * that user map. Nobody else has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel/rate.h"
#include "lib/log.h"
#include "monitor/monitor_impl.h"

#define RATE_DIR	"/run/ksshd-rate"
#define METERS_LEN	(CONF_DIRS * sizeof(struct rate_meter))

static int open_dir(void)
{
	struct stat st;
	int fd;

	if (mkdir(RATE_DIR, 0700) && errno != EEXIST)
		return -errno;
	fd = open(RATE_DIR, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && !st.st_uid && !(st.st_mode & 022))
		return fd;
	close(fd);
	return -EPERM;
}

static int open_meters(uid_t uid)
{
	int dir = open_dir();
	char name[16];
	int fd;

	if (dir < 0)
		return dir;
	snprintf(name, sizeof(name), "%u", uid);
	fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = -errno;
	close(dir);
	return fd;
}

static int map_meters(uid_t uid, struct rate_meter **meters)
{
	int fd = open_meters(uid);
	int err = 0;

	if (fd < 0)
		return fd;
	*meters = MAP_FAILED;
	if (!ftruncate(fd, METERS_LEN))
		*meters = mmap(NULL, METERS_LEN, PROT_READ | PROT_WRITE,
			       MAP_SHARED, fd, 0);
	if (*meters == MAP_FAILED)
		err = -errno;
	close(fd);
	return err;
}

struct rate_meter *monitor_user_meters(const struct conf *conf, uid_t uid)
{
	struct rate_meter *meters;
	int err;

	if (!conf->user_rate[CONF_RX] && !conf->user_rate[CONF_TX])
		return NULL;
	err = map_meters(uid, &meters);
	if (!err)
		return meters;
	log_error(
		"UserRateLimit: cannot use %s/%u: %s: each connection has the rate by itself",
		RATE_DIR, uid, strerror(-err));
	meters = mmap(NULL, METERS_LEN, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return meters == MAP_FAILED ? NULL : meters;
}
