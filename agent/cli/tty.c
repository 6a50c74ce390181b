#include "tty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
#define ENDING_COUNT (sizeof(ending_signals) / sizeof(ending_signals[0]))

static volatile sig_atomic_t signal_seen;

static void note_signal(int number)
{
	signal_seen = number;
}

static int tty_put(int tty, const char *text)
{
	size_t len = strlen(text);

	return write(tty, text, len) == (ssize_t)len ? 0 : SG_ERR_IO;
}

/* The signals that end the program come through nowhere but here, so none is missed before a read. */
static int wait_readable(int tty, const sigset_t *open_mask)
{
	struct pollfd pfd = { .fd = tty, .events = POLLIN };

	while (ppoll(&pfd, 1, NULL, open_mask) < 0)
		if (errno != EINTR || signal_seen)
			return SG_ERR_IO;
	return 0;
}

/* Reads up to the end of the line; what does not fit is read and dropped. */
static int read_line(int tty, const sigset_t *open_mask, struct sg_secret *secret)
{
	int err = 0;
	char c = '\0';

	for (;;) {
		ssize_t n = wait_readable(tty, open_mask) == 0 ? read(tty, &c, 1) : -1;

		if (n < 0)
			err = SG_ERR_IO;
		if (n <= 0 || c == '\n')
			break;
		if (err == 0)
			err = sg_secret_append(secret, &c, 1);
	}
	explicit_bzero(&c, sizeof(c));
	if (err == 0 && sg_secret_len(secret) == 0)
		err = SG_ERR_FORMAT;
	if (err != 0)
		sg_secret_clear(secret);
	return err;
}

int sg_tty_read_secret(const char *prompt, struct sg_secret *secret)
{
	struct sigaction note = { .sa_handler = note_signal }, old[ENDING_COUNT];
	sigset_t ending, open_mask;
	struct termios shown, hidden;
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	int err = SG_ERR_IO;

	if (tty < 0)
		return SG_ERR_IO;
	/* A signal must find the echo on again: it is noted, and raised anew once that is done. */
	signal_seen = 0;
	sigemptyset(&ending);
	for (size_t i = 0; i < ENDING_COUNT; i++)
		sigaddset(&ending, ending_signals[i]);
	sigprocmask(SIG_BLOCK, &ending, &open_mask);
	for (size_t i = 0; i < ENDING_COUNT; i++)
		sigaction(ending_signals[i], &note, &old[i]);
	if (tcgetattr(tty, &shown) == 0) {
		hidden = shown;
		hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
		hidden.c_lflag |= ICANON;
		if (tcsetattr(tty, TCSAFLUSH, &hidden) == 0) {
			err = tty_put(tty, prompt);
			if (err == 0)
				err = read_line(tty, &open_mask, secret);
			(void)tcsetattr(tty, TCSAFLUSH, &shown);
			(void)tty_put(tty, "\n");
		}
	}
	for (size_t i = 0; i < ENDING_COUNT; i++)
		sigaction(ending_signals[i], &old[i], NULL);
	sigprocmask(SIG_SETMASK, &open_mask, NULL);
	close(tty);
	if (signal_seen) {
		sg_secret_clear(secret);
		raise(signal_seen);
		err = SG_ERR_IO;
	}
	return err;
}

int sg_tty_confirm(const char *question)
{
	char line[8] = "";
	size_t len = 0;
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	int err;

	if (tty < 0)
		return SG_ERR_IO;
	err = tty_put(tty, question);
	while (err == 0) {
		char c;
		ssize_t n = read(tty, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || c == '\n')
			break;
		if (len < sizeof(line) - 1)
			line[len++] = c;
	}
	close(tty);
	return err != 0 ? err : strcmp(line, "yes") == 0;
}
