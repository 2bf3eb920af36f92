// SPDX-License-Identifier: MIT
/* lib/title.c */
#include "harness.h"
#include "lib/title.h"

/* A fake of what the kernel lays out, since main() is the harness's. */
TEST(keeps_arguments_and_environment)
{
	static char memory[] = "prog\0-a\0b c\0X=1\0YY=2\0behind";
	char *argv[] = { memory, memory + 5, memory + 8, NULL };
	char *env[] = { memory + 12, memory + 16, NULL };
	char **saved = environ;

	environ = env;
	ASSERT_EQ(0, title_init(3, argv));
	title_set("name", "a title that is %s %d", "much too long", 1);
	EXPECT_STREQ("a title that is much", memory);
	EXPECT_STREQ("behind", memory + 21);
	EXPECT_STREQ("-a", argv[1]);
	EXPECT_STREQ("b c", argv[2]);
	EXPECT_STREQ("1", getenv("X"));
	EXPECT_STREQ("2", getenv("YY"));
	title_set("name", "short");
	EXPECT_STREQ("short", memory);
	EXPECT_MEMEQ("\0\0\0\0", memory + 5, 4);
	free(argv[0]);
	free(argv[1]);
	free(argv[2]);
	free(env[0]);
	free(env[1]);
	environ = saved;
}

TEST(has_no_effect_before_it_is_set_up)
{
	title_set("name", "%s", "x");
}

TEST_HARNESS_MAIN
