/*
 * Kills a process at its N-th step, for the test of crash points: a library for LD_PRELOAD.
 *
 * A step is the moment when a lasting effect has just come, or is about to go: something was received
 * (a frame, a stanza, a part of a stream), or is going to be sent after something was stored or done.
 * What is sent with nothing stored since the last step is the same moment as that one. A file that the
 * test shares with all processes says who is counted, and who is killed at which step; a victim that is
 * another process has gone when the step goes on.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROLE_MAX 48

/* As the test writes it. */
struct control {
	char role[ROLE_MAX]; /* SIGNET_CRASH_SIDE "/" and the program's name */
	uint32_t at;	     /* the step to kill at; 0: none */
	uint32_t steps;	     /* counted so far */
	int32_t victim;	     /* 0: who is counted */
	uint32_t fired;
	uint32_t sent; /* only what is sent counts */
};

static struct control *control;
static char role[ROLE_MAX];
static int is_stored; /* since the last step */

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("SIGNET_CRASH_FILE");
	const char *side = getenv("SIGNET_CRASH_SIDE");
	int fd = path != NULL && side != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	(void)snprintf(role, sizeof(role), "%.16s/%.24s", side, program_invocation_short_name);
	control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (control == MAP_FAILED)
		abort();
	close(fd);
}

/* A process that was killed is a zombie, or gone. */
static int has_gone(int32_t pid)
{
	char path[32], text[512];
	const char *end;
	FILE *file;
	size_t len;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (file == NULL)
		return 1;
	len = fread(text, 1, sizeof(text) - 1, file);
	(void)fclose(file);
	text[len] = '\0';
	end = strrchr(text, ')');
	return end == NULL || end[2] == 'Z' || end[2] == 'X';
}

static void step(int is_sent)
{
	is_stored = 0;
	if (control == NULL || control->at == 0 || strcmp(control->role, role) != 0 ||
	    (control->sent && !is_sent))
		return;
	if (__atomic_add_fetch(&control->steps, 1, __ATOMIC_SEQ_CST) != control->at)
		return;
	control->fired = 1;
	(void)kill(control->victim != 0 ? control->victim : getpid(), SIGKILL);
	while (control->victim != 0 && !has_gone(control->victim))
		usleep(1000);
}

static void before_sending(void)
{
	if (is_stored)
		step(1);
}

#define REAL(name)                                                                                 \
	__extension__({                                                                            \
		__typeof__(&(name)) function;                                                      \
		void *found = dlsym(RTLD_NEXT, #name);                                             \
		memcpy(&function, &found, sizeof(function));                                       \
		function;                                                                          \
	})

int fdatasync(int fd)
{
	is_stored = 1;
	return REAL(fdatasync)(fd);
}

ssize_t sendmsg(int sock, const struct msghdr *message, int flags)
{
	before_sending();
	return REAL(sendmsg)(sock, message, flags);
}

ssize_t recvmsg(int sock, struct msghdr *message, int flags)
{
	ssize_t n = REAL(recvmsg)(sock, message, flags);

	if (n > 0)
		step(0);
	/* Who works for others has done something before it answers. */
	is_stored = strstr(role, "signet-token") != NULL;
	return n;
}

/* Plain streams: that of the authority's component. */
ssize_t send(int sock, const void *data, size_t len, int flags)
{
	before_sending();
	return REAL(send)(sock, data, len, flags);
}

ssize_t recv(int sock, void *data, size_t len, int flags)
{
	ssize_t n = REAL(recv)(sock, data, len, flags);

	if (n > 0 && strstr(role, "signet-authority") != NULL)
		step(0);
	return n;
}

/* Streams under TLS: what the agent says to the server and hears from it. */
int SSL_write(void *ssl, const void *data, int len);
int SSL_read(void *ssl, void *data, int len);

int SSL_write(void *ssl, const void *data, int len)
{
	step(1);
	return REAL(SSL_write)(ssl, data, len);
}

int SSL_read(void *ssl, void *data, int len)
{
	int n = REAL(SSL_read)(ssl, data, len);

	if (n > 0)
		step(0);
	return n;
}
