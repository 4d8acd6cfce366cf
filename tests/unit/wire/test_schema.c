/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "wire/wire.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char order[] =
	"{\"type\":\"record\",\"name\":\"Order\",\"namespace\":\"shop\",\"fields\":["
	"{\"name\":\"id\",\"type\":\"string\"},"
	"{\"name\":\"cents\",\"type\":\"long\"},"
	"{\"name\":\"pieces\",\"type\":\"int\",\"default\":1},"
	"{\"name\":\"note\",\"type\":[\"null\",\"string\"],\"default\":null},"
	"{\"name\":\"paid\",\"type\":\"boolean\",\"default\":false},"
	"{\"name\":\"weight\",\"type\":\"double\",\"default\":0.5},"
	"{\"name\":\"factor\",\"type\":\"float\",\"default\":1},"
	"{\"name\":\"raw\",\"type\":\"bytes\",\"default\":\"\\u00ff\"},"
	"{\"name\":\"hash\",\"type\":{\"type\":\"fixed\",\"name\":\"Hash\",\"size\":2},\"default\":\"ab\"},"
	"{\"name\":\"kind\",\"type\":{\"type\":\"enum\",\"name\":\"Kind\",\"symbols\":[\"NEW\",\"OLD\"]},\"default\":\"NEW\"},"
	"{\"name\":\"tags\",\"type\":{\"type\":\"array\",\"items\":\"string\"},\"default\":[]},"
	"{\"name\":\"counts\",\"type\":{\"type\":\"map\",\"values\":\"long\"},\"default\":{}},"
	"{\"name\":\"address\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"Address\",\"fields\":[{\"name\":\"city\","
	"\"type\":\"string\"},"
	"{\"name\":\"second\",\"type\":\"Kind\",\"default\":\"OLD\"}]}]},"
	"{\"name\":\"any\",\"type\":[\"null\",\"long\",\"string\",\"Address\"],\"default\":null}"
	"]}";

static struct wire_schema *schema_of(const char *avsc)
{
	struct wire_schema *schema = NULL;
	struct mr_error err;

	if (wire_schema_new("input", bytes_of(avsc), &schema, &err) != MR_OK)
		fail_msg("%s", err.message);
	return schema;
}

static void json_goes_to_avro_and_back(void **state)
{
	static const struct {
		const char *sent, *came; /* NULL: as sent */
	} rows[] = {
		{"{\"id\":\"a\",\"cents\":-5}", "{\"id\":\"a\",\"cents\":-5,\"pieces\":1,\"note\":null,\"paid\":false,\"weight\":"
						"0.5,\"factor\":1.0,\"raw\":\"ÿ\",\"hash\":\"ab\","
						"\"kind\":\"NEW\",\"tags\":[],\"counts\":{},\"address\":null,\"any\":null}"},
		{"{\"id\":\"ä\",\"cents\":9223372036854775807,\"pieces\":-2147483648,\"note\":\"x\",\"paid\":true,\"weight\":1e+"
		 "300,\"factor\":0.1,\"raw\":\"\","
		 "\"hash\":\"\\u0000ÿ\",\"kind\":\"OLD\",\"tags\":[\"a\",\"b\"],\"counts\":{\"k\":7},\"address\":{\"city\":"
		 "\"Ulm\",\"second\":\"NEW\"},"
		 "\"any\":{\"Address\":{\"city\":\"Bonn\",\"second\":\"OLD\"}}}",
		 NULL},
		{"{\"id\":\"a\",\"cents\":1,\"any\":7,\"weight\":\"NaN\",\"note\":{\"string\":\"tagged\"},\"address\":{\"city\":"
		 "\"Ulm\"}}",
		 "{\"id\":\"a\",\"cents\":1,\"pieces\":1,\"note\":\"tagged\",\"paid\":false,\"weight\":\"NaN\",\"factor\":1.0,"
		 "\"raw\":\"ÿ\",\"hash\":\"ab\","
		 "\"kind\":\"NEW\",\"tags\":[],\"counts\":{},\"address\":{\"city\":\"Ulm\",\"second\":\"OLD\"},\"any\":{\"long\":"
		 "7}}"},
	};
	struct wire_schema *schema = schema_of(order);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf avro = {0}, json = {0};
		struct mr_error err;

		if (wire_schema_from_json(schema, bytes_of(rows[i].sent), &avro, &err) != MR_OK)
			fail_msg("%s", err.message);
		assert_int_equal(wire_schema_check(schema, buf_bytes(&avro), NULL), MR_OK);
		assert_int_equal(wire_schema_to_json(schema, buf_bytes(&avro), &json, NULL), MR_OK);
		assert_string_equal(buf_cstr(&json), rows[i].came ? rows[i].came : rows[i].sent);
		buf_deinit(&avro);
		buf_deinit(&json);
	}
	wire_schema_free(schema);
}

static void json_that_does_not_fit_is_refused_by_field(void **state)
{
	static const struct {
		const char *json, *where, *message;
	} rows[] = {
		{"7", "", "input: the value must be of type Order, got a number"},
		{"{", "", "input: the value is not JSON"},
		{"{\"id\":\"a\"}", "", "input: the value needs its field cents"},
		{"{\"id\":1,\"cents\":1}", "id", "input: field id must be of type string, got a number"},
		{"{\"id\":\"a\",\"cents\":1.5}", "cents", "input: field cents must be of type long, got a number"},
		{"{\"id\":\"a\",\"cents\":1,\"pieces\":2147483648}", "pieces", "input: field pieces does not fit an int"},
		{"{\"id\":\"a\",\"cents\":1,\"note\":7}", "note", "input: field note must be of type string, got a number"},
		{"{\"id\":\"a\",\"cents\":1,\"kind\":\"new\"}", "kind", "input: field kind must be one of NEW, OLD"},
		{"{\"id\":\"a\",\"cents\":1,\"hash\":\"abc\"}", "hash", "input: field hash has another length than its type"},
		{"{\"id\":\"a\",\"cents\":1,\"raw\":\"€\"}", "raw",
		 "input: field raw must be a string of the characters U+0000 to U+00FF, one for each byte"},
		{"{\"id\":\"a\",\"cents\":1,\"tags\":[\"a\",2]}", "tags[1]",
		 "input: field tags[1] must be of type string, got a number"},
		{"{\"id\":\"a\",\"cents\":1,\"counts\":{\"k\":\"v\"}}", "counts.k",
		 "input: field counts.k must be of type long, got a string"},
		{"{\"id\":\"a\",\"cents\":1,\"address\":{}}", "address", "input: field address needs its field city"},
		{"{\"id\":\"a\",\"cents\":1,\"address\":{\"city\":\"x\",\"sity\":1}}", "address.sity",
		 "input: unknown field address.sity; did you mean city"},
		{"{\"id\":\"a\",\"cents\":1,\"any\":[]}", "any", "input: field any fits no branch of its union"},
		{"{\"id\":\"a\",\"cents\":1,\"cent\":2}", "cent", "input: unknown field cent; did you mean cents"},
	};
	struct wire_schema *schema = schema_of(order);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out = {0};
		struct mr_error err;

		assert_int_equal(wire_schema_from_json(schema, bytes_of(rows[i].json), &out, &err), MR_EBAD_RECORD);
		assert_string_equal(err.message, rows[i].message);
		assert_string_equal(err.where, rows[i].where);
		assert_int_equal(out.len, 0);
		buf_deinit(&out);
	}
	wire_schema_free(schema);
}

static void damaged_bodies_are_refused_or_whole(void **state)
{
	struct wire_schema *schema = schema_of(order);
	struct buf body = {0};
	unsigned seed = 17;

	(void)state;
	assert_int_equal(
		wire_schema_from_json(
			schema,
			BYTES_LIT("{\"id\":\"abc\",\"cents\":77,\"note\":\"n\",\"tags\":[\"a\",\"b\"],\"counts\":{\"k\":7},"
				  "\"address\":{\"city\":\"Ulm\"},\"any\":{\"string\":\"z\"}}"),
			&body, NULL),
		MR_OK);
	for (int round = 0; round < 60000; round++) {
		size_t len = round % 3 ? body.len : (size_t)rand_r(&seed) % (body.len + 1);
		char *copy = malloc(len + 1);
		struct buf json = {0};

		memcpy(copy, body.data, len);
		for (int flips = rand_r(&seed) % 4; flips > 0 && len > 0; flips--)
			copy[(size_t)rand_r(&seed) % len] = (char)rand_r(&seed);
		/* The last byte lies at the end of the memory. */
		char *exact = realloc(copy, len ? len : 1);
		if (wire_schema_check(schema, (struct bytes){exact, len}, NULL) == MR_OK) {
			assert_int_equal(wire_schema_to_json(schema, (struct bytes){exact, len}, &json, NULL), MR_OK);
			assert_true(wire_is_json(buf_bytes(&json)));
		}
		buf_deinit(&json);
		free(exact);
	}
	buf_deinit(&body);
	wire_schema_free(schema);
}

static void a_bad_body_is_refused_by_field(void **state)
{
	static const struct {
		struct bytes body;
		const char *where;
	} rows[] = {
		{{"", 0}, "id"},
		{{"\x02", 1}, "id"},
		{{"\x02\xff", 2}, "id"},
		{{"\x01", 1}, "id"},
		{{"\x02"
		  "a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		  12},
		 "cents"},
		{{"\x02"
		  "a\x02\xff\xff\xff\xff\xff\x01",
		  9},
		 "pieces"},
		{{"\x02"
		  "a\x02\x02\x04",
		  5},
		 "note"},
		{{"\x02"
		  "a\x02\x02\x00\x02",
		  6},
		 "paid"},
	};
	struct wire_schema *schema = schema_of(order);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct mr_error err;

		assert_int_equal(wire_schema_check(schema, rows[i].body, &err), MR_EBAD_RECORD);
		assert_string_equal(err.where, rows[i].where);
	}
	wire_schema_free(schema);
}

static void endless_counts_end_at_once(void **state)
{
	struct wire_schema *array = schema_of("{\"type\":\"array\",\"items\":\"boolean\"}");
	struct wire_schema *map = schema_of("{\"type\":\"map\",\"values\":\"null\"}");
	const struct bytes huge = BYTES_LIT("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"), empty = BYTES_LIT("\0");

	(void)state;
	assert_int_equal(wire_schema_check(array, huge, NULL), MR_EBAD_RECORD);
	assert_int_equal(wire_schema_check(map, huge, NULL), MR_EBAD_RECORD);
	assert_int_equal(wire_schema_check(array, empty, NULL), MR_OK);
	assert_int_equal(wire_schema_check(map, empty, NULL), MR_OK);
	wire_schema_free(array);
	wire_schema_free(map);
}

static void dangerous_schemas_are_refused(void **state)
{
	static const struct {
		const char *avsc, *message;
	} rows[] = {
		{"{\"type\":\"array\",\"items\":\"null\"}", "schema s: array has items that take no bytes"},
		{"{\"type\":\"array\",\"items\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":0}}",
		 "schema s: array has items that take no bytes"},
		{"{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"n\",\"type\":"
		 "\"null\"}]}}",
		 "schema s: array has items that take no bytes"},
		{"{\"type\":\"record\",\"name\":\"L\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"L\"]}]}",
		 "schema s: L contains itself; recursive schemas are refused"},
		{"{\"type\":\"record\",\"name\":\"L\",\"fields\":[{\"name\":\"all\",\"type\":{\"type\":\"array\",\"items\":\"L\"}"
		 "}]}",
		 "schema s: L contains itself; recursive schemas are refused"},
		{"{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}", NULL},
		{"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[]}", NULL},
		{"\"integer\"", NULL},
		{"{\"type\":\"record\"", NULL},
		{"", NULL},
		{"{}", NULL},
		{"7", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct wire_schema *schema = NULL;
		struct mr_error err = {.code = MR_OK};

		if (wire_schema_new("s", bytes_of(rows[i].avsc), &schema, &err) == MR_OK)
			fail_msg("accepted: %s", rows[i].avsc);
		assert_null(schema);
		assert_true(strlen(err.message) > 0);
		if (rows[i].message)
			assert_string_equal(err.message, rows[i].message);
	}
}

/* Each record holds two of the next: 2^40 nodes in a kilobyte of text. */
static void a_schema_that_doubles_itself_is_refused(void **state)
{
	struct buf avsc = {0};
	struct wire_schema *schema = NULL;

	(void)state;
	for (int i = 0; i < 40; i++)
		buf_printf(&avsc, "{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[{\"name\":\"a\",\"type\":", i);
	buf_printf(&avsc, "\"null\"");
	for (int i = 39; i >= 0; i--)
		buf_printf(&avsc, "},{\"name\":\"b\",\"type\":\"%s%.0d\"}]}", i == 39 ? "null" : "R", i == 39 ? 0 : i + 1);
	assert_int_equal(wire_schema_new("s", buf_bytes(&avsc), &schema, NULL), MR_EINVAL);
	buf_deinit(&avsc);
}

static void a_type_may_be_used_again(void **state)
{
	struct wire_schema *schema = schema_of(
		"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"enum\",\"name\":\"E\","
		"\"symbols\":[\"X\",\"Y\"]}},{\"name\":\"b\",\"type\":\"E\"}]}");
	struct buf out = {0};

	(void)state;
	assert_int_equal(wire_schema_from_json(schema, BYTES_LIT("{\"a\":\"X\",\"b\":\"Y\"}"), &out, NULL), MR_OK);
	assert_true(bytes_equal(buf_bytes(&out), BYTES_LIT("\x00\x02")));
	buf_deinit(&out);
	wire_schema_free(schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_goes_to_avro_and_back),
		cmocka_unit_test(json_that_does_not_fit_is_refused_by_field),
		cmocka_unit_test(damaged_bodies_are_refused_or_whole),
		cmocka_unit_test(a_bad_body_is_refused_by_field),
		cmocka_unit_test(endless_counts_end_at_once),
		cmocka_unit_test(dangerous_schemas_are_refused),
		cmocka_unit_test(a_schema_that_doubles_itself_is_refused),
		cmocka_unit_test(a_type_may_be_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
