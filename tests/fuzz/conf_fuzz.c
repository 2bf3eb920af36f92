// SPDX-License-Identifier: MIT
/* A configuration file. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct conf conf;
	char path[64];
	int fd;

	log_open("fuzz", LOG_LEVEL_QUIET, true);
	fd = memfd_create("conf", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	conf_init(&conf);
	conf_load(&conf, path);
	conf_free(&conf);
	close(fd);
	return 0;
}
