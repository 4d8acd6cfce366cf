/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include <assert.h>

/* Length of the UTF-8 sequence that `lead` begins, 0 where none may; *ret_min, *ret_max bound the byte after it. RFC 3629, section 4. */
static size_t utf8_sequence(uint8_t lead, uint8_t *ret_min, uint8_t *ret_max)
{
	*ret_min = 0x80;
	*ret_max = 0xbf;
	if (lead < 0x80)
		return 1;
	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	if (lead < 0xe0)
		return 2;
	if (lead < 0xf0) {
		if (lead == 0xe0)
			*ret_min = 0xa0;
		if (lead == 0xed)
			*ret_max = 0x9f;
		return 3;
	}
	if (lead == 0xf0)
		*ret_min = 0x90;
	if (lead == 0xf4)
		*ret_max = 0x8f;
	return 4;
}

size_t bytes_utf8_char(struct bytes b)
{
	uint8_t min, max;

	assert(b.len > 0);
	const uint8_t *p = (const uint8_t *)b.data;
	size_t len = utf8_sequence(p[0], &min, &max);
	if (len == 0 || len > b.len)
		return 0;
	if (len > 1 && (p[1] < min || p[1] > max))
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

bool bytes_is_utf8(struct bytes b)
{
	while (b.len > 0) {
		size_t n = bytes_utf8_char(b);

		if (n == 0 || b.data[0] == '\0')
			return false;
		b.data += n;
		b.len -= n;
	}
	return true;
}

bool bytes_has_no_controls(struct bytes b)
{
	const uint8_t *p = (const uint8_t *)b.data;

	for (size_t i = 0; i < b.len; i++) {
		if (p[i] < 0x20 || p[i] == 0x7f)
			return false;
		if (p[i] == 0xc2 && i + 1 < b.len && p[i + 1] >= 0x80 && p[i + 1] <= 0x9f)
			return false;
	}
	return true;
}

static uint32_t load32_le(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t load64_le(const uint8_t *p)
{
	return (uint64_t)load32_le(p) | (uint64_t)load32_le(p + 4) << 32;
}

uint32_t bytes_murmur2(struct bytes b)
{
	const uint32_t m = 0x5bd1e995;
	const uint8_t *p = (const uint8_t *)b.data;
	size_t left = b.len;
	uint32_t h = 0x9747b28cu ^ (uint32_t)b.len;

	for (; left >= 4; p += 4, left -= 4) {
		uint32_t k = load32_le(p) * m;

		k ^= k >> 24;
		h = (h * m) ^ (k * m);
	}
	for (size_t i = left; i > 0; i--)
		h ^= (uint32_t)p[i - 1] << (8 * (i - 1));
	if (left > 0)
		h *= m;
	h ^= h >> 13;
	h *= m;
	h ^= h >> 15;
	return h & 0x7fffffff;
}

static uint64_t hash_key[2];

void bytes_hash_setup(uint64_t k0, uint64_t k1)
{
	hash_key[0] = k0;
	hash_key[1] = k1;
}

static uint64_t rotl64(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl64(v[1], 13) ^ v[0];
	v[0] = rotl64(v[0], 32);
	v[2] += v[3];
	v[3] = rotl64(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl64(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl64(v[1], 17) ^ v[2];
	v[2] = rotl64(v[2], 32);
}

static void sip_absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

/* SipHash-1-3: ids come from strangers, who must not be able to choose keys that all land in one slot. */
uint64_t bytes_hash(struct bytes b)
{
	const uint8_t *p = (const uint8_t *)b.data;
	size_t left = b.len;
	uint64_t last = (uint64_t)b.len << 56;
	uint64_t v[4] = {
		hash_key[0] ^ 0x736f6d6570736575,
		hash_key[1] ^ 0x646f72616e646f6d,
		hash_key[0] ^ 0x6c7967656e657261,
		hash_key[1] ^ 0x7465646279746573,
	};

	for (; left >= 8; p += 8, left -= 8)
		sip_absorb(v, load64_le(p));
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)p[i] << (8 * i);
	sip_absorb(v, last);
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Bit by bit: it runs over a handful of schemas at start, so a table would not pay. */
uint64_t bytes_crc64_avro(struct bytes b)
{
	const uint64_t empty = 0xc15d213aa4d7a795;
	const uint8_t *p = (const uint8_t *)b.data;
	uint64_t crc = empty;

	for (size_t i = 0; i < b.len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (empty & (0 - (crc & 1)));
	}
	return crc;
}
