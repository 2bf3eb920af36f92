// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of the test machine.
 *
 *	initramfs: load modules -> mount root (9p, read-only) below a tmpfs
 *	-> network -> kssh.ko -> the command -> kill all -> unload kssh.ko
 *	-> look for leaks -> write the verdict -> power off
 *
 * The command's output goes through a pipe to the virtio port "kssh.out"; a
 * port can be opened once only, a pipe as often as /dev/stdout is. The verdict
 * goes to the port "kssh.result"; without it the run has failed, whatever the
 * console shows. Settings come from the kernel's command line as environment.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OPTS_9P "trans=virtio,version=9p2000.L,msize=524288"
#define KMEMLEAK "/sys/kernel/debug/kmemleak"
/* Where the command's script and other files of this run are. */
#define RUN_DIR "/vm"

static int kmsg = -1;

static __attribute__((format(printf, 1, 2))) void say(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int len;

	len = snprintf(line, sizeof(line), "<5>init: ");
	va_start(ap, fmt);
	vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	va_end(ap);
	if (write(kmsg, line, strlen(line)) < 0)
		return;
}

static _Noreturn void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static _Noreturn void fatal(const char *what)
{
	say("%s: %s", what, strerror(errno));
	power_off();
}

static void nap(int msec)
{
	struct timespec ts = { msec / 1000, (msec % 1000) * 1000000L };

	nanosleep(&ts, NULL);
}

/* Mounts. */

static int try_mount(const char *src, const char *dir, const char *type,
		     unsigned long flags, const char *opts)
{
	mkdir(dir, 0755);
	if (!mount(src, dir, type, flags, opts))
		return 0;
	say("mount %s on %s: %s", src, dir, strerror(errno));
	return -errno;
}

static void need_mount(const char *src, const char *dir, const char *type,
		       unsigned long flags, const char *opts)
{
	if (try_mount(src, dir, type, flags, opts))
		power_off();
}

static void mount_early(void)
{
	need_mount("dev", "/dev", "devtmpfs", MS_NOSUID, "mode=0755");
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	need_mount("proc", "/proc", "proc", 0, NULL);
	need_mount("sys", "/sys", "sysfs", 0, NULL);
}

static void mount_root(void)
{
	need_mount("root", "/lower", "9p", MS_RDONLY, OPTS_9P ",cache=loose");
	need_mount("rw", "/rw", "tmpfs", 0, "mode=0755");
	mkdir("/rw/upper", 0755);
	mkdir("/rw/work", 0755);
	need_mount("overlay", "/new", "overlay", 0,
		   "lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work");
	need_mount("/dev", "/new/dev", NULL, MS_MOVE, NULL);
	need_mount("/proc", "/new/proc", NULL, MS_MOVE, NULL);
	need_mount("/sys", "/new/sys", NULL, MS_MOVE, NULL);
	if (chdir("/new") || mount(".", "/", NULL, MS_MOVE, NULL) ||
	    chroot("."))
		fatal("new root");
}

static void mount_late(void)
{
	need_mount("src", "/src", "9p", MS_RDONLY, OPTS_9P ",cache=loose");
	need_mount("vm", RUN_DIR, "9p", 0, OPTS_9P ",cache=none");
	if (getenv("KSSH_SHARE"))
		need_mount("share", "/share", "9p", 0, OPTS_9P ",cache=none");
	try_mount("pts", "/dev/pts", "devpts", 0, "mode=0620,ptmxmode=0666");
	try_mount("shm", "/dev/shm", "tmpfs", 0, "mode=1777");
	try_mount("tmp", "/tmp", "tmpfs", 0, "mode=1777");
	try_mount("run", "/run", "tmpfs", 0, "mode=0755");
	try_mount("debug", "/sys/kernel/debug", "debugfs", 0, NULL);
	try_mount("trace", "/sys/kernel/tracing", "tracefs", 0, NULL);
	try_mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL);
	try_mount("cgroup", "/sys/fs/cgroup", "cgroup2", 0, NULL);
	if (symlink("/proc/self/fd", "/dev/fd") ||
	    symlink("/proc/self/fd/0", "/dev/stdin") ||
	    symlink("/proc/self/fd/1", "/dev/stdout") ||
	    symlink("/proc/self/fd/2", "/dev/stderr"))
		say("links in /dev: %s", strerror(errno));
}

/* Modules. */

static int load_module(const char *path, const char *params)
{
	int fd, err = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* ENODEV: a driver of something this processor lacks. */
	if (syscall(SYS_finit_module, fd, params, 0) && errno != EEXIST &&
	    errno != ENODEV)
		err = -errno;
	close(fd);
	return err;
}

/* The initramfs names its modules in the order of their needs. */
static void load_modules(void)
{
	char name[128], path[160];
	FILE *order;
	int err;

	order = fopen("/modules/order", "re");
	if (!order)
		return;
	while (fscanf(order, "%127s", name) == 1) {
		snprintf(path, sizeof(path), "/modules/%s", name);
		err = load_module(path, "");
		if (err)
			say("%s: %s", name, strerror(-err));
	}
	fclose(order);
}

static void load_kssh(void)
{
	const char *path = getenv("KSSH_MODULE");
	int err;

	if (!path)
		return;
	err = load_module(path, "");
	if (err) {
		errno = -err;
		fatal(path);
	}
}

/* A module that cannot go is in use: something holds a socket or forgot to
 * put one. Work that was queued for later gets a while.
 */
static int unload_kssh(void)
{
	int tries;

	if (!getenv("KSSH_MODULE"))
		return 0;
	for (tries = 0; tries < 100; tries++) {
		if (!syscall(SYS_delete_module, "kssh", O_NONBLOCK) ||
		    errno == ENOENT)
			return 0;
		nap(100);
	}
	say("WARNING: kssh cannot be unloaded: %s", strerror(errno));
	return 1;
}

/* Network: what QEMU's user network hands out, without asking for it. */

static void set_addr(struct sockaddr *sa, const char *text)
{
	struct sockaddr_in *in = (struct sockaddr_in *)sa;

	in->sin_family = AF_INET;
	inet_pton(AF_INET, text, &in->sin_addr);
}

static void link_up(int fd, const char *name)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		say("%s: %s", name, strerror(errno));
}

static void set_up_network(void)
{
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };
	struct ifreq ifr = { .ifr_name = "eth0" };
	int fd;

	if (sethostname("kssh-vm", 7))
		say("hostname: %s", strerror(errno));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	link_up(fd, "lo");
	set_addr(&ifr.ifr_addr, "10.0.2.15");
	if (ioctl(fd, SIOCSIFADDR, &ifr))
		say("eth0: %s", strerror(errno));
	set_addr(&ifr.ifr_netmask, "255.255.255.0");
	if (ioctl(fd, SIOCSIFNETMASK, &ifr))
		say("eth0: %s", strerror(errno));
	link_up(fd, "eth0");
	set_addr(&route.rt_dst, "0.0.0.0");
	set_addr(&route.rt_genmask, "0.0.0.0");
	set_addr(&route.rt_gateway, "10.0.2.2");
	if (ioctl(fd, SIOCADDRT, &route))
		say("route: %s", strerror(errno));
	close(fd);
}

/* Ports: they come up a moment after their driver. */

static int open_port_once(const char *want)
{
	char path[300], name[64];
	struct dirent *ent;
	int fd = -1;
	DIR *dir;

	dir = opendir("/sys/class/virtio-ports");
	while (dir && fd < 0 && (ent = readdir(dir))) {
		FILE *file;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name",
			 ent->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%63s", name) == 1 && !strcmp(name, want)) {
			snprintf(path, sizeof(path), "/dev/%s", ent->d_name);
			fd = open(path, O_RDWR | O_CLOEXEC);
		}
		fclose(file);
	}
	if (dir)
		closedir(dir);
	return fd;
}

static int open_port(const char *want)
{
	int tries, fd;

	for (tries = 0; tries < 500; tries++) {
		fd = open_port_once(want);
		if (fd >= 0)
			return fd;
		nap(20);
	}
	return -1;
}

static void write_all(int fd, const char *data, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(fd, data, len);
		if (n <= 0)
			return;
		data += n;
		len -= n;
	}
}

/* The command. */

static _Noreturn void exec_command(int out, bool shell)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (shell && ioctl(out, TIOCSCTTY, 1))
		say("terminal: %s", strerror(errno));
	dup2(shell ? out : open("/dev/null", O_RDONLY), 0);
	dup2(out, 1);
	dup2(out, 2);
	execl("/bin/bash", "bash", RUN_DIR "/cmd", NULL);
	say("bash: %s", strerror(errno));
	_exit(127);
}

static bool pump(int from, int to)
{
	char data[65536];
	ssize_t n;

	n = read(from, data, sizeof(data));
	if (n <= 0)
		return false;
	write_all(to, data, n);
	return true;
}

/* Reaps everything; true once the command itself, or all, is gone. */
static bool reap(pid_t command, int *status)
{
	bool gone = false;
	int how;
	pid_t pid;

	while ((pid = waitpid(-1, &how, WNOHANG)) > 0) {
		if (pid != command)
			continue;
		*status = how;
		gone = true;
	}
	return gone || pid < 0;
}

static int run_command(void)
{
	struct pollfd pfd = { .events = POLLIN };
	bool shell = getenv("KSSH_SHELL");
	int ends[2], out, status = 0;
	pid_t pid;

	out = shell ? open("/dev/hvc0", O_RDWR) : open_port("kssh.out");
	if (out < 0)
		fatal("output");
	if (pipe2(ends, O_CLOEXEC))
		fatal("pipe");
	pid = fork();
	if (pid < 0)
		fatal("fork");
	if (!pid)
		exec_command(shell ? out : ends[1], shell);
	close(ends[1]);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	pfd.fd = ends[0];
	while (!reap(pid, &status)) {
		if (poll(&pfd, 1, 20) > 0 && !pump(ends[0], out))
			nap(20);
	}
	while (pump(ends[0], out))
		;
	close(ends[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void kill_all(void)
{
	int tries, status;

	kill(-1, SIGTERM);
	for (tries = 0; tries < 100 && !reap(0, &status); tries++) {
		if (tries == 20)
			kill(-1, SIGKILL);
		nap(20);
	}
}

/* Leaks. */

static void kmemleak(const char *word)
{
	int fd = open(KMEMLEAK, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, word, strlen(word)) < 0)
		say("kmemleak %s: %s", word, strerror(errno));
	close(fd);
}

/* What the first scan finds may be a pointer in flight; the second counts. */
static int find_leaks(void)
{
	char line[256];
	FILE *report;
	int nr = 0;

	if (access(KMEMLEAK, F_OK))
		return 0;
	nap(1000);
	kmemleak("scan");
	nap(5000);
	kmemleak("scan");
	report = fopen(KMEMLEAK, "re");
	while (report && fgets(line, sizeof(line), report)) {
		line[strcspn(line, "\n")] = '\0';
		nr += !strncmp(line, "unreferenced", 12);
		say("kmemleak: %s", line);
	}
	if (report)
		fclose(report);
	return nr;
}

int main(void)
{
	int result, status, stuck, leaks;
	char verdict[128];

	if (getpid() != 1)
		return 1;
	mount_early();
	load_modules();
	mount_root();
	mount_late();
	set_up_network();
	result = open_port("kssh.result");
	if (result < 0)
		fatal("result port");
	load_kssh();
	kmemleak("clear");
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	say("the command starts");
	status = run_command();
	say("the command ended with %d", status);
	kill_all();
	stuck = unload_kssh();
	leaks = find_leaks();
	snprintf(verdict, sizeof(verdict), "status %d stuck %d leaks %d done\n",
		 status, stuck, leaks);
	write_all(result, verdict, strlen(verdict));
	power_off();
}
