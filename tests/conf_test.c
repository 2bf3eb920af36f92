// SPDX-License-Identifier: MIT
/* conf/: keywords, values, faults. */
#include <fcntl.h>
#include <sys/socket.h>
#include <syslog.h>

#include "conf/conf.h"
#include "harness.h"
#include "kex/kex.h"
#include "lib/mem.h"
#include "log_lines.h"

FIXTURE(conf)
{
	struct conf conf;
	struct log_lines lines;
	char path[64];
};

FIXTURE_SETUP(conf)
{
	conf_init(&self->conf);
	log_lines_open(&self->lines, LOG_LEVEL_INFO);
	strcpy(self->path, "/tmp/kssh-conf-XXXXXX");
	close(mkstemp(self->path));
}

FIXTURE_TEARDOWN(conf)
{
	unlink(self->path);
	conf_free(&self->conf);
	log_lines_close(&self->lines);
}

static int load_bytes(FIXTURE_DATA(conf) *self, const void *text, size_t len)
{
	int fd = open(self->path, O_WRONLY | O_TRUNC);

	ASSERT_LE(0, fd);
	ASSERT_EQ(len, write(fd, text, len));
	close(fd);
	return conf_load(&self->conf, self->path);
}

static int load(FIXTURE_DATA(conf) *self, const char *text)
{
	return load_bytes(self, text, strlen(text));
}

TEST_F(conf, is_complete_without_a_file)
{
	struct conf *conf = &self->conf;

	ASSERT_EQ(0, conf_load(conf, NULL));
	EXPECT_EQ(1, conf->n_ports);
	EXPECT_STREQ("22", conf->ports[0]);
	EXPECT_EQ(0, conf->n_listen);
	EXPECT_EQ(0, conf->n_host_keys);
	EXPECT_EQ(2, conf->n_authorized_keys);
	EXPECT_STREQ(".ssh/authorized_keys", conf->authorized_keys[0]);
	EXPECT_STREQ(".ssh/authorized_keys2", conf->authorized_keys[1]);
	EXPECT_STREQ(kex_default_ciphers, conf->ciphers);
	EXPECT_STREQ(kex_default_macs, conf->macs);
	EXPECT_STREQ(kex_default_kex, conf->kex);
	EXPECT_EQ(0, conf->rekey_bytes);
	EXPECT_EQ(0, conf->rekey_seconds);
	EXPECT_EQ(1, conf->n_subsystems);
	EXPECT_STREQ("sftp", conf->subsystems[0].name);
	EXPECT_STREQ("internal-sftp", conf->subsystems[0].command);
	EXPECT_EQ(LOG_LEVEL_INFO, conf->log_level);
	EXPECT_EQ(DATA_PATH_AUTO, conf->data_path);
	EXPECT_EQ(120, conf->login_grace_time);
	EXPECT_EQ(100, conf->max_startups);
	EXPECT_EQ(6, conf->max_auth_tries);
	EXPECT_TRUE(conf->strict_modes);
	EXPECT_TRUE(conf->tcp_keep_alive);
	EXPECT_TRUE(conf->permit_root_login);
	EXPECT_EQ(0, conf->client_alive_interval);
	EXPECT_EQ(3, conf->client_alive_count_max);
	EXPECT_STREQ("/run/ksshd.pid", conf->pid_file);
}

TEST_F(conf, exec_stdio_goes_by_the_first_pattern)
{
	struct conf *conf = &self->conf;

	EXPECT_FALSE(conf_exec_direct(conf, "cat x"));
	ASSERT_EQ(0, load(self, "ExecStdio pipe \"cat -n*\"\n"
				"ExecStdio direct \"cat *\" rsync*\n"));
	EXPECT_FALSE(conf_exec_direct(conf, "cat -n x"));
	EXPECT_TRUE(conf_exec_direct(conf, "cat x"));
	EXPECT_TRUE(conf_exec_direct(conf, "rsync --server . /a/b"));
	EXPECT_FALSE(conf_exec_direct(conf, "cat"));
}

TEST_F(conf, exec_stdio_without_a_pattern_is_for_all)
{
	ASSERT_EQ(0, load(self, "ExecStdio direct\n"));
	EXPECT_TRUE(conf_exec_direct(&self->conf, ""));
	EXPECT_TRUE(conf_exec_direct(&self->conf, "anything /else"));
}

TEST_F(conf, exec_stdio_refuses_other_words)
{
	EXPECT_EQ(-EINVAL, load(self, "ExecStdio socket\n"));
	EXPECT_NOT_NULL(strstr(log_lines_read(&self->lines), "ExecStdio"));
}

TEST_F(conf, takes_the_value_of_every_keyword)
{
	struct conf *conf = &self->conf;

	ASSERT_EQ(0, load(self, "AddressFamily inet6\n"
				"AuthorizedKeysFile .k /etc/keys/%u %h/%%\n"
				"Ciphers aes256-ctr\n"
				"ClientAliveCountMax 7\n"
				"ClientAliveInterval 1m30s\n"
				"DataPath kernel\n"
				"HostKey /a\nHostKey /b\n"
				"KexAlgorithms curve25519-sha256\n"
				"LogLevel DEBUG2\n"
				"LoginGraceTime 0\n"
				"MACs hmac-sha2-256\n"
				"MaxAuthTries 3\n"
				"MaxStartups 10:30:60\n"
				"PermitRootLogin no\n"
				"PidFile none\n"
				"Port 2222\nPort 2223\n"
				"RekeyLimit 1G 1h\n"
				"StrictModes no\n"
				"Subsystem x /bin/x -y\n"
				"SyslogFacility LOCAL3\n"
				"TCPKeepAlive no\n"));
	EXPECT_EQ(AF_INET6, conf->address_family);
	EXPECT_EQ(3, conf->n_authorized_keys);
	EXPECT_STREQ("/etc/keys/%u", conf->authorized_keys[1]);
	EXPECT_STREQ("aes256-ctr", conf->ciphers);
	EXPECT_EQ(7, conf->client_alive_count_max);
	EXPECT_EQ(90, conf->client_alive_interval);
	EXPECT_EQ(DATA_PATH_KERNEL, conf->data_path);
	EXPECT_EQ(2, conf->n_host_keys);
	EXPECT_STREQ("/b", conf->host_keys[1]);
	EXPECT_STREQ("curve25519-sha256", conf->kex);
	EXPECT_EQ(LOG_LEVEL_DEBUG2, conf->log_level);
	EXPECT_EQ(0, conf->login_grace_time);
	EXPECT_STREQ("hmac-sha2-256", conf->macs);
	EXPECT_EQ(3, conf->max_auth_tries);
	EXPECT_EQ(10, conf->max_startups_begin);
	EXPECT_EQ(30, conf->max_startups_rate);
	EXPECT_EQ(60, conf->max_startups);
	EXPECT_FALSE(conf->permit_root_login);
	EXPECT_NULL(conf->pid_file);
	EXPECT_EQ(2, conf->n_ports);
	EXPECT_STREQ("2223", conf->ports[1]);
	EXPECT_EQ(1ULL << 30, conf->rekey_bytes);
	EXPECT_EQ(3600, conf->rekey_seconds);
	EXPECT_FALSE(conf->strict_modes);
	EXPECT_EQ(1, conf->n_subsystems);
	EXPECT_STREQ("/bin/x -y", conf->subsystems[0].command);
	EXPECT_EQ(LOG_LOCAL3, conf->syslog_facility);
	EXPECT_FALSE(conf->tcp_keep_alive);
}

TEST_F(conf, takes_keywords_that_say_what_is_so_anyway)
{
	EXPECT_EQ(0,
		  load(self,
		       "UsePAM no\nPasswordAuthentication no\n"
		       "KbdInteractiveAuthentication no\nX11Forwarding no\n"
		       "PubkeyAuthentication yes\nPermitTTY no\nPrintMotd NO\n"
		       "Compression no\nBanner none\nChrootDirectory none\n"
		       "AuthenticationMethods any\n"
		       "AcceptEnv LANG LC_* COLORTERM\nAcceptEnv NO_COLOR\n"));
	EXPECT_STREQ("", log_lines_read(&self->lines));
}

TEST_F(conf, keeps_the_first_value_of_a_keyword)
{
	ASSERT_EQ(0,
		  load(self, "MaxAuthTries 3\nMaxAuthTries 4\n"
			     "AuthorizedKeysFile one\nAuthorizedKeysFile two\n"
			     "Ciphers aes128-ctr\nCiphers aes256-ctr\n"
			     "PidFile /a\nPidFile /b\n"
			     "Subsystem s a\nSubsystem s b\n"));
	EXPECT_EQ(3, self->conf.max_auth_tries);
	EXPECT_EQ(1, self->conf.n_authorized_keys);
	EXPECT_STREQ("one", self->conf.authorized_keys[0]);
	EXPECT_STREQ("aes128-ctr", self->conf.ciphers);
	EXPECT_STREQ("/a", self->conf.pid_file);
	EXPECT_EQ(1, self->conf.n_subsystems);
	EXPECT_STREQ("a", self->conf.subsystems[0].command);
}

TEST_F(conf, reads_rates_in_bytes_per_second)
{
	struct conf *conf = &self->conf;

	ASSERT_EQ(0, load(self, "ConnectionRateLimit 20M\n"
				"ConnectionRateLimit 1M\n"));
	EXPECT_EQ(20 << 20, conf->connection_rate[CONF_RX]);
	EXPECT_EQ(20 << 20, conf->connection_rate[CONF_TX]);
	EXPECT_EQ(0, conf->user_rate[CONF_RX]);
	conf_free(conf);
	conf_init(conf);
	ASSERT_EQ(0, load(self, "ConnectionRateLimit none 1024\n"
				"UserRateLimit none\n"));
	EXPECT_EQ(0, conf->connection_rate[CONF_RX]);
	EXPECT_EQ(1024, conf->connection_rate[CONF_TX]);
	EXPECT_EQ(0, conf->user_rate[CONF_TX]);
}

TEST_F(conf, has_rates_of_users_for_servers_of_root)
{
	int err = load(self, "UserRateLimit 1G 5k\n");

	EXPECT_EQ(geteuid() ? -EINVAL : 0, err);
	if (geteuid())
		return;
	EXPECT_EQ(1 << 30, self->conf.user_rate[CONF_RX]);
	EXPECT_EQ(5 << 10, self->conf.user_rate[CONF_TX]);
}

TEST_F(conf, lets_the_command_line_win)
{
	ASSERT_EQ(0, conf_set(&self->conf, "MaxAuthTries=9"));
	ASSERT_EQ(0, conf_set(&self->conf, "strictmodes no"));
	ASSERT_EQ(0, conf_set(&self->conf, "Port=1"));
	ASSERT_EQ(0, conf_set(&self->conf, "Port = 2"));
	ASSERT_EQ(0, load(self, "MaxAuthTries 3\nStrictModes yes\nPort 3\n"));
	EXPECT_EQ(9, self->conf.max_auth_tries);
	EXPECT_FALSE(self->conf.strict_modes);
	EXPECT_EQ(2, self->conf.n_ports);
	EXPECT_STREQ("1", self->conf.ports[0]);
	EXPECT_STREQ("2", self->conf.ports[1]);
}

TEST_F(conf, cuts_quotes_comments_and_blanks)
{
	ASSERT_EQ(0, load(self, "# comment\n"
				"\n"
				"   \t# another\n"
				"  \tmaxauthtries\t=  4   # behind\r\n"
				"PidFile \"/tmp/with space#x\" # c\n"
				"HostKey '/a b'/c\\ d\n"
				"HostKey=/e\n"
				"AuthorizedKeysFile a#b \"c\\\"d\"\n"
				"Subsystem s sh -c 'echo \"a b\"'\n"
				"Subsystem t \"sh -c 'a b'\""));
	EXPECT_EQ(4, self->conf.max_auth_tries);
	EXPECT_STREQ("/tmp/with space#x", self->conf.pid_file);
	EXPECT_STREQ("/a b/c d", self->conf.host_keys[0]);
	EXPECT_STREQ("/e", self->conf.host_keys[1]);
	EXPECT_EQ(2, self->conf.n_authorized_keys);
	EXPECT_STREQ("a#b", self->conf.authorized_keys[0]);
	EXPECT_STREQ("c\"d", self->conf.authorized_keys[1]);
	EXPECT_STREQ("sh -c 'echo \"a b\"'", self->conf.subsystems[0].command);
	EXPECT_STREQ("sh -c 'a b'", self->conf.subsystems[1].command);
}

TEST_F(conf, keeps_a_forced_command_as_it_is_written)
{
	ASSERT_EQ(0, load(self, "ForceCommand  echo \"a  b\" 'c' # d \t\n"
				"ForceCommand other\n"));
	EXPECT_STREQ("echo \"a  b\" 'c' # d", self->conf.force_command);
	conf_free(&self->conf);
	conf_init(&self->conf);
	ASSERT_EQ(0, load(self, "ForceCommand none\nForceCommand other\n"
				"Subsystem s internal-sftp -d '/a b' -R\n"));
	EXPECT_NULL(self->conf.force_command);
	EXPECT_STREQ("internal-sftp -d '/a b' -R",
		     self->conf.subsystems[0].command);
}

TEST_F(conf, understands_all_forms_of_an_address)
{
	static const struct {
		const char *host;
		const char *port;
	} want[] = {
		{ "1.2.3.4", NULL },	{ "1.2.3.4", "22" },
		{ "::1", NULL },	{ "::1", "2222" },
		{ "::1", NULL },	{ "localhost", "ssh" },
		{ NULL, "2222" },	{ NULL, NULL },
	};
	const struct conf_listen *entry;
	size_t i;

	ASSERT_EQ(0,
		  load(self, "ListenAddress 1.2.3.4\nListenAddress 1.2.3.4:22\n"
			     "ListenAddress ::1\nListenAddress [::1]:2222\n"
			     "ListenAddress [::1]\nListenAddress localhost:22\n"
			     "ListenAddress *:2222\nListenAddress *\n"));
	ASSERT_EQ(ARRAY_SIZE(want), self->conf.n_listen);
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		entry = &self->conf.listen[i];
		if (want[i].host)
			EXPECT_STREQ(want[i].host, entry->host);
		else
			EXPECT_NULL(entry->host);
		if (!want[i].port)
			EXPECT_NULL(entry->port);
		else if (strcmp(want[i].port, "ssh"))
			EXPECT_STREQ(want[i].port, entry->port);
		else
			EXPECT_STREQ("22", entry->port);
	}
}

TEST_F(conf, names_file_line_and_keyword_of_every_fault)
{
	const char *text;
	char want[128];

	EXPECT_EQ(
		-EINVAL,
		load(self,
		     "Port 22\nNoSuchThing yes\n\nMaxAuthTries x\nPort 99999\n"));
	text = log_lines_read(&self->lines);
	EXPECT_EQ(3, self->lines.n);
	snprintf(want, sizeof(want), "%s line 2: NoSuchThing: ", self->path);
	EXPECT_NOT_NULL(strstr(text, want));
	snprintf(want, sizeof(want), "%s line 4: MaxAuthTries: ", self->path);
	EXPECT_NOT_NULL(strstr(text, want));
	snprintf(want, sizeof(want), "%s line 5: Port: ", self->path);
	EXPECT_NOT_NULL(strstr(text, want));
}

TEST_F(conf, refuses_what_it_cannot_do)
{
	static const char *const bad[] = {
		"Include /etc/x",
		"UsePAM yes",
		"PasswordAuthentication yes",
		"X11Forwarding yes",
		"KbdInteractiveAuthentication yes",
		"PubkeyAuthentication no",
		"PermitTTY yes",
		"AllowTcpForwarding yes",
		"AllowUsers x",
		"Compression yes",
		"AuthenticationMethods password",
		"Banner /x",
		"Subsystem sftp internal-sftp -Q requests",
		"ForceCommand internal-sftp -P nothing",
		"AcceptEnv LD_PRELOAD",
		"AcceptEnv *",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(-EINVAL, load(self, bad[i]))
	TH_LOG("%s", bad[i]);
	log_lines_read(&self->lines);
	EXPECT_EQ(ARRAY_SIZE(bad), self->lines.n);
}

TEST_F(conf, refuses_values_that_make_no_sense)
{
	static const char *const bad[] = {
		"AddressFamily x",
		"AddressFamily",
		"AuthorizedKeysFile %x",
		"AuthorizedKeysFile a b c d e",
		"AuthorizedKeysFile \"\"",
		"AuthorizedKeysFile a%",
		"Ciphers no-such",
		"Ciphers",
		"ClientAliveInterval 1x",
		"ClientAliveInterval -1",
		"ClientAliveInterval 99999999999",
		"ClientAliveCountMax 1 2",
		"ConnectionRateLimit",
		"ConnectionRateLimit 0",
		"ConnectionRateLimit 1023",
		"ConnectionRateLimit 1M 2M 3M",
		"ConnectionRateLimit 1M default",
		"ConnectionRateLimit 1Mbit",
		"UserRateLimit fast",
		"UserRateLimit 1M 1",
		"DataPath none",
		"HostKey",
		"HostKey \"\"",
		"KexAlgorithms x",
		"ListenAddress [::1",
		"ListenAddress [::1]x",
		"ListenAddress [::1]:",
		"ListenAddress []",
		"ListenAddress a:",
		"ListenAddress 1.2.3.4:99999",
		"ListenAddress a rdomain x",
		"LogLevel LOUD",
		"LoginGraceTime x",
		"LoginGraceTime \"\"",
		"MACs hmac-md5",
		"MaxAuthTries",
		"MaxAuthTries 1000001",
		"MaxStartups 0",
		"MaxStartups 1:2",
		"MaxStartups 9:30:8",
		"MaxStartups 9:101:10",
		"MaxStartups 1:2:3:4",
		"MaxStartups a:2:3",
		"PermitRootLogin forced-commands-only",
		"Port 0x10",
		"Port -1",
		"Port 22x",
		"Port",
		"RekeyLimit 1T",
		"RekeyLimit 15",
		"RekeyLimit 1G x",
		"RekeyLimit 1G 1h 3",
		"RekeyLimit 1GG",
		"RekeyLimit 99999999999999999999",
		"StrictModes maybe",
		"ChrootDirectory x/y",
		"ChrootDirectory %d",
		"ChrootDirectory /a%",
		"ChrootDirectory",
		"ForceCommand",
		"ForceCommand \"\"",
		"ForceCommand it's",
		"Subsystem sftp internal-sftp -u 9",
		"Subsystem sftp \"internal-sftp -u\"",
		"Subsystem x",
		"Subsystem x \"\"",
		"SyslogFacility KERN",
		"PidFile \"/x",
		"PidFile '/x",
		"=5",
		"\"Port\" 22",
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
		conf_free(&self->conf);
		conf_init(&self->conf);
	}
}

TEST_F(conf, understands_times_and_sizes)
{
	ASSERT_EQ(0,
		  load(self, "RekeyLimit 100K none\nLoginGraceTime 1w2d3h4m5s\n"
			     "ClientAliveInterval 2m3\n"));
	EXPECT_EQ(100 * 1024, self->conf.rekey_bytes);
	EXPECT_EQ(0, self->conf.rekey_seconds);
	EXPECT_EQ(7 * 86400 + 2 * 86400 + 3 * 3600 + 4 * 60 + 5,
		  self->conf.login_grace_time);
	EXPECT_EQ(123, self->conf.client_alive_interval);
}

TEST_F(conf, bounds_its_lists)
{
	char text[4096] = "";
	int i;

	for (i = 0; i < CONF_LISTEN_MAX + 1; i++)
		sprintf(text + strlen(text), "Port %d\n", 1000 + i);
	for (i = 0; i < CONF_HOST_KEYS_MAX + 1; i++)
		sprintf(text + strlen(text), "HostKey /%d\n", i);
	for (i = 0; i < CONF_LISTEN_MAX + 1; i++)
		sprintf(text + strlen(text), "ListenAddress 127.0.0.%d:1\n", i);
	for (i = 0; i < CONF_SUBSYSTEMS_MAX + 1; i++)
		sprintf(text + strlen(text), "Subsystem s%d x\n", i);
	EXPECT_EQ(-EINVAL, load(self, text));
	log_lines_read(&self->lines);
	EXPECT_EQ(4, self->lines.n);
}

TEST_F(conf, bounds_the_arguments_of_a_line)
{
	char text[4096] = "Subsystem x";
	int i;

	for (i = 0; i < 100; i++)
		strcat(text, " y");
	EXPECT_EQ(-EINVAL, load(self, text));
	EXPECT_NOT_NULL(strstr(log_lines_read(&self->lines), "too many"));
}

TEST_F(conf, refuses_a_file_that_is_not_text)
{
	EXPECT_EQ(-EINVAL, load_bytes(self, "Port 22\nPort\0 23\n", 17));
	EXPECT_NOT_NULL(strstr(log_lines_read(&self->lines), "line 2: a NUL"));
}

TEST_F(conf, reports_a_file_that_cannot_be_read)
{
	EXPECT_EQ(-ENOENT, conf_load(&self->conf, "/tmp/no/such/file"));
	EXPECT_EQ(-EISDIR, conf_load(&self->conf, "/tmp"));
	log_lines_read(&self->lines);
	EXPECT_EQ(2, self->lines.n);
}

TEST_F(conf, reports_faults_of_the_command_line)
{
	EXPECT_EQ(-EINVAL, conf_set(&self->conf, "Port=x"));
	EXPECT_EQ(-EINVAL, conf_set(&self->conf, "Nothing"));
	EXPECT_EQ(-EINVAL, conf_set(&self->conf, ""));
	EXPECT_NOT_NULL(
		strstr(log_lines_read(&self->lines), "command line: Port: "));
	EXPECT_EQ(3, self->lines.n);
}

TEST_F(conf, makes_relative_names_absolute)
{
	char cwd[4096];
	char want[4200];

	ASSERT_NOT_NULL(getcwd(cwd, sizeof(cwd)));
	snprintf(want, sizeof(want), "%s/key", cwd);
	ASSERT_EQ(0, load(self, "HostKey key\n"));
	EXPECT_STREQ(want, self->conf.host_keys[0]);
}

TEST_HARNESS_MAIN
