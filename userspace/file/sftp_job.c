// SPDX-License-Identifier: MIT
/*
 * Requests that may take long: a part in each turn of the loop, so that other
 * channels and a key exchange go on. The requests behind one wait for it.
 */
#include <errno.h>
#include "file/sftp_server.h"

int sftp_job_start(struct sftp *sftp, uint32_t req_id,
		   int (*step)(struct sftp *sftp),
		   void (*end)(struct sftp *sftp))
{
	sftp->job.step = step;
	sftp->job.end = end;
	sftp->job.req_id = req_id;
	return SFTP_ANSWERED;
}

void sftp_job_end(struct sftp *sftp)
{
	if (sftp->job.step && sftp->job.end)
		sftp->job.end(sftp);
	sftp->job.step = NULL;
}

int sftp_job_go(struct sftp *sftp)
{
	int err;

	do {
		/* Also behind the last one: a turn may have many short jobs. */
		channel_again(sftp->ch);
		if (sftp->work >= SFTP_TURN_MAX)
			return -EAGAIN;
		err = sftp->job.step(sftp);
	} while (err == -EINPROGRESS);
	sftp->work += SFTP_JOB_COST;
	err = sftp_reply_errno(sftp, sftp->job.req_id, err);
	sftp_job_end(sftp);
	return err == SFTP_ANSWERED ? 0 : err;
}
