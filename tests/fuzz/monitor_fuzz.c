// SPDX-License-Identifier: MIT
/*
 * The monitor, asked by an auth process that was taken over: first byte the
 * state, then requests: type, 16-bit length, body.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "monitor/monitor_impl.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct conf conf;
static struct host_keys host_keys;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_open("fuzz", LOG_LEVEL_QUIET, true);
	conf_init(&conf);
	if (conf_load(&conf, NULL))
		abort();
	return 0;
}

static void ask(struct monitor *mon, uint8_t type, const uint8_t *body,
		size_t len)
{
	struct buf in, out;
	uint8_t ans;

	/* forks: a test of its own */
	if (type == MON_REQ_KEY_ALLOWED)
		return;
	buf_init(&in, MON_MSG_MAX);
	buf_init(&out, MON_MSG_MAX);
	buf_put_raw(&in, body, len);
	if (!monitor_answer(mon, type, &in, &ans, &out) && ans &&
	    ans != type + 1)
		abort();
	buf_free(&in);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct monitor_args args = {
		.tcp_fd = -1,
		.startup_fd = -1,
		.conf = &conf,
		.host_keys = &host_keys,
	};
	struct monitor mon;
	size_t n;

	if (!len)
		return 0;
	monitor_init(&mon, &args);
	mon.state = 1U << (*data & 3);
	/* else an export could never be taken */
	if (*data & 4) {
		mon.session_id_len = 32;
		memset(mon.session_id, 'h', 32);
	}
	data++;
	len--;
	while (len >= 3) {
		n = data[1] << 8 | data[2];
		if (n > len - 3)
			n = len - 3;
		ask(&mon, data[0], data + 3, n);
		data += 3 + n;
		len -= 3 + n;
	}
	/* nobody gets in without a key that was allowed */
	if (mon.allowed_len)
		abort();
	monitor_exit(&mon);
	return 0;
}
