// SPDX-License-Identifier: MIT
/* Accounts: who may log in, and how to become them. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <shadow.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "auth/account.h"

#define NOLOGIN_FILE	"/etc/nologin"
#define USER_NAME_MAX	255
#define ENTRY_MAX	(1024 * 1024)

/* The entry of @user, with its memory in *mem; 0, -ENOENT or -errno. */
static int get_passwd(const char *user, struct passwd *pw, char **mem)
{
	struct passwd *found = NULL;
	size_t len = 4096;
	int ret;

	for (;;) {
		*mem = malloc(len);
		if (!*mem)
			return -ENOMEM;
		ret = getpwnam_r(user, pw, *mem, len, &found);
		if (!ret && found)
			return 0;
		free(*mem);
		*mem = NULL;
		if (ret != ERANGE || len >= ENTRY_MAX)
			return -ENOENT;
		len *= 4;
	}
}

/* What no passwd(5) can hold is not asked for. */
static bool is_name(const char *user)
{
	size_t i;

	if (!user[0] || strlen(user) > USER_NAME_MAX)
		return false;
	for (i = 0; user[i]; i++)
		if ((unsigned char)user[i] < 0x20 || user[i] == 0x7f ||
		    user[i] == ':' || user[i] == '/')
			return false;
	return true;
}

int account_passwd(const char *user, struct passwd *pw, char **mem)
{
	return is_name(user) ? get_passwd(user, pw, mem) : -ENOENT;
}

/*
 * Without PAM it is for us to see that an account is locked: passwd -l puts a
 * "!" before the password hash, and useradd(8) begins with that.
 */
static const char *check_shadow(const char *user)
{
	const char *refusal = NULL;
	struct spwd *found = NULL;
	long today = time(NULL) / 86400;
	char mem[8192];
	struct spwd sp;

	if (geteuid())
		return NULL;
	if (getspnam_r(user, &sp, mem, sizeof(mem), &found) || !found)
		return NULL;
	if (sp.sp_pwdp && sp.sp_pwdp[0] == '!')
		refusal = "its account is locked (usermod -p '*' unlocks it)";
	/* shadow(5) leaves open what 0 means: chage -E 0 is to lock */
	else if (sp.sp_expire != -1 && today > sp.sp_expire)
		refusal = "its account has expired";
	explicit_bzero(mem, sizeof(mem));
	return refusal;
}

static const char *check_shell(const char *shell)
{
	struct stat st;

	if (stat(shell, &st))
		return "its shell does not exist";
	if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return "its shell is not executable";
	return NULL;
}

/* NULL: may log in. */
static const char *check_account(const struct account *account,
				 const struct conf *conf)
{
	const char *refusal;
	struct stat st;

	if (geteuid() && account->uid != geteuid())
		return "this server is not run by root and serves its own user only";
	refusal = check_shadow(account->name);
	if (!refusal)
		refusal = check_shell(account->shell);
	if (refusal)
		return refusal;
	if (!account->uid && !conf->permit_root_login)
		return "PermitRootLogin is no";
	if (account->uid && !stat(NOLOGIN_FILE, &st))
		return NOLOGIN_FILE " exists";
	return NULL;
}

static int fill(struct account *account, const struct passwd *pw)
{
	const char *shell = pw->pw_shell;

	account->name = strdup(pw->pw_name);
	account->home = strdup(pw->pw_dir);
	/* passwd(5): an empty field means /bin/sh */
	account->shell = strdup(shell && *shell ? shell : "/bin/sh");
	account->uid = pw->pw_uid;
	account->gid = pw->pw_gid;
	if (account->name && account->home && account->shell)
		return 0;
	account_free(account);
	return -ENOMEM;
}

/* Somebody without rights and without files, to be busy with. */
static int fill_nobody(struct account *account)
{
	struct passwd nobody = {
		.pw_name = (char *)"nobody",
		.pw_dir = (char *)"/nonexistent",
		.pw_shell = (char *)"/bin/sh",
		.pw_uid = 65534,
		.pw_gid = 65534,
	};

	if (geteuid()) {
		nobody.pw_uid = geteuid();
		nobody.pw_gid = getegid();
	}
	return fill(account, &nobody);
}

int account_lookup(struct account *account, const struct conf *conf,
		   const char *user)
{
	struct passwd pw;
	char *mem = NULL;
	int err;

	memset(account, 0, sizeof(*account));
	err = account_passwd(user, &pw, &mem);
	if (err == -ENOMEM)
		return err;
	if (err)
		return fill_nobody(account);
	err = fill(account, &pw);
	free(mem);
	if (err)
		return err;
	account->refusal = check_account(account, conf);
	account->allowed = !account->refusal;
	if (account->allowed)
		return 0;
	/* its files are none of our business any more */
	if (geteuid()) {
		account->uid = geteuid();
		account->gid = getegid();
	}
	free(account->home);
	account->home = strdup("/nonexistent");
	if (account->home)
		return 0;
	account_free(account);
	return -ENOMEM;
}

void account_free(struct account *account)
{
	free(account->name);
	free(account->home);
	free(account->shell);
	memset(account, 0, sizeof(*account));
}

/* All four of them, and nobody may have kept one. */
static int set_ids(uid_t uid, gid_t gid)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return -errno;
	if (getresuid(&r, &e, &s) || getresgid(&rg, &eg, &sg))
		return -errno;
	if (r != uid || e != uid || s != uid || rg != gid || eg != gid ||
	    sg != gid)
		return -EPERM;
	if (uid && (!setuid(0) || !seteuid(0)))
		return -EPERM;
	if (gid && uid && (!setgid(0) || !setegid(0)))
		return -EPERM;
	return 0;
}

int account_take_groups(const struct account *account)
{
	if (geteuid())
		return geteuid() == account->uid ? 0 : -EPERM;
	return initgroups(account->name, account->gid) ? -errno : 0;
}

int account_take_ids(const struct account *account)
{
	if (geteuid())
		return geteuid() == account->uid ? 0 : -EPERM;
	return set_ids(account->uid, account->gid);
}

int account_become(const struct account *account)
{
	int err = account_take_groups(account);

	return err ? err : account_take_ids(account);
}

int account_become_ids(uid_t uid, gid_t gid)
{
	if (setgroups(1, &gid))
		return -errno;
	return set_ids(uid, gid);
}
