#include "disco.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "text.h"

static int new_query(const char *node, struct sg_xml **root)
{
	*root = sg_xml_new("query", SG_NS_DISCO_INFO);
	if (*root == NULL)
		return SG_ERR_NOMEM;
	return node != NULL ? sg_xml_set_attr(*root, "node", node) : 0;
}

int sg_disco_info_encode(const char *node, struct sg_xml **payload)
{
	struct sg_xml *root;
	int err;

	*payload = NULL;
	err = new_query(node, &root);
	return sg_xml_hand_over(err, root, payload);
}

static int put_identity(struct sg_xml *root, const char *category, const char *type)
{
	struct sg_xml *identity;
	int err;

	err = sg_xml_put(root, "identity", NULL, &identity);
	if (err == 0)
		err = sg_xml_set_attr(identity, "category", category);
	if (err == 0)
		err = sg_xml_set_attr(identity, "type", type);
	return err;
}

int sg_disco_result_encode(const char *node, const char *category, const char *type,
    const char *const *features, size_t feature_count, struct sg_xml **payload)
{
	struct sg_xml *root, *feature;
	int err;

	*payload = NULL;
	err = new_query(node, &root);
	if (err == 0 && category != NULL && type != NULL)
		err = put_identity(root, category, type);
	for (size_t i = 0; err == 0 && i < feature_count; i++) {
		err = sg_xml_put(root, "feature", NULL, &feature);
		if (err == 0)
			err = sg_xml_set_attr(feature, "var", features[i]);
	}
	return sg_xml_hand_over(err, root, payload);
}

static int add_feature(struct sg_msg_xmpp_feature_set *features, const char *feature)
{
	char **list, *copy;

	if (sg_disco_has(features, feature))
		return 0;
	if (features->feature_count >= SG_DISCO_FEATURES_MAX)
		return SG_ERR_LIMIT;
	list = reallocarray(features->features, features->feature_count + 1, sizeof(*list));
	if (list == NULL)
		return SG_ERR_NOMEM;
	features->features = list;
	copy = strdup(feature);
	if (copy == NULL)
		return SG_ERR_NOMEM;
	list[features->feature_count++] = copy;
	return 0;
}

int sg_disco_result_decode(const struct sg_xml *payload, struct sg_msg_xmpp_feature_set *features)
{
	const struct sg_xml *child;
	const char *feature;
	int err = 0;

	if (!sg_xml_is(payload, "query", SG_NS_DISCO_INFO))
		return SG_ERR_FORMAT;
	for (child = sg_xml_first(payload); child != NULL && err == 0; child = sg_xml_next(child)) {
		if (!sg_xml_is(child, "feature", SG_NS_DISCO_INFO))
			continue;
		feature = sg_xml_attr(child, "var");
		err = feature != NULL ? add_feature(features, feature) : SG_ERR_FORMAT;
	}
	return err;
}

int sg_disco_has(const struct sg_msg_xmpp_feature_set *features, const char *feature)
{
	for (uint32_t i = 0; i < features->feature_count; i++) {
		if (strcmp(features->features[i], feature) == 0)
			return 1;
	}
	return 0;
}

char *sg_disco_ver(
    const char *category, const char *type, const char *const *features, size_t feature_count)
{
	struct sg_buf text = { 0 };
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	char *ver = NULL;

	sg_buf_printf(&text, "%s/%s//<", category, type);
	for (size_t i = 0; i < feature_count; i++)
		sg_buf_printf(&text, "%s<", features[i]);
	if (text.err == 0 && EVP_Digest(text.data, text.len, hash, &len, EVP_sha1(), NULL) == 1)
		ver = sg_base64_encode(hash, len);
	sg_buf_clear(&text);
	return ver;
}
