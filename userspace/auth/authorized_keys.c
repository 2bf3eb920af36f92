// SPDX-License-Identifier: MIT
/* A line of authorized_keys. Pure: no file is touched. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/authorized_keys.h"
#include "lib/buf.h"
#include "lib/log.h"
#include "lib/mem.h"

/* A piece of the line: not terminated, may be empty. */
struct span {
	const char *p;
	size_t len;
};

static const char *const key_types[] = {
	"ssh-ed25519",
	"ecdsa-sha2-nistp256",
	"ssh-rsa",
};

/*
 * Options that a line may have. @set and @clear are AUTHKEY_NO_*; what allows
 * something counts after "restrict" only, and is harmless before it.
 */
static const struct {
	const char *name;
	unsigned int set;
	unsigned int clear;
} flags[] = {
	{ "restrict", AUTHKEY_RESTRICT, 0 },
	{ "no-pty", AUTHKEY_NO_PTY, 0 },
	{ "no-port-forwarding", AUTHKEY_NO_PORT_FORWARDING, 0 },
	{ "no-agent-forwarding", AUTHKEY_NO_AGENT_FORWARDING, 0 },
	{ "no-X11-forwarding", AUTHKEY_NO_X11_FORWARDING, 0 },
	{ "no-user-rc", AUTHKEY_NO_USER_RC, 0 },
	{ "pty", 0, AUTHKEY_NO_PTY },
	{ "port-forwarding", 0, AUTHKEY_NO_PORT_FORWARDING },
	{ "agent-forwarding", 0, AUTHKEY_NO_AGENT_FORWARDING },
	{ "X11-forwarding", 0, AUTHKEY_NO_X11_FORWARDING },
	{ "user-rc", 0, AUTHKEY_NO_USER_RC },
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct span *rest)
{
	while (rest->len && is_blank(*rest->p)) {
		rest->p++;
		rest->len--;
	}
}

static void advance(struct span *rest, size_t n)
{
	rest->p += n;
	rest->len -= n;
}

/* Up to the next blank. */
static struct span take_word(struct span *rest)
{
	struct span word = { .p = rest->p };

	while (word.len < rest->len && !is_blank(rest->p[word.len]))
		word.len++;
	advance(rest, word.len);
	return word;
}

/* Up to the next blank outside quotes; -EINVAL a quote is not closed. */
static int take_options(struct span *rest, struct span *options)
{
	bool quoted = false;
	size_t n;

	for (n = 0; n < rest->len; n++) {
		char c = rest->p[n];

		if (c == '\\' && n + 1 < rest->len && rest->p[n + 1] == '"')
			n++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && is_blank(c))
			break;
	}
	if (quoted)
		return -EINVAL;
	options->p = rest->p;
	options->len = n;
	advance(rest, n);
	return 0;
}

static bool span_is(const struct span *span, const char *text)
{
	return span->len == strlen(text) && !memcmp(span->p, text, span->len);
}

static bool span_is_nocase(const struct span *span, const char *text)
{
	return span->len == strlen(text) &&
	       !strncasecmp(span->p, text, span->len);
}

static bool is_key_type(const struct span *word)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(key_types); i++)
		if (span_is(word, key_types[i]))
			return true;
	return false;
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
}

/* RFC 4648 4; padding is asked for. Allocates. */
static int decode_base64(const struct span *text, uint8_t **out, size_t *len)
{
	size_t digits = text->len;
	uint32_t bits = 0;
	uint8_t *data;
	size_t n = 0;
	size_t i;
	int d;

	if (!digits || digits % 4)
		return -EINVAL;
	if (text->p[digits - 1] == '=')
		digits--;
	if (text->p[digits - 1] == '=')
		digits--;
	data = malloc(text->len / 4 * 3);
	if (!data)
		return -ENOMEM;
	for (i = 0; i < digits; i++) {
		d = base64_digit(text->p[i]);
		if (d < 0) {
			free(data);
			return -EINVAL;
		}
		bits = bits << 6 | d;
		if (i % 4)
			data[n++] = bits >> (6 - i % 4 * 2);
	}
	*out = data;
	*len = n;
	return 0;
}

/*
 * RFC 4253 6.6: "The key type MUST always be explicitly known ... string
 * certificate or public key format identifier". It must be the type in front.
 */
static int check_blob(const struct authorized_key *key, const struct span *type)
{
	const uint8_t *name;
	struct buf blob;
	size_t len;

	buf_ref(&blob, key->blob, key->blob_len);
	if (buf_get_string(&blob, &name, &len))
		return -EINVAL;
	if (len != type->len || memcmp(name, type->p, len))
		return -EINVAL;
	return buf_len(&blob) ? 0 : -EINVAL;
}

static void refuse(struct authorized_key *key, const struct span *option)
{
	if (!key->bad_option[0])
		log_escape(key->bad_option, sizeof(key->bad_option), option->p,
			   option->len);
	if (!key->bad_option[0])
		strcpy(key->bad_option, "(empty)");
}

/* Takes ="value" off @rest; \" stands for a quote. Allocates. */
static int take_value(struct span *rest, char **value)
{
	size_t n = 0;
	size_t i;
	char *out;

	if (rest->len < 3 || rest->p[0] != '=' || rest->p[1] != '"')
		return -EINVAL;
	advance(rest, 2);
	out = malloc(rest->len + 1);
	if (!out)
		return -ENOMEM;
	for (i = 0; i < rest->len && rest->p[i] != '"'; i++) {
		if (rest->p[i] == '\\' && i + 1 < rest->len &&
		    rest->p[i + 1] == '"')
			i++;
		out[n++] = rest->p[i];
	}
	out[n] = 0;
	if (i == rest->len || n > AUTHKEY_COMMAND_MAX) {
		free(out);
		return -EINVAL;
	}
	advance(rest, i + 1);
	*value = out;
	return 0;
}

static bool take_flag(struct authorized_key *key, const struct span *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		if (!span_is_nocase(name, flags[i].name))
			continue;
		key->flags |= flags[i].set;
		key->flags &= ~flags[i].clear;
		return true;
	}
	return false;
}

/* One option off the front of @rest; 0, -EINVAL or -ENOMEM. */
static int parse_option(struct authorized_key *key, struct span *rest,
			struct span *name)
{
	name->p = rest->p;
	name->len = 0;
	while (name->len < rest->len && name->p[name->len] != '=' &&
	       name->p[name->len] != ',')
		name->len++;
	advance(rest, name->len);
	if (rest->len && *rest->p == '=') {
		/* any other option with a value restricts in its own way */
		if (!span_is_nocase(name, "command") || key->command)
			return -EINVAL;
		return take_value(rest, &key->command);
	}
	return take_flag(key, name) ? 0 : -EINVAL;
}

/*
 * Fail closed: an option that is not known, or is malformed, makes the key
 * unusable, but the line is still a line with a key.
 */
static int parse_options(struct authorized_key *key, struct span options)
{
	struct span name;
	int err;

	for (;;) {
		err = parse_option(key, &options, &name);
		if (err == -EINVAL) {
			refuse(key, &name);
			return 0;
		}
		if (err)
			return err;
		if (!options.len)
			return 0;
		if (*options.p != ',' || options.len == 1) {
			refuse(key, &options);
			return 0;
		}
		advance(&options, 1);
	}
}

static int parse_key(struct authorized_key *key, struct span *rest,
		     const struct span *type)
{
	struct span text;
	int err;

	skip_blanks(rest);
	text = take_word(rest);
	err = decode_base64(&text, &key->blob, &key->blob_len);
	return err ? err : check_blob(key, type);
}

/*
 * sshd(8): "options (optional), keytype, base64-encoded key, comment. ...
 * No spaces are permitted, except within double quotes."
 */
int authorized_key_parse(struct authorized_key *key, const char *line,
			 size_t len)
{
	struct span rest = { .p = line, .len = len };
	struct span options = { .p = line };
	struct span ahead, type;
	int err = 0;

	memset(key, 0, sizeof(*key));
	while (rest.len &&
	       (is_blank(rest.p[rest.len - 1]) || rest.p[rest.len - 1] == '\r'))
		rest.len--;
	skip_blanks(&rest);
	if (!rest.len || *rest.p == '#')
		return -ENOENT;
	if (rest.len > AUTHKEY_LINE_MAX || memchr(rest.p, 0, rest.len))
		return -EINVAL;
	ahead = rest;
	type = take_word(&ahead);
	if (!is_key_type(&type)) {
		ahead = rest;
		if (take_options(&ahead, &options))
			return -EINVAL;
		skip_blanks(&ahead);
		type = take_word(&ahead);
		if (!is_key_type(&type))
			return -EOPNOTSUPP;
	}
	err = parse_key(key, &ahead, &type);
	if (!err && options.len)
		err = parse_options(key, options);
	if (err)
		authorized_key_free(key);
	return err;
}

void authorized_key_free(struct authorized_key *key)
{
	free(key->blob);
	free(key->command);
	memset(key, 0, sizeof(*key));
}
