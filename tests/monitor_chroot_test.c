// SPDX-License-Identifier: MIT
/* monitor/chroot.c: which directories may become a root directory. */
#include <sys/stat.h>

#include "harness.h"
#include "monitor/chroot.h"

/* /kssh-chroot-N/a/b: all above it belongs to root alone */
FIXTURE(chroot)
{
	char top[64];
	char a[80];
	char b[96];
	char why[512];
};

FIXTURE_SETUP(chroot)
{
	if (geteuid())
		SKIP(return, "needs root");
	snprintf(self->top, sizeof(self->top), "/kssh-chroot-%d", getpid());
	snprintf(self->a, sizeof(self->a), "%s/a", self->top);
	snprintf(self->b, sizeof(self->b), "%s/b", self->a);
	if (mkdir(self->top, 0755))
		SKIP(return, "cannot make a directory in /");
	ASSERT_EQ(0, mkdir(self->a, 0755));
	ASSERT_EQ(0, mkdir(self->b, 0755));
}

FIXTURE_TEARDOWN(chroot)
{
	char command[256];

	if (!self->top[0])
		return;
	snprintf(command, sizeof(command), "rm -rf '%s'", self->top);
	EXPECT_EQ(0, system(command));
}

static int check(FIXTURE_DATA(chroot) *self, const char *path)
{
	self->why[0] = 0;
	return chroot_check(path, self->why, sizeof(self->why));
}

TEST_F(chroot, takes_what_belongs_to_root_alone)
{
	char path[128];

	EXPECT_EQ(0, check(self, self->b))
	TH_LOG("%s", self->why);
	EXPECT_EQ(0, check(self, "/"));
	snprintf(path, sizeof(path), "/%s//", self->b);
	EXPECT_EQ(0, check(self, path))
	TH_LOG("%s", self->why);
}

TEST_F(chroot, tells_the_component_that_others_own_or_write)
{
	char want[128];

	ASSERT_EQ(0, chmod(self->a, 0775));
	EXPECT_EQ(-EPERM, check(self, self->b));
	snprintf(want, sizeof(want), "%s can be written", self->a);
	EXPECT_NOT_NULL(strstr(self->why, want));
	ASSERT_EQ(0, chmod(self->a, 0757));
	EXPECT_EQ(-EPERM, check(self, self->b));
	ASSERT_EQ(0, chmod(self->a, 0755));
	ASSERT_EQ(0, chown(self->b, 7001, 0));
	EXPECT_EQ(-EPERM, check(self, self->b));
	snprintf(want, sizeof(want), "%s belongs to uid 7001", self->b);
	EXPECT_NOT_NULL(strstr(self->why, want));
}

TEST_F(chroot, refuses_what_is_no_directory)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/none", self->b);
	EXPECT_EQ(-EPERM, check(self, path));
	EXPECT_NOT_NULL(strstr(self->why, path));
	EXPECT_EQ(-EPERM, check(self, "/etc/passwd"));
	EXPECT_EQ(-EPERM, check(self, "relative"));
	EXPECT_EQ(-EPERM, check(self, ""));
}

TEST_F(chroot, looks_where_links_lead)
{
	char link[128];

	snprintf(link, sizeof(link), "%s/link", self->top);
	ASSERT_EQ(0, symlink(self->b, link));
	EXPECT_EQ(0, check(self, link))
	TH_LOG("%s", self->why);
	/* what is above the directory is not above the link */
	ASSERT_EQ(0, chmod(self->a, 0777));
	EXPECT_EQ(-EPERM, check(self, link));
	EXPECT_NOT_NULL(strstr(self->why, self->a));
}

TEST_HARNESS_MAIN
