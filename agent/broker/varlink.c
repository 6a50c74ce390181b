#include "varlink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "secret.h"
#include "uri.h"
#include "verbs.h"

#define PARAMETERS_MAX 8

static const char agent_interface[] = "org.signet.Agent";
static const char service_interface[] = "org.varlink.service";

static const char agent_description[] =
#include "interface.inc"
    ;

static const char service_description[] =
    "# What every service of varlink answers.\n"
    "interface org.varlink.service\n\n"
    "method GetInfo() -> (vendor: string, product: string, version: string, url: string, "
    "interfaces: []string)\n"
    "method GetInterfaceDescription(interface: string) -> (description: string)\n\n"
    "error InterfaceNotFound (interface: string)\n"
    "error MethodNotFound (method: string)\n"
    "error MethodNotImplemented (method: string)\n"
    "error InvalidParameter (parameter: string)\n";

enum parameter_kind {
	TEXT,
	DOCUMENT, /* a text as long as a message may be */
	SELECTOR, /* of a token or key */
	INT,
	FLAG,
	TEXTS,
	PIN,
	PASSWORD,
};

struct parameter {
	const char *name;
	enum parameter_kind kind;
	int required;
};

struct sg_method {
	const char *name;
	sg_verb_fn *verb;
	struct parameter parameters[PARAMETERS_MAX];
};

static const struct sg_method agent_methods[] = {
	{ "ListTokens", sg_verb_list_tokens, { { 0 } } },
	{ "ShowToken", sg_verb_show_token, { { "token", SELECTOR, 1 } } },
	{ "Unlock", sg_verb_unlock, { { "token", SELECTOR, 1 }, { "pin", PIN, 0 } } },
	{ "Lock", sg_verb_lock, { { "token", SELECTOR, 1 } } },
	{ "ReleaseToken", sg_verb_release_token, { { "token", SELECTOR, 0 } } },
	{ "ChangePin", sg_verb_change_pin, { { "token", SELECTOR, 1 }, { "pin", PIN, 0 } } },
	{ "UnblockPin", sg_verb_unblock_pin, { { "token", SELECTOR, 1 }, { "pin", PIN, 0 } } },
	{ "Monitor", sg_verb_monitor, { { "own", FLAG, 0 } } },
	{ "Doctor", sg_verb_doctor, { { 0 } } },
	{ "NewKey", sg_verb_new_key,
	    { { "token", SELECTOR, 1 }, { "label", TEXT, 1 }, { "algorithm", TEXT, 0 },
		{ "account", TEXT, 0 }, { "user", FLAG, 0 }, { "pin", PIN, 0 } } },
	{ "ListKeys", sg_verb_list_keys, { { "selector", SELECTOR, 0 } } },
	{ "ShowKey", sg_verb_show_key, { { "key", SELECTOR, 1 }, { "attestation", FLAG, 0 } } },
	{ "MakeCsr", sg_verb_make_csr,
	    { { "key", SELECTOR, 1 }, { "jid", TEXT, 1 }, { "pin", PIN, 0 } } },
	{ "UseKey", sg_verb_use_key,
	    { { "key", SELECTOR, 1 }, { "account", TEXT, 0 }, { "user", FLAG, 0 },
		{ "pin", PIN, 0 } } },
	{ "Sign", sg_verb_sign,
	    { { "account", TEXT, 1 }, { "subject", TEXT, 0 }, { "pin", PIN, 0 } } },
	{ "AddPgpKey", sg_verb_add_pgp_key, { { "account", TEXT, 1 }, { "key", DOCUMENT, 1 } } },
	{ "RemovePgpKey", sg_verb_remove_pgp_key, { { "account", TEXT, 1 }, { "name", TEXT, 1 } } },
	{ "ListOwnKeys", sg_verb_list_own_keys, { { "account", TEXT, 1 } } },
	{ "AddSignature", sg_verb_add_signature,
	    { { "account", TEXT, 1 }, { "subject", TEXT, 0 }, { "issuer", TEXT, 1 },
		{ "value", DOCUMENT, 1 } } },
	{ "AddAccount", sg_verb_add_account,
	    { { "jid", TEXT, 1 }, { "host", TEXT, 0 }, { "port", INT, 0 }, { "tls", TEXT, 0 },
		{ "cafile", TEXT, 0 } } },
	{ "ListAccounts", sg_verb_list_accounts, { { 0 } } },
	{ "ShowAccount", sg_verb_show_account, { { "jid", TEXT, 1 } } },
	{ "RemoveAccount", sg_verb_remove_account, { { "jid", TEXT, 1 } } },
	{ "Connect", sg_verb_connect,
	    { { "jid", TEXT, 1 }, { "key", SELECTOR, 0 }, { "password", PASSWORD, 0 },
		{ "pin", PIN, 0 } } },
	{ "Disconnect", sg_verb_disconnect, { { "jid", TEXT, 1 } } },
	{ "Enrol", sg_verb_enrol,
	    { { "jid", TEXT, 1 }, { "key", SELECTOR, 1 }, { "name", TEXT, 0 },
		{ "replace", FLAG, 0 }, { "spare", FLAG, 0 }, { "password", PASSWORD, 0 },
		{ "pin", PIN, 0 } } },
	{ "CancelEnrolment", sg_verb_cancel_enrolment,
	    { { "jid", TEXT, 1 }, { "password", PASSWORD, 0 }, { "pin", PIN, 0 } } },
	{ "Renew", sg_verb_renew,
	    { { "jid", TEXT, 1 }, { "rekey", FLAG, 0 }, { "key", SELECTOR, 0 }, { "name", TEXT, 0 },
		{ "password", PASSWORD, 0 }, { "pin", PIN, 0 } } },
	{ "ListCertificates", sg_verb_list_certificates,
	    { { "jid", TEXT, 1 }, { "password", PASSWORD, 0 }, { "pin", PIN, 0 } } },
	{ "RevokeCertificate", sg_verb_revoke_certificate,
	    { { "jid", TEXT, 1 }, { "fingerprint", TEXT, 1 }, { "disable", FLAG, 0 },
		{ "password", PASSWORD, 0 }, { "pin", PIN, 0 } } },
	{ "Reconcile", sg_verb_reconcile,
	    { { "jid", TEXT, 1 }, { "offline", FLAG, 0 }, { "password", PASSWORD, 0 },
		{ "pin", PIN, 0 } } },
	{ "AdoptCertificate", sg_verb_adopt_certificate,
	    { { "jid", TEXT, 1 }, { "fingerprint", TEXT, 1 }, { "password", PASSWORD, 0 },
		{ "pin", PIN, 0 } } },
	{ "RemoveCertificate", sg_verb_remove_certificate,
	    { { "jid", TEXT, 1 }, { "fingerprint", TEXT, 1 }, { "password", PASSWORD, 0 },
		{ "pin", PIN, 0 } } },
	{ "RevokeToken", sg_verb_revoke_token,
	    { { "jid", TEXT, 1 }, { "token", SELECTOR, 1 }, { "password", PASSWORD, 0 },
		{ "pin", PIN, 0 } } },
	{ "Publish", sg_verb_publish,
	    { { "jid", TEXT, 1 }, { "access", TEXT, 0 }, { "groups", TEXTS, 0 },
		{ "members", TEXTS, 0 }, { "direct", TEXT, 0 }, { "password", PASSWORD, 0 },
		{ "pin", PIN, 0 } } },
	{ "ShowPublished", sg_verb_show_published,
	    { { "jid", TEXT, 1 }, { "password", PASSWORD, 0 }, { "pin", PIN, 0 } } },
	{ "Retract", sg_verb_retract,
	    { { "jid", TEXT, 1 }, { "names", TEXTS, 1 }, { "password", PASSWORD, 0 },
		{ "pin", PIN, 0 } } },
	{ "FetchKeys", sg_verb_fetch_keys,
	    { { "jid", TEXT, 1 }, { "from", TEXT, 1 }, { "names", TEXTS, 0 }, { "ask", TEXT, 0 },
		{ "password", PASSWORD, 0 }, { "pin", PIN, 0 } } },
	{ "AskKeys", sg_verb_ask_keys,
	    { { "jid", TEXT, 1 }, { "to", TEXT, 1 }, { "about", TEXT, 0 }, { "names", TEXTS, 0 },
		{ "password", PASSWORD, 0 }, { "pin", PIN, 0 } } },
	{ "SendKeys", sg_verb_send_keys,
	    { { "jid", TEXT, 1 }, { "to", TEXT, 1 }, { "about", TEXT, 0 }, { "names", TEXTS, 0 },
		{ "password", PASSWORD, 0 }, { "pin", PIN, 0 } } },
	{ "ListKeyring", sg_verb_list_keyring,
	    { { "jid", TEXT, 0 }, { "search", TEXT, 0 }, { "after", TEXT, 0 } } },
	{ "ShowKeyring", sg_verb_show_keyring, { { "name", TEXT, 1 } } },
	{ "TrustKey", sg_verb_trust_key, { { "jid", TEXT, 1 }, { "fingerprint", TEXT, 1 } } },
	{ "DistrustKey", sg_verb_distrust_key, { { "fingerprint", TEXT, 1 } } },
	{ "ForgetKey", sg_verb_forget_key, { { "fingerprint", TEXT, 1 } } },
	{ "AcknowledgeKeys", sg_verb_acknowledge_keys, { { "jid", TEXT, 0 } } },
	{ "ExplainKey", sg_verb_explain_key, { { "name", TEXT, 1 }, { "account", TEXT, 0 } } },
	{ "Graph", sg_verb_graph, { { "account", TEXT, 0 }, { "after", TEXT, 0 } } },
	{ "ExportKeyring", sg_verb_export_keyring,
	    { { "names", TEXTS, 0 }, { "jid", TEXT, 0 }, { "after", TEXT, 0 } } },
	{ "ImportKeyring", sg_verb_import_keyring,
	    { { "keyinfos", DOCUMENT, 1 }, { "jid", TEXT, 0 } } },
	{ "Status", sg_verb_status, { { 0 } } },
};

static void get_info(struct sg_call *call)
{
	sg_call_reply(call,
	    json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor", "signet", "product", "signetd",
		"version", SG_VERSION, "url", "", "interfaces", service_interface,
		agent_interface));
}

static void get_interface_description(struct sg_call *call)
{
	const char *interface = sg_call_string(call, "interface");

	if (strcmp(interface, agent_interface) == 0)
		sg_call_reply(call, json_pack("{s:s}", "description", agent_description));
	else if (strcmp(interface, service_interface) == 0)
		sg_call_reply(call, json_pack("{s:s}", "description", service_description));
	else
		sg_call_fail_varlink(call, "InterfaceNotFound", "interface", interface);
}

static const struct sg_method service_methods[] = {
	{ "GetInfo", get_info, { { 0 } } },
	{ "GetInterfaceDescription", get_interface_description, { { "interface", TEXT, 1 } } },
};

static const struct {
	const char *name;
	const struct sg_method *methods;
	size_t count;
} interfaces[] = {
	{ agent_interface, agent_methods, sizeof(agent_methods) / sizeof(agent_methods[0]) },
	{ service_interface, service_methods,
	    sizeof(service_methods) / sizeof(service_methods[0]) },
};

/* ---- secrets ---- */

size_t sg_varlink_fds_wanted(const json_t *message)
{
	static const char *const names[] = { "pin", "password" };
	const json_t *parameters = json_object_get(message, "parameters");
	size_t wanted = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const json_t *fd = json_object_get(json_object_get(parameters, names[i]), "fd");
		json_int_t index = json_is_integer(fd) ? json_integer_value(fd) : -1;

		if (index >= SG_API_FDS_MAX || (json_is_integer(fd) && index < 0))
			return SG_API_FDS_MAX + 1;
		if (index >= 0 && (size_t)index >= wanted)
			wanted = (size_t)index + 1;
	}
	return wanted;
}

/* Takes over the descriptor that the secret names; -1 when there is none of that number. */
static int secret_fd(struct sg_call *call, const json_t *secret)
{
	json_int_t index = json_integer_value(json_object_get(secret, "fd"));
	int fd;

	if (index < 0 || (size_t)index >= call->fd_count)
		return -1;
	fd = call->fds[index];
	call->fds[index] = -1;
	return fd;
}

/* An OPTION's value goes into a line of the Assuan protocol: printable, and short. */
static int option_is_clean(const char *value)
{
	size_t len = strlen(value);

	if (len == 0 || len > 255)
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (value[i] <= ' ' || value[i] > '~')
			return 0;
	}
	return 1;
}

static int pin_options(struct sg_pin *pin, json_t *pinentry)
{
	static const struct {
		const char *member;
		const char *option;
	} options[] = {
		{ "ttyname", "ttyname" },
		{ "ttytype", "ttytype" },
		{ "display", "display" },
		{ "lc_ctype", "lc-ctype" },
		{ "lc_messages", "lc-messages" },
	};
	const char *name;
	json_t *member;

	if (!json_is_object(pinentry))
		return 0;
	json_object_foreach(pinentry, name, member) {
		size_t i = 0;

		while (i < sizeof(options) / sizeof(options[0]) &&
		    strcmp(options[i].member, name) != 0)
			i++;
		if (i == sizeof(options) / sizeof(options[0]) ||
		    (!json_is_string(member) && !json_is_null(member)))
			return 0;
	}
	pin->pinentry = 1;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const char *value = json_string_value(json_object_get(pinentry, options[i].member));
		char *option = NULL;

		if (value == NULL)
			continue;
		if (!option_is_clean(value) ||
		    asprintf(&option, "%s=%s", options[i].option, value) < 0)
			return 0;
		pin->options[pin->option_count++] = option;
		if (strcmp(options[i].member, "display") == 0) {
			pin->display = strdup(value);
			if (pin->display == NULL)
				return 0;
		}
	}
	return 1;
}

/* Exactly one of fd and pinentry. */
static int take_secret(struct sg_call *call, const struct parameter *parameter, json_t *secret)
{
	const json_t *fd = json_object_get(secret, "fd");
	json_t *pinentry = json_object_get(secret, "pinentry");
	int *slot = parameter->kind == PIN ? &call->pin.fd : &call->password_fd;
	const char *key;
	json_t *value;

	json_object_foreach(secret, key, value) {
		if (value != fd && value != pinentry)
			return 0;
	}
	if (json_is_null(fd))
		fd = NULL;
	if (json_is_null(pinentry))
		pinentry = NULL;
	if ((fd == NULL) == (pinentry == NULL))
		return 0;
	if (pinentry != NULL) {
		if (parameter->kind == PIN)
			return pin_options(&call->pin, pinentry);
		return json_is_object(pinentry); /* said to be unsupported by the dispatcher */
	}
	if (!json_is_integer(fd))
		return 0;
	*slot = secret_fd(call, secret);
	return *slot >= 0;
}

/* ---- parameters ---- */

static int text_fits(const json_t *value)
{
	return json_is_string(value) && json_string_length(value) <= SG_CALL_STRING_MAX;
}

static int texts_fit(const json_t *value)
{
	if (!json_is_array(value) || json_array_size(value) > SG_CALL_NAMES_MAX)
		return 0;
	for (size_t i = 0; i < json_array_size(value); i++) {
		if (!text_fits(json_array_get(value, i)))
			return 0;
	}
	return 1;
}

static int parameter_fits(struct sg_call *call, const struct parameter *parameter, json_t *value)
{
	switch (parameter->kind) {
	case TEXT:
	case SELECTOR:
		return text_fits(value);
	case DOCUMENT:
		return json_is_string(value);
	case INT:
		return json_is_integer(value);
	case FLAG:
		return json_is_boolean(value);
	case TEXTS:
		return texts_fit(value);
	case PIN:
	case PASSWORD:
		return json_is_object(value) && take_secret(call, parameter, value);
	}
	return 0;
}

static const struct parameter *parameter_named(const struct sg_method *method, const char *name)
{
	for (size_t i = 0; i < PARAMETERS_MAX && method->parameters[i].name != NULL; i++) {
		if (strcmp(method->parameters[i].name, name) == 0)
			return &method->parameters[i];
	}
	return NULL;
}

/* The name of the first parameter that is not as the interface says, or NULL. */
static const char *wrong_parameter(struct sg_call *call)
{
	const char *name;
	json_t *value;

	json_object_foreach(call->parameters, name, value) {
		const struct parameter *parameter = parameter_named(call->method, name);

		if (parameter == NULL)
			return name;
		if (json_is_null(value) ? parameter->required
					: !parameter_fits(call, parameter, value))
			return name;
	}
	for (size_t i = 0; i < PARAMETERS_MAX && call->method->parameters[i].name != NULL; i++) {
		const struct parameter *parameter = &call->method->parameters[i];

		if (parameter->required &&
		    json_object_get(call->parameters, parameter->name) == NULL)
			return parameter->name;
	}
	return NULL;
}

/* Whether the secret's descriptor, if there is one, can be read: it would be waited for. */
static int secret_is_readable(const struct sg_call *call, enum parameter_kind kind)
{
	int fd = kind == PIN ? call->pin.fd : kind == PASSWORD ? call->password_fd : -1;

	return fd < 0 || sg_secret_fd_is_readable(fd);
}

/* What the types cannot say; 0 when the call has failed. */
static int parameters_make_sense(struct sg_call *call)
{
	for (size_t i = 0; i < PARAMETERS_MAX && call->method->parameters[i].name != NULL; i++) {
		const struct parameter *parameter = &call->method->parameters[i];
		const char *text = sg_call_string(call, parameter->name);
		const char *why;

		if (parameter->kind == SELECTOR && text != NULL && sg_uri_check(text, &why) != 0) {
			sg_call_fail_with(call, SG_ERR_ARG, parameter->name,
			    "%s cannot be used: %s", parameter->name, why);
			return 0;
		}
		if (parameter->kind == PASSWORD && call->password_fd < 0 &&
		    json_is_object(json_object_get(call->parameters, parameter->name))) {
			sg_call_fail_with(call, SG_ERR_UNSUPPORTED, parameter->name,
			    "a pinentry asks for PINs only: pass the password as a descriptor");
			return 0;
		}
		if (!secret_is_readable(call, parameter->kind)) {
			sg_call_fail_with(call, SG_ERR_ARG, parameter->name,
			    "the descriptor of %s is not open for reading", parameter->name);
			return 0;
		}
	}
	return 1;
}

/* ---- dispatch ---- */

static const struct sg_method *method_named(
    const char *interface, size_t interface_len, const char *name, int *known_interface)
{
	*known_interface = 0;
	for (size_t i = 0; i < sizeof(interfaces) / sizeof(interfaces[0]); i++) {
		if (strlen(interfaces[i].name) != interface_len ||
		    memcmp(interfaces[i].name, interface, interface_len) != 0)
			continue;
		*known_interface = 1;
		for (size_t k = 0; k < interfaces[i].count; k++) {
			if (strcmp(interfaces[i].methods[k].name, name) == 0)
				return &interfaces[i].methods[k];
		}
	}
	return NULL;
}

/* The members of the message itself; the name of the one that is wrong, or NULL. */
static const char *take_members(struct sg_call *call, json_t *message)
{
	const char *name;
	json_t *value;

	json_object_foreach(message, name, value) {
		if (strcmp(name, "method") == 0 && text_fits(value))
			call->name = strdup(json_string_value(value));
		else if (strcmp(name, "parameters") == 0 && json_is_object(value))
			call->parameters = json_incref(value);
		else if (strcmp(name, "more") == 0 && json_is_boolean(value))
			call->more = json_is_true(value);
		else if (strcmp(name, "oneway") == 0 && json_is_boolean(value))
			call->oneway = json_is_true(value);
		else if (strcmp(name, "upgrade") == 0 && json_is_false(value))
			continue;
		else if (strcmp(name, "method") == 0 || !json_is_null(value))
			return name;
	}
	if (call->parameters == NULL)
		call->parameters = json_object();
	return call->name == NULL || call->parameters == NULL ? "method" : NULL;
}

void sg_varlink_dispatch(struct sg_call *call, json_t *message)
{
	const char *wrong = take_members(call, message);
	const char *dot;
	char *interface;
	int known_interface;

	if (wrong != NULL) {
		sg_call_fail_varlink(call, "InvalidParameter", "parameter", wrong);
		return;
	}
	dot = strrchr(call->name, '.');
	if (dot == NULL || (interface = strndup(call->name, (size_t)(dot - call->name))) == NULL) {
		sg_call_fail_varlink(call, "InvalidParameter", "parameter", "method");
		return;
	}
	call->method = method_named(interface, strlen(interface), dot + 1, &known_interface);
	if (!known_interface)
		sg_call_fail_varlink(call, "InterfaceNotFound", "interface", interface);
	else if (call->method == NULL)
		sg_call_fail_varlink(call, "MethodNotFound", "method", call->name);
	else if ((wrong = wrong_parameter(call)) != NULL)
		sg_call_fail_varlink(call, "InvalidParameter", "parameter", wrong);
	else if (parameters_make_sense(call)) {
		call->caller.purpose = strdup(dot + 1);
		call->method->verb(call);
	}
	free(interface);
}
