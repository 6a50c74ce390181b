/*
 * One line per event on standard error: "name: level: text". Control characters in the text are
 * escaped, a line is cut at 1 KiB. Callers never pass a secret.
 */
#ifndef SG_PROTO_LOG_H
#define SG_PROTO_LOG_H

enum sg_log_level {
	SG_LOG_ERROR,
	SG_LOG_WARN,
	SG_LOG_INFO,
	SG_LOG_DEBUG,
};

/* Once, before threads start. The name must outlive the process. SIGNET_LOG=debug|info|warn|error
 * in the environment overrides the level. */
void sg_log_init(const char *name, enum sg_log_level level);

void sg_log(enum sg_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
