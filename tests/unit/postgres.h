/*
 * A private PostgreSQL for the tests of a program, in a folder of its own, on a Unix socket there. It runs as
 * nobody where we are root, which PostgreSQL refuses to be, and ends with us.
 */
#ifndef SG_TESTS_POSTGRES_H
#define SG_TESTS_POSTGRES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libpq-fe.h>

struct postgres {
	char folder[64];
	char bin[128];	 /* the folder of its programs */
	char where[256]; /* how it is reached */
	pid_t pid;
};

/* In the child: becomes an ordinary user, who has no business in our folder. */
static inline void postgres_become_ordinary(void)
{
	const struct passwd *nobody = getpwnam("nobody");

	if (geteuid() == 0 && (nobody == NULL || setgid(nobody->pw_gid) || setuid(nobody->pw_uid)))
		_exit(127);
	prctl(PR_SET_PDEATHSIG, SIGQUIT);
	if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr) || chdir("/"))
		_exit(127);
	umask(077);
}

static inline void postgres_run(struct postgres *pg)
{
	char program[160], data[80], socket[96];
	PGPing ping;

	snprintf(program, sizeof(program), "%s/postgres", pg->bin);
	snprintf(data, sizeof(data), "%s/data", pg->folder);
	snprintf(socket, sizeof(socket), "unix_socket_directories=%s", pg->folder);
	pg->pid = fork();
	assert_true(pg->pid >= 0);
	if (pg->pid == 0) {
		postgres_become_ordinary();
		execl(program, program, "-D", data, "-c", socket, "-c", "listen_addresses=", "-c",
		    "fsync=off", NULL);
		_exit(127);
	}
	while ((ping = PQping(pg->where)) != PQPING_OK) {
		assert_int_not_equal(ping, PQPING_NO_ATTEMPT);
		assert_int_equal(waitpid(pg->pid, NULL, WNOHANG), 0);
		usleep(20000);
	}
}

static inline void postgres_stop(struct postgres *pg, int number)
{
	kill(pg->pid, number);
	assert_int_equal(waitpid(pg->pid, NULL, 0), pg->pid);
}

static inline void postgres_start(struct postgres *pg)
{
	char program[160], data[80];
	glob_t found;
	int status;
	pid_t pid;

	assert_int_equal(glob("/usr/lib/postgresql/*/bin", 0, NULL, &found), 0);
	snprintf(pg->bin, sizeof(pg->bin), "%s", found.gl_pathv[found.gl_pathc - 1]);
	globfree(&found);
	snprintf(pg->folder, sizeof(pg->folder), "/tmp/signet-postgres-XXXXXX");
	assert_non_null(mkdtemp(pg->folder));
	if (geteuid() == 0)
		assert_int_equal(chown(pg->folder, getpwnam("nobody")->pw_uid, (gid_t)-1), 0);
	snprintf(pg->where, sizeof(pg->where), "host=%s user=tester dbname=postgres", pg->folder);
	snprintf(program, sizeof(program), "%s/initdb", pg->bin);
	snprintf(data, sizeof(data), "%s/data", pg->folder);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		postgres_become_ordinary();
		execl(program, program, "--no-sync", "-A", "trust", "-U", "tester", "-E", "UTF8",
		    "--locale=C", "-D", data, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	postgres_run(pg);
}

static inline void postgres_end(struct postgres *pg)
{
	char command[96];

	postgres_stop(pg, SIGQUIT);
	snprintf(command, sizeof(command), "rm -rf %s", pg->folder);
	assert_int_equal(system(command), 0);
}

/* Has the server do something, as its operator could. */
static inline void postgres_do(const struct postgres *pg, const char *sql)
{
	PGconn *conn = PQconnectdb(pg->where);
	PGresult *result;

	assert_int_equal(PQstatus(conn), CONNECTION_OK);
	PQclear(PQexec(conn, "SET client_min_messages = warning"));
	result = PQexec(conn, sql);
	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		fail_msg("%s", PQerrorMessage(conn));
	PQclear(result);
	PQfinish(conn);
}

#endif
