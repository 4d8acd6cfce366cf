/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The vectors of Kafka's own UtilsTest.testMurmur2, before the mask. */
static void murmur2_is_that_of_kafka(void **state)
{
	static const struct {
		const char *text;
		int32_t hash;
	} vectors[] = {
		{"21", -973932308},
		{"foobar", -790332482},
		{"a-little-bit-long-string", -985981536},
		{"a-little-bit-longer-string", -1486304829},
		{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
		{"abc", 479470107},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++)
		assert_int_equal(bytes_murmur2(bytes_of(vectors[i].text)), (uint32_t)vectors[i].hash & 0x7fffffff);
}

static void murmur2_takes_bytes_above_127_as_unsigned(void **state)
{
	(void)state;
	/* From kafka-clients 4.1; the tails of 1, 2 and 3 bytes and a whole word. */
	assert_int_equal(bytes_murmur2(BYTES_LIT("")), 275646681);
	assert_int_equal(bytes_murmur2(BYTES_LIT("\xff")), 1836015963);
	assert_int_equal(bytes_murmur2(BYTES_LIT("\xff\x80")), 1704694928);
	assert_int_equal(bytes_murmur2(BYTES_LIT("\xff\x80\xc3")), 1419509556);
	assert_int_equal(bytes_murmur2(BYTES_LIT("\xff\x80\xc3\xfe")), 1646762680);
}

/* The fingerprints that the Avro specification and its other implementations give. */
static void crc64_is_the_fingerprint_of_avro(void **state)
{
	(void)state;
	assert_true(bytes_crc64_avro(BYTES_LIT("")) == 0xc15d213aa4d7a795);
	assert_true(bytes_crc64_avro(BYTES_LIT("\"int\"")) == 0x7275d51a3f395c8f);
	assert_true(bytes_crc64_avro(BYTES_LIT("\"null\"")) == 0x63dd24e7cc258f8a);
	assert_true(bytes_crc64_avro(BYTES_LIT("\"boolean\"")) == 0x9f42fc78a4d4f764);
	assert_true(bytes_crc64_avro(BYTES_LIT("\"string\"")) == 0x8f014872634503c7);
}

static void hash_is_siphash_1_3(void **state)
{
	(void)state;
	/* CPython 3.11 hashes bytes with SipHash-1-3; PYTHONHASHSEED=0 is the key of zeros. */
	assert_true(bytes_hash(BYTES_LIT("a")) == 0x407448d2b89b1813);
	assert_true(bytes_hash(BYTES_LIT("abcdefg")) == 0x6db12aae9070f506);
	assert_true(bytes_hash(BYTES_LIT("abcdefgh")) == 0x3f7b849c0b8e35ea);
	assert_true(bytes_hash(BYTES_LIT("hello-world-0123456789")) == 0xd2e6b73aa236cc94);
}

static void hash_depends_on_its_key(void **state)
{
	uint64_t with_zero_key = bytes_hash(BYTES_LIT("order-1"));

	(void)state;
	bytes_hash_setup(1, 2);
	assert_true(bytes_hash(BYTES_LIT("order-1")) != with_zero_key);
	bytes_hash_setup(0, 0);
	assert_true(bytes_hash(BYTES_LIT("order-1")) == with_zero_key);
}

static void utf8_follows_rfc_3629(void **state)
{
	static const struct {
		struct bytes text;
		bool valid;
	} cases[] = {
		{BYTES_LIT(""), true},
		{BYTES_LIT("plain"), true},
		{BYTES_LIT("\x7f"), true},
		{BYTES_LIT("\xc2\x80"), true},
		{BYTES_LIT("\xdf\xbf"), true},
		{BYTES_LIT("\xe0\xa0\x80"), true},
		{BYTES_LIT("\xed\x9f\xbf"), true},
		{BYTES_LIT("\xee\x80\x80"), true},
		{BYTES_LIT("\xef\xbf\xbf"), true},
		{BYTES_LIT("\xf0\x90\x80\x80"), true},
		{BYTES_LIT("\xf4\x8f\xbf\xbf"), true},
		{BYTES_LIT("a\xf0\x9f\x92\xb6z"), true},
		{BYTES_LIT("a\0b"), false},             /* NUL */
		{BYTES_LIT("\x80"), false},             /* continuation alone */
		{BYTES_LIT("\xc0\x80"), false},         /* overlong NUL */
		{BYTES_LIT("\xc1\xbf"), false},         /* overlong */
		{BYTES_LIT("\xe0\x9f\xbf"), false},     /* overlong */
		{BYTES_LIT("\xf0\x8f\xbf\xbf"), false}, /* overlong */
		{BYTES_LIT("\xed\xa0\x80"), false},     /* surrogate */
		{BYTES_LIT("\xf4\x90\x80\x80"), false}, /* above U+10FFFF */
		{BYTES_LIT("\xf5\x80\x80\x80"), false}, /* above U+10FFFF */
		{BYTES_LIT("\xff"), false},
		{BYTES_LIT("\xc2"), false}, /* cut */
		{BYTES_LIT("\xe2\x82"), false},
		{BYTES_LIT("\xf0\x9f\x92"), false},
		{BYTES_LIT("\xe2\x82\x28"), false},     /* wrong third byte */
		{BYTES_LIT("\xf0\x9f\x92\x28"), false}, /* wrong fourth byte */
		{BYTES_LIT("\xc2\xc2\x80"), false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (bytes_is_utf8(cases[i].text) != cases[i].valid)
			fail_msg("case %zu", i);
}

static void the_length_of_a_character_is_that_of_its_sequence(void **state)
{
	(void)state;
	assert_int_equal(bytes_utf8_char(BYTES_LIT("az")), 1);
	assert_int_equal(bytes_utf8_char(BYTES_LIT("\xc3\xa9z")), 2);
	assert_int_equal(bytes_utf8_char(BYTES_LIT("\xe2\x82\xacz")), 3);
	assert_int_equal(bytes_utf8_char(BYTES_LIT("\xf0\x9f\x92\xb6z")), 4);
	assert_int_equal(bytes_utf8_char(BYTES_LIT("\xe2z")), 0);
}

static void controls_are_found_wherever_they_stand(void **state)
{
	static const struct {
		struct bytes text;
		bool clean;
	} cases[] = {
		{BYTES_LIT(""), true},
		{BYTES_LIT("order 1"), true},
		{BYTES_LIT("gr\xc3\xbc\xc3\x9f"), true}, /* 0x9f behind another lead byte is no control */
		{BYTES_LIT("\xc2\xa0"), true},
		{BYTES_LIT("a\n"), false},
		{BYTES_LIT("\ta"), false},
		{BYTES_LIT("a\x1fz"), false},
		{BYTES_LIT("a\0z"), false},
		{BYTES_LIT("\x7f"), false},
		{BYTES_LIT("a\xc2\x80"), false},
		{BYTES_LIT("a\xc2\x9fz"), false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (bytes_has_no_controls(cases[i].text) != cases[i].clean)
			fail_msg("case %zu", i);
}

static void absent_and_empty_bytes_differ_in_presence_only(void **state)
{
	(void)state;
	assert_false(bytes_present(BYTES_NONE));
	assert_true(bytes_present(BYTES_LIT("")));
	assert_true(bytes_equal(BYTES_NONE, BYTES_LIT("")));
	assert_false(bytes_present(bytes_of(NULL)));
	assert_true(bytes_is(BYTES_LIT("abc"), "abc"));
	assert_false(bytes_is(BYTES_LIT("abc"), "abd"));
	assert_false(bytes_is(BYTES_LIT("abc"), "ab"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(murmur2_is_that_of_kafka),
		cmocka_unit_test(murmur2_takes_bytes_above_127_as_unsigned),
		cmocka_unit_test(crc64_is_the_fingerprint_of_avro),
		cmocka_unit_test(hash_is_siphash_1_3),
		cmocka_unit_test(hash_depends_on_its_key),
		cmocka_unit_test(utf8_follows_rfc_3629),
		cmocka_unit_test(the_length_of_a_character_is_that_of_its_sequence),
		cmocka_unit_test(controls_are_found_wherever_they_stand),
		cmocka_unit_test(absent_and_empty_bytes_differ_in_presence_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
