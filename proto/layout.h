/*
 * How a struct stands in a frame: a table of its fields, read by one encoder, one decoder and one
 * clearer. All numbers are big-endian, nothing is padded:
 *
 *   SG_FIELD_U32     4 bytes
 *   SG_FIELD_STR     1 byte 0 (absent, NULL) or 1, then a 4-byte length and UTF-8 without NUL
 *   SG_FIELD_BLOB    4-byte length and the bytes
 *   SG_FIELD_STRUCT  the fields of the inner struct
 *   SG_FIELD_LIST    4-byte count, then that many structs
 *   SG_FIELD_STRS    4-byte count, then that many SG_FIELD_STR that must be present
 */
#ifndef SG_PROTO_LAYOUT_H
#define SG_PROTO_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

enum sg_field_kind {
	SG_FIELD_U32,
	SG_FIELD_STR,
	SG_FIELD_BLOB,
	SG_FIELD_STRUCT,
	SG_FIELD_LIST,
	SG_FIELD_STRS,
};

struct sg_layout;

struct sg_field {
	enum sg_field_kind kind;
	size_t offset;		       /* of the value, or of the pointer to the items */
	size_t count_offset;	       /* LIST, STRS: of the uint32_t count */
	const struct sg_layout *inner; /* STRUCT, LIST */
};

struct sg_layout {
	size_t size;
	const struct sg_field *fields;
	size_t field_count;
};

/* Appends the struct. SG_ERR_NOMEM, SG_ERR_LIMIT; SG_ERR_FORMAT for a string that is not UTF-8, or
 * is absent among those of SG_FIELD_STRS. */
SG_MUST_USE int sg_layout_encode(
    const struct sg_layout *layout, const void *object, struct sg_buf *out);

/*
 * Reads one struct. What it gives is owned by *object and freed by sg_layout_clear(). On failure
 * (SG_ERR_FORMAT, SG_ERR_NOMEM) *object is all zero. A count is checked against the bytes that are
 * left before memory is taken.
 */
SG_MUST_USE int sg_layout_decode(
    const struct sg_layout *layout, struct sg_cursor *cur, void *object);

/* Frees what the struct owns and zeroes it. */
void sg_layout_clear(const struct sg_layout *layout, void *object);

#endif
