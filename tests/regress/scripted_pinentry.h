/*
 * A pinentry's side of Assuan for tests that need answers in a certain order: real ones want a terminal.
 */
#ifndef SG_TESTS_SCRIPTED_PINENTRY_H
#define SG_TESTS_SCRIPTED_PINENTRY_H

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	const char *const *answers; /* to GETPIN, in their order; then it is cancelled */
	int questions;
	char seen[8192]; /* all that it was told */
	int sock;
	pthread_t thread;
} pinentry;

static void pinentry_answer(FILE *out)
{
	if (*pinentry.answers == NULL) {
		fputs("ERR 83886179 Operation cancelled <Pinentry>\n", out);
		return;
	}
	pinentry.questions++;
	fprintf(out, "D %s\nOK\n", *pinentry.answers++);
}

static void *pinentry_serve(void *arg)
{
	FILE *in = fdopen(pinentry.sock, "r"), *out = fdopen(dup(pinentry.sock), "w");
	char line[1100];

	fputs("OK Pleased to meet you\n", out);
	fflush(out);
	while (fgets(line, sizeof(line), in) != NULL) {
		strncat(pinentry.seen, line, sizeof(pinentry.seen) - strlen(pinentry.seen) - 1);
		if (strncmp(line, "BYE", 3) == 0)
			break; /* nobody waits for an answer to that */
		if (strncmp(line, "GETPIN", 6) == 0)
			pinentry_answer(out);
		else
			fputs("OK\n", out);
		fflush(out);
	}
	fclose(in);
	fclose(out);
	return NULL;
}

/* Gives the other end; answers must last until pinentry_finish(). */
static int pinentry_begin(const char *const *answers)
{
	int pair[2];

	memset(&pinentry, 0, sizeof(pinentry));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pinentry.answers = answers;
	pinentry.sock = pair[1];
	assert_int_equal(pthread_create(&pinentry.thread, NULL, pinentry_serve, NULL), 0);
	return pair[0];
}

static void pinentry_finish(int fd)
{
	close(fd);
	assert_int_equal(pthread_join(pinentry.thread, NULL), 0);
}

#endif
