#include "logind.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "clock.h"
#include "log.h"
#include "remember.h"

#define LOGIND	    "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define MANAGER	    LOGIND ".Manager"
#define SESSION	    LOGIND ".Session"
#define PROPERTIES  "org.freedesktop.DBus.Properties"
#define SESSIONS    "/org/freedesktop/login1/session"

struct sg_logind {
	struct sg_agent *agent;
	sd_bus *bus;
	struct event *event; /* the bus's socket and next time */
	int inhibitor;	     /* keeps the machine from sleeping before the PINs are wiped; or -1 */
};

int sg_logind_new(struct sg_agent *agent, struct sg_logind **logind)
{
	*logind = calloc(1, sizeof(**logind));
	if (*logind == NULL)
		return SG_ERR_NOMEM;
	(*logind)->agent = agent;
	(*logind)->inhibitor = -1;
	return 0;
}

static void inhibitor_end(void *arg)
{
	struct sg_logind *logind = arg;

	if (logind->inhibitor >= 0)
		close(logind->inhibitor);
	logind->inhibitor = -1;
}

static void bus_end(struct sg_logind *logind)
{
	if (logind->event != NULL)
		event_free(logind->event);
	logind->event = NULL;
	logind->bus = sd_bus_close_unref(logind->bus);
	inhibitor_end(logind);
}

void sg_logind_free(struct sg_logind *logind)
{
	if (logind == NULL)
		return;
	bus_end(logind);
	free(logind);
}

/* ---- sleep ---- */

static int on_inhibitor(sd_bus_message *reply, void *arg, sd_bus_error *unused)
{
	struct sg_logind *logind = arg;
	int fd;

	inhibitor_end(logind);
	if (sd_bus_message_is_method_error(reply, NULL) ||
	    sd_bus_message_read(reply, "h", &fd) < 0) {
		sg_log(SG_LOG_DEBUG,
		    "logind gives no inhibitor: the machine may sleep before PINs "
		    "are forgotten");
		return 0;
	}
	logind->inhibitor = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the message owns its own */
	return 0;
}

static void inhibitor_take(struct sg_logind *logind)
{
	(void)sd_bus_call_method_async(logind->bus, NULL, LOGIND, LOGIND_PATH, MANAGER, "Inhibit",
	    on_inhibitor, logind, "ssss", "sleep", "signet",
	    "PINs are forgotten before the machine sleeps", "delay");
}

static int on_prepare_for_sleep(sd_bus_message *signal, void *arg, sd_bus_error *unused)
{
	struct sg_logind *logind = arg;
	int begins;

	if (sd_bus_message_read(signal, "b", &begins) < 0)
		return 0;
	if (begins)
		sg_remember_forget_all(
		    logind->agent, "the machine goes to sleep", inhibitor_end, logind);
	else if (logind->inhibitor < 0)
		inhibitor_take(logind);
	return 0;
}

/* ---- sessions ---- */

static int on_user(sd_bus_message *reply, void *arg, sd_bus_error *unused)
{
	struct sg_logind *logind = arg;
	const char *path;
	uint32_t uid;

	if (sd_bus_message_is_method_error(reply, NULL) ||
	    sd_bus_message_enter_container(reply, 'v', "(uo)") < 0 ||
	    sd_bus_message_read(reply, "(uo)", &uid, &path) < 0)
		sg_log(SG_LOG_DEBUG, "logind does not say whose session was locked");
	else if (uid == geteuid())
		sg_remember_forget_all(logind->agent, "the screen was locked", NULL, NULL);
	return 0;
}

/* A session was locked: whose is it? */
static void session_locked(struct sg_logind *logind, sd_bus_message *signal)
{
	const char *path = sd_bus_message_get_path(signal);

	if (path != NULL)
		(void)sd_bus_call_method_async(logind->bus, NULL, LOGIND, path, PROPERTIES, "Get",
		    on_user, logind, "ss", SESSION, "User");
}

static int on_lock(sd_bus_message *signal, void *arg, sd_bus_error *unused)
{
	session_locked(arg, signal);
	return 0;
}

/* Gives 1 when the properties that changed say that the session is locked. */
static int says_locked(sd_bus_message *signal)
{
	const char *interface, *name;
	int hint = 0;

	if (sd_bus_message_read(signal, "s", &interface) < 0 || strcmp(interface, SESSION) != 0 ||
	    sd_bus_message_enter_container(signal, 'a', "{sv}") < 0)
		return 0;
	while (sd_bus_message_enter_container(signal, 'e', "sv") > 0) {
		if (sd_bus_message_read(signal, "s", &name) < 0)
			return 0;
		if (strcmp(name, "LockedHint") == 0)
			return sd_bus_message_read(signal, "v", "b", &hint) >= 0 && hint;
		if (sd_bus_message_skip(signal, "v") < 0 ||
		    sd_bus_message_exit_container(signal) < 0)
			return 0;
	}
	return 0;
}

static int on_properties(sd_bus_message *signal, void *arg, sd_bus_error *unused)
{
	if (says_locked(signal))
		session_locked(arg, signal);
	return 0;
}

/* ---- the bus in our loop ---- */

static void bus_run(struct sg_logind *logind);

static void on_bus(evutil_socket_t fd, short what, void *arg)
{
	bus_run(arg);
}

/* Waits for what the bus waits for. */
static int bus_wait(struct sg_logind *logind)
{
	int events = sd_bus_get_events(logind->bus);
	uint64_t until = UINT64_MAX;
	struct timeval time = { 0, 0 };
	short what = 0;

	if (events < 0 || sd_bus_get_timeout(logind->bus, &until) < 0)
		return 0;
	if ((events & POLLIN) != 0)
		what |= EV_READ;
	if ((events & POLLOUT) != 0)
		what |= EV_WRITE;
	if (until != UINT64_MAX) { /* microseconds of CLOCK_MONOTONIC */
		uint64_t now = (uint64_t)sg_clock_ms() * 1000;
		uint64_t left = until > now ? until - now + 1000 : 0;

		time.tv_sec = (time_t)(left / 1000000);
		time.tv_usec = (suseconds_t)(left % 1000000);
	}
	if (logind->event != NULL)
		event_free(logind->event);
	logind->event =
	    event_new(logind->agent->base, sd_bus_get_fd(logind->bus), what, on_bus, logind);
	return logind->event != NULL &&
	    event_add(logind->event, until != UINT64_MAX ? &time : NULL) == 0;
}

static void bus_run(struct sg_logind *logind)
{
	int did;

	do
		did = sd_bus_process(logind->bus, NULL);
	while (did > 0);
	if (did >= 0 && bus_wait(logind))
		return;
	sg_log(SG_LOG_DEBUG, "the connection to the system bus ended");
	bus_end(logind);
}

static int bus_listen(struct sg_logind *logind)
{
	sd_bus *bus = logind->bus;
	int err = sd_bus_match_signal_async(bus, NULL, LOGIND, LOGIND_PATH, MANAGER,
	    "PrepareForSleep", on_prepare_for_sleep, NULL, logind);

	if (err >= 0)
		err = sd_bus_match_signal_async(
		    bus, NULL, LOGIND, NULL, SESSION, "Lock", on_lock, NULL, logind);
	if (err >= 0)
		err = sd_bus_add_match_async(bus, NULL,
		    "type='signal',sender='" LOGIND "',interface='" PROPERTIES
		    "',member='PropertiesChanged',path_namespace='" SESSIONS "',arg0='" SESSION "'",
		    on_properties, NULL, logind);
	return err;
}

void sg_logind_want(struct sg_logind *logind)
{
	int err;

	if (logind->bus != NULL)
		return;
	err = sd_bus_open_system(&logind->bus);
	if (err >= 0)
		err = bus_listen(logind);
	if (err < 0) {
		sg_log(SG_LOG_DEBUG, "no system bus: %s", strerror(-err));
		bus_end(logind);
		return;
	}
	inhibitor_take(logind);
	bus_run(logind);
}
