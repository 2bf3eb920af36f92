/* SPDX-License-Identifier: MIT */
/* Log lines to stderr (-e, -D) or syslog. Never keys; peers cannot multiply. */
#ifndef KSSH_LIB_LOG_H
#define KSSH_LIB_LOG_H

#include <stdbool.h>

/* LogLevel of sshd_config(5). */
enum log_level {
	LOG_LEVEL_QUIET,
	LOG_LEVEL_FATAL,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_INFO,
	LOG_LEVEL_VERBOSE,
	LOG_LEVEL_DEBUG1,
	LOG_LEVEL_DEBUG2,
	LOG_LEVEL_DEBUG3,
};

/* May be called again; @ident is kept, not copied. */
void log_open(const char *ident, enum log_level level, bool to_stderr);
enum log_level log_get_level(void);
void log_set_level(enum log_level level);
/* A syslog(3) facility, e.g. LOG_AUTHPRIV; LOG_AUTH unless set. */
void log_set_facility(int facility);
/*
 * From now on lines are written as datagrams to @fd (a process in a sandbox
 * cannot open syslog); the other end calls log_forward() with each.
 */
void log_to_fd(int fd);
/*
 * Take one line from the other end of log_to_fd() and log it, made printable;
 * dropped if @drop. @before and @after frame it, so that a process that was
 * taken over cannot speak as another. 0; -EAGAIN none is there; -ECONNRESET
 * none will come.
 */
int log_forward(int fd, bool drop, const char *before, const char *after);
void log_at(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Peer-supplied bytes are escaped into @out (printable ASCII only). */
char *log_escape(char *out, unsigned int out_len, const void *p,
		 unsigned int len);

#define log_fatal(...)		log_at(LOG_LEVEL_FATAL, __VA_ARGS__)
#define log_error(...)		log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_info(...)		log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_verbose(...)	log_at(LOG_LEVEL_VERBOSE, __VA_ARGS__)
#define log_debug(...)		log_at(LOG_LEVEL_DEBUG1, __VA_ARGS__)
#define log_debug2(...)		log_at(LOG_LEVEL_DEBUG2, __VA_ARGS__)

#endif
