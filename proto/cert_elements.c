#include "cert_elements.h"

#include <stdlib.h>
#include <string.h>

#include "ccm2.h"

int sg_cert_put_der(struct sg_xml *parent, const char *name, const struct sg_blob *der)
{
	if (der->len == 0)
		return SG_ERR_FORMAT;
	if (der->len > SG_CCM2_DER_MAX)
		return SG_ERR_LIMIT;
	return sg_xml_put_base64(parent, name, der, NULL);
}

int sg_cert_put_name(struct sg_xml *parent, const char *name)
{
	if (name != NULL && strlen(name) > SG_CCM2_NAME_MAX)
		return SG_ERR_LIMIT;
	return sg_xml_put(parent, "name", name, NULL);
}

int sg_cert_take_der(const struct sg_xml *parent, const char *name, struct sg_blob *der)
{
	const struct sg_xml *element;
	int err = sg_xml_only(parent, name, NULL, &element);

	if (err == 0 && element == NULL)
		err = SG_ERR_FORMAT;
	return err == 0 ? sg_xml_base64(element, SG_CCM2_DER_MAX, der) : err;
}

int sg_cert_take_text(const struct sg_xml *element, size_t max, char **text)
{
	*text = sg_xml_text(element);
	if (*text == NULL)
		return SG_ERR_NOMEM;
	if (strlen(*text) <= max)
		return 0;
	free(*text);
	*text = NULL;
	return SG_ERR_LIMIT;
}

static int take_resources(const struct sg_xml *users, struct sg_ccm2_cert *cert)
{
	const char *ns = sg_xml_ns(users);
	const struct sg_xml *child;
	size_t count = 0;
	int err;

	for (child = sg_xml_first(users); child != NULL; child = sg_xml_next(child))
		count += (size_t)sg_xml_is(child, "resource", ns);
	if (count == 0)
		return 0;
	if (count > SG_CCM2_USERS_MAX)
		return SG_ERR_LIMIT;
	cert->users = calloc(count, sizeof(*cert->users));
	if (cert->users == NULL)
		return SG_ERR_NOMEM;
	for (child = sg_xml_first(users); child != NULL; child = sg_xml_next(child)) {
		if (!sg_xml_is(child, "resource", ns))
			continue;
		err =
		    sg_cert_take_text(child, SG_CCM2_RESOURCE_MAX, &cert->users[cert->user_count]);
		if (err != 0)
			return err;
		cert->user_count++;
	}
	return 0;
}

int sg_cert_take_users(const struct sg_xml *entry, struct sg_ccm2_cert *cert)
{
	const struct sg_xml *users;
	int err = sg_xml_only(entry, "users", NULL, &users);

	return err == 0 && users != NULL ? take_resources(users, cert) : err;
}

int sg_cert_make_room(
    const struct sg_xml *payload, const char *name, const char *ns, struct sg_msg_ccm2_certs *certs)
{
	const struct sg_xml *child;
	size_t count = 0;

	for (child = sg_xml_first(payload); child != NULL; child = sg_xml_next(child))
		count += (size_t)sg_xml_is(child, name, ns);
	if (count > SG_CCM2_LIST_MAX)
		return SG_ERR_LIMIT;
	certs->certs = count > 0 ? calloc(count, sizeof(*certs->certs)) : NULL;
	return count > 0 && certs->certs == NULL ? SG_ERR_NOMEM : 0;
}
