// SPDX-License-Identifier: MIT
/* The configuration: a table of keywords, a file, the defaults. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "conf/conf_impl.h"
#include "kex/kex.h"
#include "lib/mem.h"

#define GRACE_DEFAULT		120
#define STARTUPS_DEFAULT	100
#define TRIES_DEFAULT		6
#define ALIVE_COUNT_DEFAULT	3
#define PID_FILE_DEFAULT	"/run/ksshd.pid"

enum { SEEN_NO, SEEN_FILE, SEEN_COMMAND_LINE };

static const struct conf_choice data_paths[] = {
	{ "auto", DATA_PATH_AUTO },
	{ "kernel", DATA_PATH_KERNEL },
	{ "user", DATA_PATH_USER },
	{ NULL, 0 },
};

static const struct conf_choice log_levels[] = {
	{ "QUIET", LOG_LEVEL_QUIET },
	{ "FATAL", LOG_LEVEL_FATAL },
	{ "ERROR", LOG_LEVEL_ERROR },
	{ "INFO", LOG_LEVEL_INFO },
	{ "VERBOSE", LOG_LEVEL_VERBOSE },
	{ "DEBUG", LOG_LEVEL_DEBUG1 },
	{ "DEBUG1", LOG_LEVEL_DEBUG1 },
	{ "DEBUG2", LOG_LEVEL_DEBUG2 },
	{ "DEBUG3", LOG_LEVEL_DEBUG3 },
	{ NULL, 0 },
};

static const struct conf_choice facilities[] = {
	{ "DAEMON", LOG_DAEMON },
	{ "USER", LOG_USER },
	{ "AUTH", LOG_AUTH },
	{ "AUTHPRIV", LOG_AUTHPRIV },
	{ "LOCAL0", LOG_LOCAL0 },
	{ "LOCAL1", LOG_LOCAL1 },
	{ "LOCAL2", LOG_LOCAL2 },
	{ "LOCAL3", LOG_LOCAL3 },
	{ "LOCAL4", LOG_LOCAL4 },
	{ "LOCAL5", LOG_LOCAL5 },
	{ "LOCAL6", LOG_LOCAL6 },
	{ "LOCAL7", LOG_LOCAL7 },
	{ NULL, 0 },
};

static const struct conf_choice families[] = {
	{ "any", AF_UNSPEC },
	{ "inet", AF_INET },
	{ "inet6", AF_INET6 },
	{ NULL, 0 },
};

/* publickey is the only method, so the three that allow it are one */
static const struct conf_choice root_logins[] = {
	{ "yes", true },
	{ "prohibit-password", true },
	{ "without-password", true },
	{ "no", false },
	{ NULL, 0 },
};

static const enum kex_list list_kex = KEX_LIST_KEX;
static const enum kex_list list_ciphers = KEX_LIST_CIPHERS;
static const enum kex_list list_macs = KEX_LIST_MACS;

static int parse_unsupported(struct conf_line *line,
			     const struct conf_keyword *kw)
{
	return conf_fault(line, "%s", (const char *)kw->arg);
}

#define FIELD(name)	offsetof(struct conf, name)

static const struct conf_keyword keywords[] = {
	/* values we use */
	{ "AcceptEnv", conf_parse_accept_env, 0, NULL, CONF_MULTI | CONF_IN_MATCH },
	{ "AddressFamily", conf_parse_choice, FIELD(address_family), families,
	  0 },
	{ "AuthorizedKeysFile", conf_parse_auth_keys, 0, NULL, CONF_IN_MATCH },
	{ "ChrootDirectory", conf_parse_chroot, FIELD(chroot_directory), NULL, CONF_IN_MATCH },
	{ "Ciphers", conf_parse_names, FIELD(ciphers), &list_ciphers, 0 },
	{ "ClientAliveCountMax", conf_parse_count,
	  FIELD(client_alive_count_max), NULL, CONF_IN_MATCH },
	{ "ClientAliveInterval", conf_parse_time, FIELD(client_alive_interval),
	  NULL, CONF_IN_MATCH },
	{ "ConnectionRateLimit", conf_parse_rate, FIELD(connection_rate), NULL,
	  CONF_IN_MATCH },
	{ "DataPath", conf_parse_choice, FIELD(data_path), data_paths, CONF_IN_MATCH },
	{ "ExecStdio", conf_parse_exec_stdio, 0, NULL, CONF_MULTI },
	{ "ForceCommand", conf_parse_force, FIELD(force_command), NULL, CONF_IN_MATCH },
	{ "HostKey", conf_parse_host_key, 0, NULL, CONF_MULTI },
	{ "KexAlgorithms", conf_parse_names, FIELD(kex), &list_kex, 0 },
	{ "ListenAddress", conf_parse_listen, 0, NULL, CONF_MULTI },
	{ "LogLevel", conf_parse_choice, FIELD(log_level), log_levels,
	  CONF_IN_MATCH },
	{ "LoginGraceTime", conf_parse_time, FIELD(login_grace_time), NULL, 0 },
	{ "MACs", conf_parse_names, FIELD(macs), &list_macs, 0 },
	{ "MaxAuthTries", conf_parse_count, FIELD(max_auth_tries), NULL,
	  CONF_IN_MATCH },
	{ "MaxStartups", conf_parse_startups, 0, NULL, 0 },
	{ "PermitRootLogin", conf_parse_choice, FIELD(permit_root_login),
	  root_logins, CONF_IN_MATCH },
	{ "PidFile", conf_parse_file, FIELD(pid_file), NULL, 0 },
	{ "Port", conf_parse_port, 0, NULL, CONF_MULTI },
	{ "RekeyLimit", conf_parse_rekey, 0, NULL, CONF_IN_MATCH },
	{ "StrictModes", conf_parse_flag, FIELD(strict_modes), NULL, 0 },
	{ "Subsystem", conf_parse_subsystem, 0, NULL, CONF_MULTI | CONF_IN_MATCH },
	{ "SyslogFacility", conf_parse_choice, FIELD(syslog_facility),
	  facilities, 0 },
	{ "TCPKeepAlive", conf_parse_flag, FIELD(tcp_keep_alive), NULL, 0 },
	{ "UserRateLimit", conf_parse_rate, FIELD(user_rate), NULL, CONF_IN_MATCH },
	/* values which say what we do anyway */
	{ "AllowAgentForwarding", conf_parse_only, 0, "no", CONF_IN_MATCH },
	{ "AllowStreamLocalForwarding", conf_parse_only, 0, "no", CONF_IN_MATCH },
	{ "AllowTcpForwarding", conf_parse_only, 0, "no", CONF_IN_MATCH },
	{ "AuthenticationMethods", conf_parse_only, 0, "publickey any", CONF_IN_MATCH },
	{ "Banner", conf_parse_only, 0, "none", CONF_IN_MATCH },
	{ "ChallengeResponseAuthentication", conf_parse_only, 0, "no", CONF_IN_MATCH },
	{ "Compression", conf_parse_only, 0, "no", 0 },
	{ "GSSAPIAuthentication", conf_parse_only, 0, "no", CONF_IN_MATCH },
	{ "GatewayPorts", conf_parse_only, 0, "no", CONF_IN_MATCH },
	{ "HostbasedAuthentication", conf_parse_only, 0, "no", CONF_IN_MATCH },
	{ "IgnoreRhosts", conf_parse_only, 0, "yes", CONF_IN_MATCH },
	{ "KbdInteractiveAuthentication", conf_parse_only, 0, "no", CONF_IN_MATCH },
	{ "KerberosAuthentication", conf_parse_only, 0, "no", CONF_IN_MATCH },
	{ "PasswordAuthentication", conf_parse_only, 0, "no", CONF_IN_MATCH },
	{ "PermitEmptyPasswords", conf_parse_only, 0, "no", CONF_IN_MATCH },
	{ "PermitTTY", conf_parse_only, 0, "no", CONF_IN_MATCH },
	{ "PermitTunnel", conf_parse_only, 0, "no", CONF_IN_MATCH },
	{ "PermitUserEnvironment", conf_parse_only, 0, "no", 0 },
	{ "PermitUserRC", conf_parse_only, 0, "no", CONF_IN_MATCH },
	{ "PrintLastLog", conf_parse_only, 0, "no", 0 },
	{ "PrintMotd", conf_parse_only, 0, "no", 0 },
	{ "PubkeyAuthentication", conf_parse_only, 0, "yes", CONF_IN_MATCH },
	{ "UseDNS", conf_parse_only, 0, "no", 0 },
	{ "UsePAM", conf_parse_only, 0, "no", 0 },
	{ "X11Forwarding", conf_parse_only, 0, "no", CONF_IN_MATCH },
	/* what would change the meaning of other lines */
	{ "Include", parse_unsupported, 0,
	  "not supported: put the lines into this file", CONF_MULTI },
	{ "Match", conf_parse_match, 0, NULL, CONF_MULTI },
};

_Static_assert(ARRAY_SIZE(keywords) <= CONF_KEYWORDS_MAX, "struct conf.seen");

static const struct conf_keyword *find_keyword(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keywords); i++)
		if (!strcasecmp(keywords[i].name, name))
			return &keywords[i];
	return NULL;
}

static int take_words(struct conf_line *line)
{
	const struct conf_keyword *kw;
	uint8_t *seen;
	int err;

	kw = find_keyword(line->keyword);
	if (!kw)
		return conf_fault(
			line, "not a keyword, or one that is not supported");
	line->keyword = kw->name;
	if (kw->parse == conf_parse_match)
		return kw->parse(line, kw);
	if (line->conf->match.open && !line->peer)
		return conf_match_check(line, kw);
	if (line->peer && !line->conf->match.open)
		return 0;
	seen = &line->conf->seen[kw - keywords];
	line->taken = *seen && !(kw->flags & CONF_MULTI);
	/* the command line's ports hide those of the file */
	if (line->file && kw->parse == conf_parse_port &&
	    *seen == SEEN_COMMAND_LINE)
		line->taken = true;
	err = kw->parse(line, kw);
	if (!*seen)
		*seen = line->file ? SEEN_FILE : SEEN_COMMAND_LINE;
	return err;
}

int conf_take_line(struct conf_line *line, const char *text)
{
	const char *why = "";
	char *words, *keyword;
	int err;

	line->text = text;
	words = strdup(text);
	if (!words)
		return -ENOMEM;
	err = conf_split(words, &keyword, line->argv, &line->argc, &why);
	line->keyword = keyword;
	if (err)
		err = conf_fault(line, "%s", why);
	else if (keyword)
		line->rest = line->argc ? text + (line->argv[0] - words) : "";
	if (!err && keyword)
		err = take_words(line);
	free(words);
	return err;
}

void conf_init(struct conf *conf)
{
	memset(conf, 0, sizeof(*conf));
	conf->address_family = AF_UNSPEC;
	conf->tcp_keep_alive = true;
	conf->log_level = LOG_LEVEL_INFO;
	conf->syslog_facility = LOG_AUTH;
	conf->data_path = DATA_PATH_AUTO;
	conf->login_grace_time = GRACE_DEFAULT;
	conf->max_startups = STARTUPS_DEFAULT;
	conf->max_startups_begin = STARTUPS_DEFAULT;
	conf->max_startups_rate = 100;
	conf->max_auth_tries = TRIES_DEFAULT;
	conf->permit_root_login = true;
	conf->strict_modes = true;
	conf->client_alive_count_max = ALIVE_COUNT_DEFAULT;
}

int conf_set(struct conf *conf, const char *assignment)
{
	struct conf_line line = { .conf = conf };
	int err;

	err = conf_take_line(&line, assignment);
	if (!err && !line.keyword)
		err = conf_fault(&line, "-o needs Keyword=value");
	return err;
}

static int read_lines(struct conf *conf, FILE *f, const char *path)
{
	char *text = NULL;
	size_t cap = 0;
	unsigned int number = 0;
	int first_err = 0;
	ssize_t len;
	int err;

	while ((len = getline(&text, &cap, f)) >= 0) {
		struct conf_line line = {
			.conf = conf,
			.file = path,
			.number = ++number,
		};

		while (len && strchr(" \t\r\n\f", text[len - 1]))
			text[--len] = 0;
		if (memchr(text, 0, len))
			err = conf_fault(&line, "a NUL byte: not a text file");
		else
			err = conf_take_line(&line, text);
		if (!first_err)
			first_err = err;
	}
	free(text);
	if (ferror(f)) {
		log_error("%s: cannot read: %s", path, strerror(EIO));
		return -EIO;
	}
	return first_err;
}

static int read_file(struct conf *conf, const char *path)
{
	struct stat st;
	FILE *f;
	int err;

	f = fopen(path, "re");
	if (!f) {
		err = -errno;
		log_error("%s: cannot open: %s", path, strerror(-err));
		return err;
	}
	if (!fstat(fileno(f), &st) && S_ISDIR(st.st_mode)) {
		log_error("%s: is a directory", path);
		err = -EISDIR;
	} else {
		err = read_lines(conf, f, path);
	}
	fclose(f);
	return err;
}

static bool is_seen(const struct conf *conf, const char *name)
{
	return conf->seen[find_keyword(name) - keywords];
}

static int set_default(char **value, const char *text)
{
	if (!*value)
		*value = strdup(text);
	return *value ? 0 : -ENOMEM;
}

static int fill_defaults(struct conf *conf)
{
	int err = 0;

	if (!conf->n_ports) {
		err = err ?: set_default(&conf->ports[0], "22");
		conf->n_ports = !err;
	}
	if (!is_seen(conf, "AuthorizedKeysFile")) {
		err = err   ?:
			      set_default(&conf->authorized_keys[0],
					  ".ssh/authorized_keys");
		err = err   ?:
			      set_default(&conf->authorized_keys[1],
					  ".ssh/authorized_keys2");
		conf->n_authorized_keys = 2;
	}
	if (!is_seen(conf, "Subsystem")) {
		err = err ?: set_default(&conf->subsystems[0].name, "sftp");
		err = err   ?:
			      set_default(&conf->subsystems[0].command,
					  "internal-sftp");
		conf->n_subsystems = 1;
	}
	if (!is_seen(conf, "PidFile"))
		err = err ?: set_default(&conf->pid_file, PID_FILE_DEFAULT);
	err = err ?: set_default(&conf->ciphers, kex_default_ciphers);
	err = err ?: set_default(&conf->macs, kex_default_macs);
	err = err ?: set_default(&conf->kex, kex_default_kex);
	return err;
}

int conf_load(struct conf *conf, const char *path)
{
	int err = 0;

	if (path)
		err = read_file(conf, path);
	return err ? err : fill_defaults(conf);
}

static int find_choice(const struct conf_choice *choice, const char *word)
{
	for (; choice->word; choice++)
		if (!strcasecmp(choice->word, word))
			return choice->value;
	return -1;
}

int conf_log_level(const char *word)
{
	return find_choice(log_levels, word);
}

int conf_facility(const char *word)
{
	return find_choice(facilities, word);
}

const char *conf_data_path_name(enum data_path path)
{
	return data_paths[path].word;
}
