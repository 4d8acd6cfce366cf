/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed run of bytes. data == NULL means absent; an empty run that is present has data != NULL and len == 0. */
struct bytes {
	const char *data;
	size_t len;
};

#define BYTES_NONE ((struct bytes){NULL, 0})
#define BYTES_LIT(s) ((struct bytes){"" s, sizeof(s) - 1})
/* For printf("%.*s", BYTES_ARG(b)). */
#define BYTES_ARG(b) (int)(b).len, (b).data

static inline struct bytes bytes_of(const char *cstr)
{
	return (struct bytes){cstr, cstr ? strlen(cstr) : 0};
}

static inline bool bytes_present(struct bytes b)
{
	return b.data != NULL;
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool bytes_is(struct bytes a, const char *cstr)
{
	return bytes_equal(a, bytes_of(cstr));
}

/* Valid UTF-8 (RFC 3629) without NUL. */
bool bytes_is_utf8(struct bytes b);
/* The length of the UTF-8 sequence (1 to 4) at the front of `b`, which is not empty; 0 where it is not valid. */
size_t bytes_utf8_char(struct bytes b);
/* True where every byte is neither a C0 control nor DEL (and no C1 control is encoded). */
bool bytes_has_no_controls(struct bytes b);

/* Kafka's murmur2 (org.apache.kafka.common.utils.Utils.murmur2), masked to 31 bits as its default partitioner does. */
uint32_t bytes_murmur2(struct bytes b);
/* 64-bit hash for tables in memory (SipHash-1-3). */
uint64_t bytes_hash(struct bytes b);
/* The key of bytes_hash, zero until set: once, before threads start and before the first table. Programs draw it at random, so that
 * nobody outside can choose ids that collide; simulations leave it, so that runs repeat. */
void bytes_hash_setup(uint64_t k0, uint64_t k1);
/* CRC-64-AVRO, the Rabin fingerprint of the Avro specification. */
uint64_t bytes_crc64_avro(struct bytes b);

#endif
