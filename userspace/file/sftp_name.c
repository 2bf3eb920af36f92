// SPDX-License-Identifier: MIT
/* The longname of a directory entry. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include "file/sftp_server.h"

#define HALF_YEAR	(365L * 24 * 60 * 60 / 2)

static struct sftp_owner *find_owner(struct sftp_owner *owners, uint32_t id)
{
	struct sftp_owner *owner = &owners[id % SFTP_OWNERS];

	if (owner->valid && owner->id == id)
		return owner;
	owner->valid = false;
	return owner;
}

static void keep_owner(struct sftp_owner *owner, uint32_t id, const char *name)
{
	owner->valid = true;
	owner->id = id;
	if (name && strlen(name) < sizeof(owner->name))
		strcpy(owner->name, name);
	else
		*owner->name = '\0';
}

const char *sftp_user_name(struct sftp *sftp, uint32_t uid)
{
	struct sftp_owner *owner = find_owner(sftp->users, uid);
	struct passwd *pw;

	if (!owner->valid) {
		pw = getpwuid(uid);
		keep_owner(owner, uid, pw ? pw->pw_name : NULL);
	}
	return owner->name;
}

const char *sftp_group_name(struct sftp *sftp, uint32_t gid)
{
	struct sftp_owner *owner = find_owner(sftp->groups, gid);
	struct group *gr;

	if (!owner->valid) {
		gr = getgrgid(gid);
		keep_owner(owner, gid, gr ? gr->gr_name : NULL);
	}
	return owner->name;
}

/* The number of what has no name. */
static const char *name_or(const char *name, uint32_t id, char num[16])
{
	if (*name)
		return name;
	snprintf(num, 16, "%u", id);
	return num;
}

static char type_char(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return '-';
	case S_IFDIR:
		return 'd';
	case S_IFLNK:
		return 'l';
	case S_IFIFO:
		return 'p';
	case S_IFSOCK:
		return 's';
	case S_IFCHR:
		return 'c';
	case S_IFBLK:
		return 'b';
	default:
		return '?';
	}
}

/* The x of a triple, where @special is set (@s) or not */
static char exec_char(mode_t exec, mode_t special, char s)
{
	if (special)
		return exec ? s : s - 'a' + 'A';
	return exec ? 'x' : '-';
}

void sftp_mode_str(char str[11], mode_t mode)
{
	str[0] = type_char(mode);
	str[1] = mode & S_IRUSR ? 'r' : '-';
	str[2] = mode & S_IWUSR ? 'w' : '-';
	str[3] = exec_char(mode & S_IXUSR, mode & S_ISUID, 's');
	str[4] = mode & S_IRGRP ? 'r' : '-';
	str[5] = mode & S_IWGRP ? 'w' : '-';
	str[6] = exec_char(mode & S_IXGRP, mode & S_ISGID, 's');
	str[7] = mode & S_IROTH ? 'r' : '-';
	str[8] = mode & S_IWOTH ? 'w' : '-';
	str[9] = exec_char(mode & S_IXOTH, mode & S_ISVTX, 't');
	str[10] = '\0';
}

/* The twelve characters of ls: time of day for recent files, else the year. */
static void time_str(char *str, size_t len, time_t t, time_t now)
{
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun",
		"Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
	};
	struct tm tm;

	if (!localtime_r(&t, &tm))
		snprintf(str, len, "%12s", "?");
	else if (t > now - HALF_YEAR && t <= now)
		snprintf(str, len, "%s %2d %02d:%02d", months[tm.tm_mon],
			 tm.tm_mday, tm.tm_hour, tm.tm_min);
	else
		snprintf(str, len, "%s %2d  %4ld", months[tm.tm_mon],
			 tm.tm_mday, 1900L + tm.tm_year);
}

/*
 * draft 7: "The recommended format for the longname field is as follows:
 * -rwxr-xr-x   1 mjos     staff      348911 Mar 25 14:29 t-filexfer"
 */
size_t sftp_longname(struct sftp *sftp, char *line, const char *name,
		     const struct stat *st, time_t now)
{
	char uid[16], gid[16];
	char when[32];
	char mode[11];
	int n;

	sftp_mode_str(mode, st->st_mode);
	time_str(when, sizeof(when), st->st_mtime, now);
	n = snprintf(line, SFTP_LONGNAME_MAX, "%s %3lu %-8s %-8s %8lld %s %s",
		     mode, (unsigned long)st->st_nlink,
		     name_or(sftp_user_name(sftp, st->st_uid), st->st_uid, uid),
		     name_or(sftp_group_name(sftp, st->st_gid), st->st_gid,
			     gid),
		     (long long)st->st_size, when, name);
	return n < SFTP_LONGNAME_MAX ? n : SFTP_LONGNAME_MAX - 1;
}
