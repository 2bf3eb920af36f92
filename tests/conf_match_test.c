// SPDX-License-Identifier: MIT
/* conf/: Match blocks: for whom their lines count, and which are faulty. */
#include <fcntl.h>

#include "conf/conf_impl.h"
#include "harness.h"
#include "lib/mem.h"
#include "lib/word.h"
#include "log_lines.h"

static char group_a[] = "sftponly";
static char group_b[] = "staff";
static char *const groups[] = { group_a, group_b };

FIXTURE(match)
{
	struct conf base;
	struct conf conf; /* of peer */
	struct conf_peer peer;
	struct log_lines lines;
	char path[64];
};

FIXTURE_SETUP(match)
{
	conf_init(&self->base);
	log_lines_open(&self->lines, LOG_LEVEL_INFO);
	strcpy(self->path, "/tmp/kssh-conf-XXXXXX");
	close(mkstemp(self->path));
	self->peer = (struct conf_peer){
		.user = "alice",
		.groups = groups,
		.n_groups = 2,
		.addr = "192.0.2.7",
		.local_addr = "2001:db8::1",
		.local_port = 2222,
	};
}

FIXTURE_TEARDOWN(match)
{
	unlink(self->path);
	conf_free(&self->base);
	conf_free(&self->conf);
	log_lines_close(&self->lines);
}

static int load(FIXTURE_DATA(match) *self, const char *text)
{
	int fd = open(self->path, O_WRONLY | O_TRUNC);

	ASSERT_LE(0, fd);
	ASSERT_EQ(strlen(text), write(fd, text, strlen(text)));
	close(fd);
	conf_free(&self->base);
	conf_init(&self->base);
	return conf_load(&self->base, self->path);
}

static struct conf *apply(FIXTURE_DATA(match) *self)
{
	conf_free(&self->conf);
	ASSERT_EQ(0, conf_for_peer(&self->conf, &self->base, &self->peer));
	return &self->conf;
}

/* Does a block of this line apply? */
static bool applies(FIXTURE_DATA(match) *self, const char *line)
{
	char text[512];

	snprintf(text, sizeof(text), "MaxAuthTries 1\nMatch %s\nForceCommand x",
		 line);
	ASSERT_EQ(0, load(self, text))
	TH_LOG("%s: %s", line, log_lines_read(&self->lines));
	return apply(self)->force_command;
}

/* ---- patterns ---- */

TEST(patterns_match_as_in_ssh_config)
{
	static const struct {
		const char *s;
		const char *list;
		int want;
	} cases[] = {
		{ "alice", "alice", 1 },     { "alice", "ali", 0 },
		{ "alice", "al*", 1 },	     { "alice", "*", 1 },
		{ "alice", "?????", 1 },     { "alice", "????", 0 },
		{ "alice", "bob,alice", 1 }, { "alice", "bob,carol", 0 },
		{ "alice", "!alice,*", -1 }, { "alice", "*,!al*", -1 },
		{ "alice", "!bob,*", 1 },    { "alice", "!bob", 0 },
		{ "alice", "ALICE", 0 },     { "alice", "", 0 },
		{ "alice", ",,", 0 },	     { "", "*", 1 },
		{ "", "?", 0 },		     { "a*c", "a\\*c", 0 },
		{ "alice", "!", 0 },	     { "aXbXc", "a*b*c", 1 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		EXPECT_EQ(cases[i].want,
			  word_matches_list(cases[i].s, cases[i].list))
	TH_LOG("%s %s", cases[i].s, cases[i].list);
}

TEST(addresses_match_networks_and_patterns)
{
	static const struct {
		const char *addr;
		const char *list;
		bool want;
	} cases[] = {
		{ "192.0.2.7", "192.0.2.7", true },
		{ "192.0.2.7", "192.0.2.0/24", true },
		{ "192.0.2.7", "192.0.2.6/31", true },
		{ "192.0.2.7", "192.0.2.4/31", false },
		{ "192.0.2.7", "192.0.2.7/32", true },
		{ "192.0.2.7", "0.0.0.0/0", true },
		{ "192.0.2.7", "::/0", false },
		{ "192.0.2.7", "192.0.2.*", true },
		{ "192.0.2.7", "192.0.2.?", true },
		{ "192.0.2.7", "192.0.3.*", false },
		{ "192.0.2.7", "10.0.0.0/8,192.0.2.0/24", true },
		{ "192.0.2.7", "192.0.2.0/24,!192.0.2.7", false },
		{ "192.0.2.7", "!192.0.2.7,*", false },
		{ "192.0.2.7", "!10.0.0.0/8,*", true },
		{ "192.0.2.7", "!10.0.0.0/8", false },
		{ "::ffff:192.0.2.7", "192.0.2.0/24", true },
		{ "2001:db8::1", "2001:db8::/32", true },
		{ "2001:db8::1", "2001:0db8:0::0001", true },
		{ "2001:db8::1", "2001:db8::/127", true },
		{ "2001:db8::1", "2001:db8::2/127", false },
		{ "2001:db8::1", "0.0.0.0/0", false },
		{ "fe80::1%eth0", "fe80::/10", true },
		{ "no address", "*", false },
		{ "", "*", false },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		EXPECT_EQ(cases[i].want,
			  conf_address_matches(cases[i].addr, cases[i].list))
	TH_LOG("%s %s", cases[i].addr, cases[i].list);
}

TEST(networks_that_make_no_sense_are_told)
{
	static const char *const bad[] = {
		"192.0.2.7/24",
		"192.0.2.0/33",
		"192.0.2.0/",
		"192.0.2/24",
		"::/129",
		"2001:db8::1/32",
		"10.0.0.0/-1",
		"a/8",
		"10.0.0.0/8x",
		"10.0.0.0/8,,*",
		"!",
		",",
		"10.0.0.0/4294967304",
	};
	char item[80];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(-EINVAL,
			  conf_address_check(bad[i], item, sizeof(item)))
	TH_LOG("%s", bad[i]);
	EXPECT_EQ(0, conf_address_check("10.0.0.0/8,!10.1.*,::1", item,
					sizeof(item)));
}

/* ---- for whom ---- */

TEST_F(match, criteria_choose)
{
	static const struct {
		const char *line;
		bool want;
	} cases[] = {
		{ "User alice", true },
		{ "user bob", false },
		{ "User=alice", true },
		{ "User \"bob,al*\"", true },
		{ "User *,!alice", false },
		{ "Group sftponly", true },
		{ "Group wheel,staff", true },
		{ "Group wheel", false },
		{ "Group *,!staff", false },
		{ "Address 192.0.2.0/24", true },
		{ "Address 10.0.0.0/8", false },
		{ "LocalAddress 2001:db8::/64", true },
		{ "LocalAddress 192.0.2.0/24", false },
		{ "LocalPort 2222", true },
		{ "LocalPort 22", false },
		{ "all", true },
		{ "ALL", true },
		{ "User alice Group staff Address 192.0.2.7", true },
		{ "User alice Group wheel", false },
		{ "User bob Group staff", false },
		{ "User alice LocalPort 1 Group staff", false },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		EXPECT_EQ(cases[i].want, applies(self, cases[i].line))
	TH_LOG("%s", cases[i].line);
	self->peer.n_groups = 0;
	EXPECT_FALSE(applies(self, "Group *"));
	self->peer.user = "";
	EXPECT_FALSE(applies(self, "User ?*"));
}

TEST_F(match, lines_of_the_first_block_that_applies_win)
{
	struct conf *conf;

	ASSERT_EQ(0, load(self, "MaxAuthTries 9\nClientAliveInterval 1\n"
				"Match User bob\nMaxAuthTries 1\n"
				"ForceCommand bob\n"
				"Match User alice\nMaxAuthTries 2\n"
				"match all\nMaxAuthTries 3\nForceCommand any\n"
				"ForceCommand again\n"));
	conf = apply(self);
	EXPECT_EQ(2, conf->max_auth_tries);
	EXPECT_STREQ("any", conf->force_command);
	EXPECT_EQ(1, conf->client_alive_interval);
	EXPECT_EQ(9, self->base.max_auth_tries);
	EXPECT_NULL(self->base.force_command);
	self->peer.user = "bob";
	conf = apply(self);
	EXPECT_EQ(1, conf->max_auth_tries);
	EXPECT_STREQ("bob", conf->force_command);
}

TEST_F(match, lines_win_over_those_for_all_and_the_command_line)
{
	ASSERT_EQ(0, load(self, "ForceCommand base\nAuthorizedKeysFile a b\n"
				"Match all\nForceCommand none\n"
				"AuthorizedKeysFile none\n"));
	EXPECT_STREQ("base", self->base.force_command);
	EXPECT_EQ(2, self->base.n_authorized_keys);
	apply(self);
	EXPECT_NULL(self->conf.force_command);
	EXPECT_EQ(0, self->conf.n_authorized_keys);
}

TEST_F(match, takes_every_keyword_that_may_stand_there)
{
	struct conf *conf;

	ASSERT_EQ(0,
		  load(self,
		       "Match User alice\nAcceptEnv LANG\n"
		       "AuthorizedKeysFile /k/%u\nClientAliveCountMax 7\n"
		       "ClientAliveInterval 30\nConnectionRateLimit 1M 2M\n"
		       "DataPath user\n"
		       "ForceCommand internal-sftp -R\nLogLevel DEBUG\n"
		       "MaxAuthTries 2\nPermitRootLogin no\nRekeyLimit 1G 1h\n"
		       "Subsystem sftp internal-sftp -u 027\n"
		       "Subsystem x /bin/x\n"
		       "AllowTcpForwarding no\nX11Forwarding no\nPermitTTY no\n"
		       "PasswordAuthentication no\nPubkeyAuthentication yes\n"
		       "AllowAgentForwarding no\nBanner none\n"));
	conf = apply(self);
	EXPECT_EQ(1, conf->n_authorized_keys);
	EXPECT_STREQ("/k/%u", conf->authorized_keys[0]);
	EXPECT_EQ(7, conf->client_alive_count_max);
	EXPECT_EQ(30, conf->client_alive_interval);
	EXPECT_EQ(1 << 20, conf->connection_rate[CONF_RX]);
	EXPECT_EQ(2 << 20, conf->connection_rate[CONF_TX]);
	EXPECT_EQ(DATA_PATH_USER, conf->data_path);
	EXPECT_STREQ("internal-sftp -R", conf->force_command);
	EXPECT_EQ(LOG_LEVEL_DEBUG1, conf->log_level);
	EXPECT_EQ(2, conf->max_auth_tries);
	EXPECT_FALSE(conf->permit_root_login);
	EXPECT_EQ(1ULL << 30, conf->rekey_bytes);
	EXPECT_EQ(2, conf->n_subsystems);
	EXPECT_STREQ("internal-sftp -u 027", conf->subsystems[0].command);
	EXPECT_STREQ("/bin/x", conf->subsystems[1].command);
	EXPECT_EQ(2, self->base.n_authorized_keys);
	EXPECT_EQ(1, self->base.n_subsystems);
	EXPECT_STREQ("internal-sftp", self->base.subsystems[0].command);
}

TEST_F(match, chroot_is_for_servers_of_root)
{
	int err = load(self, "Match all\nChrootDirectory /srv/%u\n");
	const char *text;

	if (!geteuid()) {
		ASSERT_EQ(0, err);
		EXPECT_STREQ("/srv/%u", apply(self)->chroot_directory);
		EXPECT_NULL(self->base.chroot_directory);
		return;
	}
	EXPECT_EQ(-EINVAL, err);
	text = log_lines_read(&self->lines);
	EXPECT_NOT_NULL(strstr(text, "line 2: ChrootDirectory: "));
	EXPECT_NOT_NULL(strstr(text, "root"));
	EXPECT_EQ(0, load(self, "Match all\nChrootDirectory none\n"));
}

/* ---- faults ---- */

TEST_F(match, faults_are_found_in_blocks_that_may_never_apply)
{
	static const char *const bad[] = {
		"Match",
		"Match User",
		"Match User \"\"",
		"Match User=",
		"Match Nobody x",
		"Match User x all",
		"Match all User x",
		"Match Host example.org",
		"Match Address 10.0.0.1/8",
		"Match LocalAddress a/b",
		"Match LocalPort x",
		"Match LocalPort 70000",
		"Match User a Group",
		"Match Address",
		"Match RDomain x",
		"Match \"User x",
		"Match User none\nPort 22",
		"Match User none\nHostKey /x",
		"Match User none\nCiphers aes128-ctr",
		"Match User none\nStrictModes no",
		"Match User none\nNothing x",
		"Match User none\nMaxAuthTries x",
		"Match User none\nX11Forwarding yes",
		"Match User none\nForceCommand internal-sftp -x",
		"Match User none\nChrootDirectory x",
		"Match User none\nSubsystem x",
		"Match User none\nLoginGraceTime 1",
		"Match User none\nPubkeyAuthentication no",
		"Match Group g\nMaxAuthTries 2",
		"Match User u Group g\nMaxAuthTries 2",
	};
	unsigned int before = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, load(self, bad[i]))
		TH_LOG("%s", bad[i]);
		log_lines_read(&self->lines);
		EXPECT_EQ(before + 1, self->lines.n)
		TH_LOG("%s", bad[i]);
		before = self->lines.n;
	}
}

TEST_F(match, faults_name_file_line_and_keyword)
{
	const char *text;
	char want[128];

	EXPECT_EQ(-EINVAL,
		  load(self, "Match User a\n\nPort 22\nMatch User b\n"
			     "# c\nForceCommand internal-sftp -P nothing\n"));
	text = log_lines_read(&self->lines);
	snprintf(want, sizeof(want), "%s line 3: Port: ", self->path);
	EXPECT_NOT_NULL(strstr(text, want));
	snprintf(want, sizeof(want), "%s line 6: ForceCommand: ", self->path);
	EXPECT_NOT_NULL(strstr(text, want));
	EXPECT_EQ(2, self->lines.n);
}

TEST_F(match, a_faulty_match_line_does_not_open_its_lines_to_all)
{
	EXPECT_EQ(-EINVAL, load(self, "Match User\nForceCommand x\n"));
	EXPECT_NULL(self->base.force_command);
}

TEST_F(match, stands_in_files_only)
{
	EXPECT_EQ(-EINVAL, conf_set(&self->base, "Match all"));
	EXPECT_NOT_NULL(
		strstr(log_lines_read(&self->lines), "command line: Match: "));
}

TEST_F(match, subsystems_stay_bounded)
{
	char text[1024] = "";
	int i;

	for (i = 0; i < CONF_SUBSYSTEMS_MAX; i++)
		sprintf(text + strlen(text), "Subsystem s%d x\n", i);
	strcat(text, "Match all\nSubsystem s3 y\n");
	ASSERT_EQ(0, load(self, text));
	EXPECT_STREQ("y", apply(self)->subsystems[3].command);
	strcat(text, "Subsystem more x\n");
	EXPECT_EQ(-EINVAL, load(self, text));
}

TEST_HARNESS_MAIN
