// SPDX-License-Identifier: MIT
/* ksshd: the SSH server. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/close_range.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf.h"
#include "kex/kex.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/title.h"
#include "monitor/listener.h"
#include "offload/ulp.h"
#include "packet/cipher.h"

#define DEFAULT_FILE	"/etc/ssh/ksshd_config"
#define SETTINGS_MAX	64

#ifndef KSSH_VERSION
#define KSSH_VERSION	"0.1"
#endif

/**
 * struct options - of the command line
 * @file: configuration
 * @file_given: by -f; "none": no file
 * @settings: Keyword=value, in the order they were given
 * @n_settings: how many
 * @debug: how often -d was given
 * @quiet: -q
 * @foreground: -D
 * @to_stderr: -e
 * @test: -t
 */
struct options {
	const char *file;
	bool file_given;
	char *settings[SETTINGS_MAX];
	unsigned int n_settings;
	unsigned int debug;
	bool quiet;
	bool foreground;
	bool to_stderr;
	bool test;
};

static void usage(FILE *out)
{
	fputs("usage: ksshd [-46DdeqtV] [-f file] [-g seconds] [-h host_key_file]\n"
	      "             [-o Keyword=value] [-p port]\n",
	      out);
}

static int add_setting(struct options *opt, const char *keyword,
		       const char *value)
{
	char *text;

	if (opt->n_settings == SETTINGS_MAX) {
		fprintf(stderr, "ksshd: more than %d options\n", SETTINGS_MAX);
		return -E2BIG;
	}
	if (asprintf(&text, "%s%s%s", keyword, *keyword ? "=" : "", value) < 0)
		return -ENOMEM;
	opt->settings[opt->n_settings++] = text;
	return 0;
}

static int add_host_key(struct options *opt, const char *file)
{
	char *path = conf_absolute(file);
	int err = path ? add_setting(opt, "HostKey", path) : -ENOMEM;

	free(path);
	return err;
}

static int parse_option(struct options *opt, int c)
{
	switch (c) {
	case '4':
		return add_setting(opt, "AddressFamily", "inet");
	case '6':
		return add_setting(opt, "AddressFamily", "inet6");
	case 'D':
		opt->foreground = true;
		return 0;
	case 'd':
		opt->debug++;
		opt->foreground = true;
		opt->to_stderr = true;
		return 0;
	case 'e':
		opt->to_stderr = true;
		return 0;
	case 'f':
		/* also for SIGHUP, when we stand in / */
		opt->file = strcmp(optarg, "none") ? conf_absolute(optarg) :
						     optarg;
		opt->file_given = true;
		return opt->file ? 0 : -ENOMEM;
	case 'g':
		return add_setting(opt, "LoginGraceTime", optarg);
	case 'h':
		return add_host_key(opt, optarg);
	case 'o':
		return add_setting(opt, "", optarg);
	case 'p':
		return add_setting(opt, "Port", optarg);
	case 'q':
		opt->quiet = true;
		return 0;
	case 't':
		opt->test = true;
		return 0;
	default:
		usage(stderr);
		return -EINVAL;
	}
}

/* 0: go on; 1: done; -errno. */
static int parse_options(struct options *opt, int argc, char **argv)
{
	int c, err;

	while ((c = getopt(argc, argv, "46Ddef:g:h:o:p:qtV")) != -1) {
		if (c == 'V') {
			printf("kSSH %s, %s\n", KSSH_VERSION,
			       OpenSSL_version(OPENSSL_VERSION));
			return 1;
		}
		err = parse_option(opt, c);
		if (err)
			return err;
	}
	if (optind < argc) {
		fprintf(stderr, "ksshd: \"%s\": no such argument\n",
			argv[optind]);
		usage(stderr);
		return -EINVAL;
	}
	return 0;
}

static enum log_level level_of(const struct options *opt,
			       const struct conf *conf)
{
	if (opt->quiet)
		return LOG_LEVEL_QUIET;
	if (opt->debug > 3)
		return LOG_LEVEL_DEBUG3;
	if (opt->debug)
		return LOG_LEVEL_DEBUG1 + opt->debug - 1;
	return conf->log_level;
}

static int load_conf(const struct options *opt, struct conf *conf)
{
	const char *file = opt->file;
	int first_err = 0;
	unsigned int i;
	int err;

	conf_init(conf);
	for (i = 0; i < opt->n_settings; i++) {
		err = conf_set(conf, opt->settings[i]);
		first_err = first_err ? first_err : err;
	}
	/* without -f the file may be missing: the defaults are a server */
	if (!opt->file_given)
		file = access(DEFAULT_FILE, F_OK) ? NULL : DEFAULT_FILE;
	else if (!strcmp(file, "none"))
		file = NULL;
	err = conf_load(conf, file);
	return first_err ? first_err : err;
}

static int load_server(void *arg, struct server *server)
{
	const struct options *opt = arg;
	int err;

	err = load_conf(opt, &server->conf);
	if (!err)
		err = host_keys_load(&server->host_keys, &server->conf);
	return err;
}

static int reload_server(void *arg, struct server *next)
{
	const struct options *opt = arg;
	int err;

	err = load_server(arg, next);
	if (!err)
		log_open("ksshd", level_of(opt, &next->conf), opt->to_stderr);
	return err;
}

/* 0 to 2 and no others, so that no socket of ours becomes somebody's stdout. */
static int settle_fds(void)
{
	int fd;

	if (close_range(STDERR_FILENO + 1, ~0U, 0))
		return -errno;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int redirect(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	if (dup2(null, fd) < 0)
		return -errno;
	close(null);
	return 0;
}

/* The parent ends with 0: all that can fail has been done. */
static int go_to_background(const struct options *opt)
{
	int fd, err;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid)
		_exit(0);
	if (setsid() < 0)
		return -errno;
	if (chdir("/"))
		return -errno;
	for (fd = 0; fd <= STDERR_FILENO; fd++) {
		if (fd == STDERR_FILENO && opt->to_stderr)
			break;
		err = redirect(fd);
		if (err)
			return err;
	}
	return 0;
}

static void write_pid_file(const struct conf *conf)
{
	FILE *f;

	if (!conf->pid_file)
		return;
	f = fopen(conf->pid_file, "we");
	if (f) {
		fprintf(f, "%d\n", getpid());
		if (!fclose(f))
			return;
	}
	/* an ordinary user has no /run, and needs no such file */
	if (!geteuid())
		log_error("PidFile %s: %s", conf->pid_file, strerror(errno));
}

static void remove_pid_file(const struct conf *conf)
{
	if (conf->pid_file)
		unlink(conf->pid_file);
}

static int prepare(struct options *opt, struct server *server)
{
	int err;

	err = load_server(opt, server);
	if (err)
		return err;
	err = kex_prepare();
	if (err) {
		log_error("libcrypto cannot be used: %s", strerror(-err));
		return err;
	}
	return sandbox_prepare(&server->sandbox);
}

static int run(struct options *opt, struct server *server)
{
	static const struct listener_ops ops = { .reload = reload_server };
	int err;

	err = listener_block_signals();
	if (!err)
		err = listen_open(&server->sockets, &server->conf, NULL);
	if (!err && !opt->foreground)
		err = go_to_background(opt);
	if (err) {
		log_fatal("cannot start: %s", strerror(-err));
		return err;
	}
	log_set_facility(server->conf.syslog_facility);
	log_open("ksshd", level_of(opt, &server->conf), opt->to_stderr);
	listen_log(&server->sockets);
	write_pid_file(&server->conf);
	err = listener_run(server, &ops, opt);
	if (err)
		log_fatal("cannot go on: %s", strerror(-err));
	remove_pid_file(&server->conf);
	return err;
}

int main(int argc, char **argv)
{
	struct options opt = { .file = DEFAULT_FILE };
	static struct server server;
	int err;

	umask(022);
	/* until the daemon runs, faults are for whoever starts it */
	log_open("ksshd", LOG_LEVEL_ERROR, true);
	err = settle_fds();
	/* a nicety: without memory for it there are no titles */
	title_init(argc, argv);
	if (!err)
		err = parse_options(&opt, argc, argv);
	if (err)
		return err > 0 ? 0 : 1;
	signal(SIGPIPE, SIG_IGN);
	err = prepare(&opt, &server);
	if (!err && !opt.test)
		err = run(&opt, &server);
	host_keys_free(&server.host_keys);
	sandbox_free(&server.sandbox);
	conf_free(&server.conf);
	while (opt.n_settings)
		free(opt.settings[--opt.n_settings]);
	return err ? 1 : 0;
}
