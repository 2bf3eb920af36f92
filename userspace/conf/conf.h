/* SPDX-License-Identifier: MIT */
/* Configuration: sshd_config(5) syntax, the keywords we have. */
#ifndef KSSH_CONF_CONF_H
#define KSSH_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/log.h"

enum data_path {
	DATA_PATH_AUTO,
	DATA_PATH_KERNEL,
	DATA_PATH_USER,
};

/* From the peer, and to it. */
enum { CONF_RX, CONF_TX, CONF_DIRS };

#define CONF_LISTEN_MAX		16
#define CONF_HOST_KEYS_MAX	8
#define CONF_AUTHKEYS_MAX	4
#define CONF_SUBSYSTEMS_MAX	8
#define CONF_EXEC_STDIO_MAX	64
#define CONF_KEYWORDS_MAX	96

struct conf_listen {
	char *host;  /* NULL: every address */
	char *port;  /* NULL: the Port keyword's */
};

struct conf_subsystem {
	char *name;
	char *command;  /* conf_is_sftp(): served in-process */
	bool given;  /* since the last conf_copy() */
};

/* A line behind the first Match. */
struct conf_match_line {
	char *text;
	unsigned int number;
};

/**
 * struct conf_match - blocks of lines that count for some connections
 * @lines: Match lines and those they belong to, as they are written
 * @n: how many
 * @file: where they are from
 * @open: inside a block: all do that is read; for a connection, it applies
 * @by_group: the block depends on groups
 */
struct conf_match {
	struct conf_match_line *lines;
	unsigned int n;
	char *file;
	bool open;
	bool by_group;
};

/* Whether commands that match @pattern get the channel's sockets. */
struct conf_exec_stdio {
	char *pattern;
	bool direct;
};

struct conf {
	char *ports[CONF_LISTEN_MAX];
	unsigned int n_ports;
	struct conf_listen listen[CONF_LISTEN_MAX];
	unsigned int n_listen;
	int address_family; /* AF_UNSPEC: both */
	bool tcp_keep_alive;
	char *host_keys[CONF_HOST_KEYS_MAX];
	unsigned int n_host_keys; /* 0: the default files */
	char *authorized_keys[CONF_AUTHKEYS_MAX];
	unsigned int n_authorized_keys;
	char *ciphers;  /* resolved name-lists */
	char *macs;
	char *kex;
	uint64_t rekey_bytes; /* 0: default of the cipher */
	uint32_t rekey_seconds; /* 0: none */
	uint64_t connection_rate[CONF_DIRS]; /* bytes per second, 0: any */
	uint64_t user_rate[CONF_DIRS]; /* of all connections of a user */
	struct conf_subsystem subsystems[CONF_SUBSYSTEMS_MAX];
	unsigned int n_subsystems;
	char *force_command; /* NULL: none */
	char *chroot_directory; /* with %-tokens; NULL: none */
	struct conf_exec_stdio exec_stdio[CONF_EXEC_STDIO_MAX];
	unsigned int n_exec_stdio;
	enum log_level log_level;
	int syslog_facility;
	enum data_path data_path;
	uint32_t login_grace_time; /* seconds, 0: none */
	unsigned int max_startups; /* unauthenticated connections */
	unsigned int max_startups_begin; /* refuse at random from here */
	unsigned int max_startups_rate; /* percent refused there */
	unsigned int max_auth_tries;
	int permit_root_login; /* 0 or 1 */
	bool strict_modes;
	uint32_t client_alive_interval; /* seconds, 0: off */
	unsigned int client_alive_count_max;
	char *pid_file; /* NULL: none */
	/* which keywords are given, by row of the table in conf.c */
	uint8_t seen[CONF_KEYWORDS_MAX];
	struct conf_match match;
};

/*
 * The order is conf_init(), conf_set() for each -o (the first value of a
 * keyword wins), conf_load(), and conf_free() in any case.
 */
void conf_init(struct conf *conf);
/* "Keyword=value" or "Keyword value". 0 or -errno after a log line. */
int conf_set(struct conf *conf, const char *assignment);
/*
 * Read @path (NULL: no file) into @conf, then fill in the defaults. 0, or
 * -errno after one log line per fault:
 * "FILE line N: KEYWORD: what is wrong and what to do".
 */
int conf_load(struct conf *conf, const char *path);
void conf_free(struct conf *conf);

/* conf_match.c */
/**
 * struct conf_peer - what Match looks at
 * @user: who wants to log in
 * @groups: names of that user's groups
 * @n_groups: how many
 * @addr: numeric address of the client
 * @local_addr: numeric address it connected to
 * @local_port: port it connected to
 */
struct conf_peer {
	const char *user;
	char *const *groups;
	unsigned int n_groups;
	const char *addr;
	const char *local_addr;
	unsigned int local_port;
};

/*
 * The configuration for this peer: @base, and over it the lines of the Match
 * blocks that apply; the first of them that has a keyword wins. 0, and
 * conf_free() is due for @conf; or -errno.
 */
int conf_for_peer(struct conf *conf, const struct conf *base,
		  const struct conf_peer *peer);

/* Allocated; relative names begin where the process is. NULL: no memory. */
char *conf_absolute(const char *path);

/* A word of LogLevel, or SyslogFacility; -1: not one. */
int conf_log_level(const char *word);
int conf_facility(const char *word);

/* conf_sftp.c */
struct sftp_options;
/* "internal-sftp", with or without options */
bool conf_is_sftp(const char *command);
/*
 * Its options. @command is cut, and must stay as long as they do; the start
 * directory has its %-tokens still. 0, or -EINVAL with what is wrong in @why.
 */
int conf_sftp_options(struct sftp_options *options, char *command, char *why,
		      size_t why_len);
/* Does ExecStdio say direct for @command? The first pattern that fits decides. */
bool conf_exec_direct(const struct conf *conf, const char *command);

/* The DataPath value as it is written. */
const char *conf_data_path_name(enum data_path path);

#endif
