/*
 * The elements of a certificate that ccm2 and XEP-0257 have in common: name, DER, who uses it. For
 * their codecs alone; the limits are those of ccm2.h. Each gives 0, SG_ERR_FORMAT, SG_ERR_LIMIT or
 * SG_ERR_NOMEM.
 */
#ifndef SG_PROTO_CERT_ELEMENTS_H
#define SG_PROTO_CERT_ELEMENTS_H

#include "error.h"
#include "msg.h"
#include "xml.h"

/* Adds the DER, which is not empty, as an element of this name. */
SG_MUST_USE int sg_cert_put_der(struct sg_xml *parent, const char *name, const struct sg_blob *der);

/* Adds <name/> with the text (NULL: empty). */
SG_MUST_USE int sg_cert_put_name(struct sg_xml *parent, const char *name);

/* The DER in the one child of this name, new in *der. */
SG_MUST_USE int sg_cert_take_der(
    const struct sg_xml *parent, const char *name, struct sg_blob *der);

/* The text of an element, new in *text; longer than max bytes is SG_ERR_LIMIT. */
SG_MUST_USE int sg_cert_take_text(const struct sg_xml *element, size_t max, char **text);

/* Room in an empty list for all children of this name; none is counted yet. SG_ERR_LIMIT over SG_CCM2_LIST_MAX. */
SG_MUST_USE int sg_cert_make_room(const struct sg_xml *payload, const char *name, const char *ns,
    struct sg_msg_ccm2_certs *certs);

/* The resources in the one <users/> that the entry may have; what was taken before a failure is
 * the certificate's too. */
SG_MUST_USE int sg_cert_take_users(const struct sg_xml *entry, struct sg_ccm2_cert *cert);

#endif
