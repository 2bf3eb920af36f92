// SPDX-License-Identifier: MIT
/* Who spent how much time: processes, kernel threads, nobody. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "datapath.h"

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

int64_t clock_process(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static bool is_kthread(const char *pid)
{
	char path[300], line[512], *p;
	bool yes = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	/* "pid (comm) state ppid": kthreadd's children */
	if (fgets(line, sizeof(line), file)) {
		p = strrchr(line, ')');
		yes = p && strlen(p) > 4 && atoi(p + 4) == 2;
	}
	fclose(file);
	return yes;
}

static int64_t run_time(const char *pid)
{
	char path[300];
	int64_t ns = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/schedstat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%" SCNd64, &ns) != 1)
		ns = 0;
	fclose(file);
	return ns;
}

static int64_t clock_kthreads(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *ent;
	int64_t sum = 0;

	while (proc && (ent = readdir(proc)))
		if (ent->d_name[0] >= '0' && ent->d_name[0] <= '9' &&
		    is_kthread(ent->d_name))
			sum += run_time(ent->d_name);
	if (proc)
		closedir(proc);
	return sum;
}

/* In ticks: what there is on newer kernels. */
static int64_t clock_idle_ticks(void)
{
	FILE *file = fopen("/proc/stat", "re");
	int64_t ticks = 0;

	if (!file)
		return 0;
	if (fscanf(file, "cpu %*d %*d %*d %" SCNd64, &ticks) != 1)
		ticks = 0;
	fclose(file);
	return ticks * (INT64_C(1000000000) / sysconf(_SC_CLK_TCK));
}

static int64_t clock_idle(void)
{
	FILE *file = fopen("/proc/timer_list", "re");
	const char *key = ".idle_sleeptime";
	bool found = false;
	int64_t sum = 0;
	char line[256];
	char *p;

	while (file && fgets(line, sizeof(line), file)) {
		p = strstr(line, key);
		if (!p)
			continue;
		sum += strtoll(p + strcspn(p, ":") + 1, NULL, 10);
		found = true;
	}
	if (file)
		fclose(file);
	return found ? sum : clock_idle_ticks();
}

struct clocks clocks_now(void)
{
	struct clocks now = { 0 };

	now.kthreads = clock_kthreads();
	now.idle = clock_idle();
	now.self = clock_process();
	now.elapsed = clock_ns(CLOCK_MONOTONIC);
	return now;
}

struct clocks clocks_between(const struct clocks *from, const struct clocks *to)
{
	return (struct clocks){
		.elapsed = to->elapsed - from->elapsed,
		.idle = to->idle - from->idle,
		.self = to->self - from->self,
		.kthreads = to->kthreads - from->kthreads,
	};
}
