/*
 * Standard error of this process, taken into a file while a test runs, to see what was logged.
 */
#ifndef SG_TESTS_CAPTURE_H
#define SG_TESTS_CAPTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct capture {
	int saved;
	int file;
	char text[8192];
};

static inline void capture_begin(struct capture *capture)
{
	capture->file = memfd_create("stderr", 0);
	assert_true(capture->file >= 0);
	fflush(stderr);
	capture->saved = dup(STDERR_FILENO);
	assert_true(capture->saved >= 0);
	assert_true(dup2(capture->file, STDERR_FILENO) >= 0);
}

/* Gives what was written, NUL-terminated. */
static inline const char *capture_end(struct capture *capture)
{
	ssize_t n;

	fflush(stderr);
	assert_true(dup2(capture->saved, STDERR_FILENO) >= 0);
	close(capture->saved);
	n = pread(capture->file, capture->text, sizeof(capture->text) - 1, 0);
	assert_true(n >= 0);
	capture->text[n] = '\0';
	close(capture->file);
	return capture->text;
}

#endif
