#include "delegation.h"

#include <stdlib.h>
#include <string.h>

#include "disco.h"
#include "element.h"
#include "text.h"

#define NS_FORWARD	  "urn:xmpp:forward:0"
#define DELEGATION_PREFIX "urn:xmpp:delegation:"

void sg_answer_error(
    struct sg_answer *answer, const char *type, const char *condition, const char *text)
{
	sg_xml_free(answer->payload);
	answer->payload = NULL;
	answer->type = type;
	answer->condition = condition;
	answer->text = text;
	answer->later = 0;
}

/* The versions of XEP-0355 that servers speak: ejabberd 1, Prosody 2. */
static int is_delegation_ns(const char *ns)
{
	return strcmp(ns, DELEGATION_PREFIX "1") == 0 || strcmp(ns, DELEGATION_PREFIX "2") == 0;
}

/* How many child elements there are; one or none is in *first. */
static size_t children(const struct sg_xml *element, const struct sg_xml **first)
{
	size_t count = 0;

	*first = sg_xml_first(element);
	for (const struct sg_xml *child = *first; child != NULL; child = sg_xml_next(child))
		count++;
	return count;
}

/*
 * The reply to an iq: its addresses turned round (ejabberd closes the stream without 'from', Prosody
 * drops what does not go back to the sender), with the answer inside. Takes the answer's payload.
 */
static int make_reply(const struct sg_xml *iq, const char *ns, const char *from,
    struct sg_answer *answer, struct sg_xml **reply)
{
	const struct sg_iq_head head = {
		.ns = ns,
		.type = answer->type != NULL ? "error" : "result",
		.id = sg_xml_attr(iq, "id"),
		.to = sg_xml_attr(iq, "from"),
		.from = from,
	};
	struct sg_xml *inside = NULL;
	int err = 0;

	*reply = NULL;
	if (answer->type != NULL) {
		err = sg_element_error(answer->type, answer->condition, answer->text, &inside);
	} else {
		inside = answer->payload;
		answer->payload = NULL;
	}
	return err == 0 ? sg_element_iq(&head, inside, reply) : err;
}

static int is_request(const struct sg_xml *iq)
{
	const char *type = sg_xml_attr(iq, "type");

	return type != NULL && sg_xml_attr(iq, "id") != NULL &&
	    (strcmp(type, "get") == 0 || strcmp(type, "set") == 0);
}

/* ---- disco#info */

/* The namespace that a node of XEP-0355 7.2 asks about, "urn:xmpp:delegation:N::NS" or
 * "urn:xmpp:delegation:N:bare:NS", if it is one of ours; else NULL. */
static const char *nested_namespace(const struct sg_delegation *delegation, const char *node)
{
	static const char *const prefixes[] = {
		DELEGATION_PREFIX "1::",
		DELEGATION_PREFIX "1:bare:",
		DELEGATION_PREFIX "2::",
		DELEGATION_PREFIX "2:bare:",
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t len = strlen(prefixes[i]);

		if (strncmp(node, prefixes[i], len) != 0)
			continue;
		for (size_t j = 0; delegation->namespaces[j] != NULL; j++)
			if (strcmp(node + len, delegation->namespaces[j]) == 0)
				return delegation->namespaces[j];
	}
	return NULL;
}

static int answer_disco(
    const struct sg_delegation *delegation, const struct sg_xml *query, struct sg_answer *answer)
{
	static const char *const own[] = {
		SG_NS_DISCO_INFO,
		DELEGATION_PREFIX "1",
		DELEGATION_PREFIX "2",
	};
	const char *node = sg_xml_attr(query, "node"), *nested;

	if (node == NULL || !*node)
		return sg_disco_result_encode(NULL, "component", "generic", own,
		    sizeof(own) / sizeof(own[0]), &answer->payload);
	nested = nested_namespace(delegation, node);
	if (nested == NULL) {
		sg_answer_error(answer, "cancel", "item-not-found", NULL);
		return 0;
	}
	/* no identity: Prosody would add it to those of the domain and of every account */
	return sg_disco_result_encode(node, NULL, NULL, &nested, 1, &answer->payload);
}

/* ---- delegation */

/* Servers also forward what one account sends to another's bare JID. Only what is addressed to nobody, to
 * the sender's own bare JID or to the own domain is for us. */
static int is_to_own(const char *to, const char *account, const char *domain)
{
	char *bare;
	int own;

	if (to == NULL)
		return 1;
	bare = strchr(to, '/') != NULL ? NULL : sg_jid_bare(to);
	own = bare != NULL && (strcmp(bare, account) == 0 || strcmp(bare, domain) == 0);
	free(bare);
	return own;
}

static int is_ours(const struct sg_delegation *delegation, const char *ns)
{
	for (size_t i = 0; delegation->namespaces[i] != NULL; i++)
		if (strcmp(ns, delegation->namespaces[i]) == 0)
			return 1;
	return 0;
}

/* What is refused before anybody looks at what is asked for. */
static void refuse(const struct sg_delegation *delegation, const struct sg_xml *iq,
    struct sg_answer *answer, const char *type, const char *condition, const char *text)
{
	const struct sg_decision decision = { .verb = "request",
		.outcome = condition,
		.account = sg_xml_attr(iq, "to"),
		.who = sg_xml_attr(iq, "from"),
		.why = text };

	sg_answer_error(answer, type, condition, text);
	sg_decision_tell(delegation->decisions, &decision);
}

/* The answer to the inner iq of an account of this domain. */
static void answer_inner(const struct sg_delegation *delegation, const char *domain,
    const struct sg_xml *iq, int is_whole, struct sg_answer *answer)
{
	const char *from = sg_xml_attr(iq, "from");
	char *account = from != NULL ? sg_jid_bare(from) : NULL;
	const char *at = account != NULL ? strchr(account, '@') : NULL;
	const struct sg_xml *payload;

	if (at == NULL || !sg_jid_is_account(account) || strcmp(at + 1, domain) != 0 ||
	    !is_to_own(sg_xml_attr(iq, "to"), account, domain))
		refuse(delegation, iq, answer, "auth", "forbidden",
		    "Only an account's own certificates can be managed.");
	else if (!is_whole)
		refuse(delegation, iq, answer, "modify", "bad-request",
		    "There is more in it than belongs there.");
	else if (children(iq, &payload) != 1)
		refuse(delegation, iq, answer, "modify", "bad-request", "One request at a time.");
	else if (!is_ours(delegation, sg_xml_ns(payload)))
		refuse(delegation, iq, answer, "cancel", "service-unavailable", NULL);
	else
		delegation->fn(delegation->arg, account,
		    strcmp(sg_xml_attr(iq, "type"), "set") == 0, payload, answer);
	free(account);
}

/* Whether a server sent this, as far as its name says: what clients send comes from accounts. */
static int is_of_server(const struct sg_xml *iq)
{
	return strpbrk(sg_xml_attr(iq, "from"), "@/") == NULL;
}

/* Which of our domains the server that sent this is; NULL for a stranger. */
static const char *domain_of(const struct sg_delegation *delegation, const struct sg_xml *iq)
{
	char *bare = is_of_server(iq) ? sg_jid_bare(sg_xml_attr(iq, "from")) : NULL;
	const char *domain = NULL;

	for (size_t i = 0; bare != NULL && domain == NULL && delegation->domains[i] != NULL; i++)
		if (strcmp(bare, delegation->domains[i]) == 0)
			domain = delegation->domains[i];
	free(bare);
	return domain;
}

/* Wraps the reply to the inner iq as the answer to the outer one. */
static int wrap(struct sg_xml *inner, const char *ns, struct sg_answer *outer)
{
	struct sg_xml *forwarded = sg_xml_new("forwarded", NS_FORWARD);
	int err;

	outer->payload = sg_xml_new("delegation", ns);
	if (outer->payload == NULL || forwarded == NULL) {
		sg_xml_free(inner);
		sg_xml_free(forwarded);
		return SG_ERR_NOMEM;
	}
	err = sg_xml_add(forwarded, inner);
	if (err != 0) {
		sg_xml_free(forwarded);
		return err;
	}
	return sg_xml_add(outer->payload, forwarded);
}

/* The request inside a delegation; NULL when there is none. */
static const struct sg_xml *inner_of(const struct sg_xml *iq, const struct sg_xml *element)
{
	const struct sg_xml *forwarded, *inner = NULL;

	if (strcmp(sg_xml_attr(iq, "type"), "set") != 0 || children(element, &forwarded) != 1 ||
	    !sg_xml_is(forwarded, "forwarded", NS_FORWARD) || children(forwarded, &inner) != 1 ||
	    !sg_xml_is(inner, "iq", SG_NS_CLIENT) || !is_request(inner))
		return NULL;
	return inner;
}

/* The answer to what is inside becomes the payload of the one around it. */
static int answer_outer(const struct sg_xml *iq, const struct sg_xml *element,
    struct sg_answer *answer, struct sg_answer *outer)
{
	const struct sg_xml *inner = inner_of(iq, element);
	struct sg_xml *reply;
	int err = make_reply(inner, SG_NS_CLIENT, sg_xml_attr(inner, "to"), answer, &reply);

	sg_xml_free(answer->payload);
	answer->payload = NULL;
	return err != 0 ? err : wrap(reply, sg_xml_ns(element), outer);
}

/* Gives 1 when it is put off. */
static int answer_delegation(const struct sg_delegation *delegation, const struct sg_xml *iq,
    const struct sg_xml *element, int is_whole, struct sg_answer *answer, struct sg_answer *outer)
{
	const char *domain = domain_of(delegation, iq);
	const struct sg_xml *inner;

	if (!is_of_server(iq)) {
		refuse(delegation, iq, outer, "auth", "forbidden",
		    "Only the servers of the configured domains may hand requests over.");
		return 0;
	}
	inner = inner_of(iq, element);
	if (inner == NULL) {
		refuse(delegation, iq, outer, "modify", "bad-request",
		    "There is no request in the delegation.");
		return 0;
	}
	/* another server's accounts are told so by an answer inside: ejabberd hands on no other */
	if (domain == NULL)
		refuse(delegation, iq, answer, "auth", "forbidden",
		    "There are no certificates here for accounts of your domain. Ask the operator "
		    "of "
		    "your server.");
	else
		answer_inner(delegation, domain, inner, is_whole, answer);
	return answer->later ? 1 : answer_outer(iq, element, answer, outer);
}

static int reply_to(const struct sg_delegation *delegation, const struct sg_xml *iq,
    struct sg_answer *answer, struct sg_xml **reply)
{
	const char *to = sg_xml_attr(iq, "to");

	return make_reply(iq, NULL, to != NULL ? to : delegation->jid, answer, reply);
}

int sg_delegation_answer(const struct sg_delegation *delegation, const struct sg_xml *iq,
    int is_whole, struct sg_answer *answer, struct sg_xml **reply)
{
	struct sg_answer outer = { 0 };
	const struct sg_xml *payload;
	int err = 0, is_one, is_delegated;

	*reply = NULL;
	if (!is_request(iq) || sg_xml_attr(iq, "from") == NULL)
		return 0;
	is_one = children(iq, &payload) == 1;
	is_delegated = is_one && is_delegation_ns(sg_xml_ns(payload)) &&
	    strcmp(sg_xml_name(payload), "delegation") == 0;
	if (is_delegated)
		err = answer_delegation(delegation, iq, payload, is_whole, answer, &outer);
	else if (!is_one || !is_whole)
		sg_answer_error(&outer, "modify", "bad-request", NULL);
	else if (sg_xml_is(payload, "query", SG_NS_DISCO_INFO) &&
	    strcmp(sg_xml_attr(iq, "type"), "get") == 0)
		err = answer_disco(delegation, payload, &outer);
	else
		sg_answer_error(&outer, "cancel", "service-unavailable", NULL);
	if (err == 0)
		err = reply_to(delegation, iq, &outer, reply);
	sg_xml_free(outer.payload);
	return err;
}

int sg_delegation_finish(const struct sg_delegation *delegation, const struct sg_xml *iq,
    struct sg_answer *answer, struct sg_xml **reply)
{
	struct sg_answer outer = { 0 };
	int err = answer_outer(iq, sg_xml_first(iq), answer, &outer);

	*reply = NULL;
	if (err == 0)
		err = reply_to(delegation, iq, &outer, reply);
	sg_xml_free(outer.payload);
	return err;
}
