// SPDX-License-Identifier: MIT
/* What is opened and closed, in the words that tools know from OpenSSH. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "file/sftp_server.h"
#include "lib/log.h"
#include "lib/mem.h"

static const struct {
	int flag;
	const char *name;
} flag_names[] = {
	{ O_APPEND, ",APPEND" },
	{ O_CREAT, ",CREATE" },
	{ O_TRUNC, ",TRUNCATE" },
	{ O_EXCL, ",EXCL" },
};

static void flags_text(char *text, size_t len, int flags)
{
	int how = flags & O_ACCMODE;
	size_t i;

	snprintf(text, len, "%s",
		 how == O_RDWR	 ? "READ,WRITE" :
		 how == O_WRONLY ? "WRITE" :
				   "READ");
	for (i = 0; i < ARRAY_SIZE(flag_names); i++)
		if (flags & flag_names[i].flag)
			strncat(text, flag_names[i].name,
				len - strlen(text) - 1);
}

/* Without memory for its name there is no line for it. */
static bool keep_name(struct sftp *sftp, struct sftp_handle *handle,
		      const char *path)
{
	char shown[512];

	if (sftp->log_level < LOG_LEVEL_INFO)
		return false;
	log_escape(shown, sizeof(shown), path, strlen(path));
	handle->name = strdup(shown);
	return handle->name;
}

void sftp_log_open(struct sftp *sftp, struct sftp_handle *handle,
		   const char *path, mode_t mode)
{
	char flags[64];

	if (!keep_name(sftp, handle, path))
		return;
	flags_text(flags, sizeof(flags), handle->open_flags);
	log_info("open \"%s\" flags %s mode 0%o", handle->name, flags, mode);
}

void sftp_log_opendir(struct sftp *sftp, struct sftp_handle *handle,
		      const char *path)
{
	if (keep_name(sftp, handle, path))
		log_info("opendir \"%s\"", handle->name);
}

void sftp_log_close(const struct sftp_handle *handle, bool forced)
{
	const char *how = forced ? "forced " : "";

	if (!handle->name)
		return;
	if (handle->kind == SFTP_HANDLE_DIR)
		log_info("%sclosedir \"%s\"", how, handle->name);
	else
		log_info("%sclose \"%s\" bytes read %llu written %llu", how,
			 handle->name, (unsigned long long)handle->bytes_read,
			 (unsigned long long)handle->bytes_written);
}
