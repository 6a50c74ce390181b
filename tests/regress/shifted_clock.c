/*
 * Preloaded into a program, it has another time of day there: CLOCK_SHIFT seconds later, in the program that CLOCK_OF
 * names and not in those that it starts. Timers and CLOCK_MONOTONIC stay as they are.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static time_t shift(void)
{
	const char *program = getenv("CLOCK_OF"), *seconds = getenv("CLOCK_SHIFT");

	if (program == NULL || seconds == NULL ||
	    strcmp(program, program_invocation_short_name) != 0)
		return 0;
	return (time_t)strtoll(seconds, NULL, 10);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
	int status = (int)syscall(SYS_clock_gettime, id, now);

	if (status == 0 && id == CLOCK_REALTIME)
		now->tv_sec += shift();
	return status;
}

time_t time(time_t *now)
{
	struct timespec exact;

	clock_gettime(CLOCK_REALTIME, &exact);
	if (now != NULL)
		*now = exact.tv_sec;
	return exact.tv_sec;
}
