/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/canonical.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* From the test suite of the Avro specification (share/test/data/schema-tests.txt), and one with all rules at once. */
static const struct {
	const char *schema, *canonical;
	uint64_t fingerprint; /* 0: not in the suite */
} rows[] = {
	{"\"null\"", "\"null\"", UINT64_C(7195948357588979594)},
	{"{\"type\":\"boolean\"}", "\"boolean\"", UINT64_C(0x9f42fc78a4d4f764)},
	{"\"int\"", "\"int\"", UINT64_C(8247732601305521295)},
	{"[\"int\", \"long\"]", "[\"int\",\"long\"]", 0},
	{"{\"items\":\"long\", \"type\":\"array\"}", "{\"type\":\"array\",\"items\":\"long\"}", 0},
	{"{\"values\":{\"type\":\"string\"}, \"type\":\"map\"}", "{\"type\":\"map\",\"values\":\"string\"}", 0},
	{"{\"type\":\"fixed\", \"name\":\"MyFixed\", \"namespace\":\"org.apache\", \"size\":1}",
	 "{\"name\":\"org.apache.MyFixed\",\"type\":\"fixed\",\"size\":1}", 0},
	{"{\"name\":\"a.B\",\"doc\":\"x\",\"type\":\"record\",\"fields\":[{\"default\":null,\"doc\":\"y\",\"type\":[\"null\",{"
	 "\"symbols\":[\"X\"],"
	 "\"type\":\"enum\",\"name\":\"E\"}],\"name\":\"e\",\"order\":\"ignore\"},{\"name\":\"f\",\"type\":\"E\"},"
	 "{\"name\":\"g\",\"type\":{\"type\":\"record\",\"name\":\"G\",\"namespace\":\"\",\"fields\":[]}},{\"name\":\"h\","
	 "\"type\":\"c.D\"}]}",
	 "{\"name\":\"a.B\",\"type\":\"record\",\"fields\":[{\"name\":\"e\",\"type\":[\"null\",{\"name\":\"a.E\",\"type\":"
	 "\"enum\",\"symbols\":[\"X\"]}]},"
	 "{\"name\":\"f\",\"type\":\"a.E\"},{\"name\":\"g\",\"type\":{\"name\":\"G\",\"type\":\"record\",\"fields\":[]}},{"
	 "\"name\":\"h\",\"type\":\"c.D\"}]}",
	 0},
};

static void the_canonical_form_follows_the_specification(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out = {0};
		json_t *schema = NULL;

		assert_int_equal(canonical_parse(bytes_of(rows[i].schema), &schema, NULL), MR_OK);
		canonical_append(schema, &out);
		assert_string_equal(buf_cstr(&out), rows[i].canonical);
		if (rows[i].fingerprint)
			assert_true(canonical_fingerprint(schema) == rows[i].fingerprint);
		buf_deinit(&out);
		json_decref(schema);
	}
}

static void a_schema_that_is_not_json_is_refused(void **state)
{
	json_t *schema = NULL;
	struct mr_error err;

	(void)state;
	assert_int_equal(canonical_parse(BYTES_LIT("{\"type\":\"int\",\"type\":\"int\"}"), &schema, &err), MR_EINVAL);
	assert_null(schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_canonical_form_follows_the_specification),
		cmocka_unit_test(a_schema_that_is_not_json_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
