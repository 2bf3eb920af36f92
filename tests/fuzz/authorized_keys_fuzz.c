// SPDX-License-Identifier: MIT
/* A line of authorized_keys, which users write. */
#include <stdlib.h>
#include <string.h>

#include "auth/authorized_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct authorized_key key;

	if (authorized_key_parse(&key, (const char *)data, len))
		return 0;
	/* what was taken is a blob that names its type, within bounds */
	if (!key.blob || key.blob_len < 5 || key.blob_len > AUTHKEY_LINE_MAX ||
	    (key.command && strlen(key.command) > AUTHKEY_COMMAND_MAX) ||
	    strlen(key.bad_option) >= sizeof(key.bad_option))
		abort();
	authorized_key_free(&key);
	return 0;
}
