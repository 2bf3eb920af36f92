/* SPDX-License-Identifier: MIT */
/* authorized_keys files: sshd(8), AUTHORIZED_KEYS FILE FORMAT. */
#ifndef KSSH_AUTH_AUTHORIZED_KEYS_H
#define KSSH_AUTH_AUTHORIZED_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "auth/account.h"
#include "conf/conf.h"

#define AUTHKEY_LINE_MAX	(32 * 1024)
#define AUTHKEY_COMMAND_MAX	(8 * 1024)
#define AUTHKEY_OPTION_MAX	64

/* What the options forbid. */
#define AUTHKEY_NO_PTY			(1 << 0)
#define AUTHKEY_NO_PORT_FORWARDING	(1 << 1)
#define AUTHKEY_NO_AGENT_FORWARDING	(1 << 2)
#define AUTHKEY_NO_X11_FORWARDING	(1 << 3)
#define AUTHKEY_NO_USER_RC		(1 << 4)
#define AUTHKEY_RESTRICT                                           \
	(AUTHKEY_NO_PTY | AUTHKEY_NO_PORT_FORWARDING |             \
	 AUTHKEY_NO_AGENT_FORWARDING | AUTHKEY_NO_X11_FORWARDING | \
	 AUTHKEY_NO_USER_RC)

/**
 * struct authorized_key - a line that holds a key
 * @blob: the key
 * @blob_len: its length
 * @flags: AUTHKEY_NO_*
 * @command: of the command="" option, or NULL
 * @bad_option: an option that would restrict the key in a way we do not have,
 *	or that is malformed: the key must not be used. Printable; else empty
 */
struct authorized_key {
	uint8_t *blob;
	size_t blob_len;
	unsigned int flags;
	char *command;
	char bad_option[AUTHKEY_OPTION_MAX];
};

/* authorized_keys.c: pure */
/*
 * Parse one line, without its line feed. 0; -ENOENT blank or comment;
 * -EOPNOTSUPP not a type of key that we have; -EINVAL malformed. After 0
 * authorized_key_free() is due.
 */
int authorized_key_parse(struct authorized_key *key, const char *line,
			 size_t len);
void authorized_key_free(struct authorized_key *key);

/* authorized_keys_file.c: as the user */
/**
 * struct authkey_match - what the files say about a key
 * @found: the key may be used
 * @flags: AUTHKEY_NO_*
 * @command: forced command, or NULL
 * @line: line of the file
 * @file: name of the file; empty when nothing is to be told
 * @complaint: why a line, or a file, could not be used; printable, or empty
 */
struct authkey_match {
	bool found;
	unsigned int flags;
	char *command;
	uint32_t line;
	char file[256];
	char complaint[256];
};

/*
 * Look for @blob in the AuthorizedKeysFile files of @account. The process has
 * the user's rights already. 0, also when it is not found, or -errno.
 */
int authorized_keys_search(struct authkey_match *match, const struct conf *conf,
			   const struct account *account, const uint8_t *blob,
			   size_t blob_len);
void authkey_match_free(struct authkey_match *match);
/* %h, %u, %U and %% in @pattern; what is relative begins at home. */
char *authorized_keys_path(const char *pattern, const struct account *account);
/*
 * StrictModes: the open file and each directory above it, up to the home (or
 * the root), belong to root or the user and nobody else may write there. 0, or
 * -EPERM with *why told.
 */
int authorized_keys_check_modes(int fd, const char *path,
				const struct account *account, char *why,
				size_t why_len);

#endif
