/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bytes.h"
#include "millrace/status.h"

static void a_status_has_a_name_a_text_and_says_whether_to_retry(void **state)
{
	(void)state;
	assert_string_equal(mr_status_name(MR_OK), "MR_OK");
	assert_string_equal(mr_status_name(MR_EKAFKA), "MR_EKAFKA");
	assert_string_equal(mr_status_text(MR_ETOO_LARGE), "too large");
	assert_true(mr_status_retryable(MR_EREDIS));
	assert_false(mr_status_retryable(MR_EINVAL));
	assert_false(mr_status_retryable(MR_OK));
}

static void a_status_from_elsewhere_is_named_too(void **state)
{
	(void)state;
	assert_non_null(mr_status_name((enum mr_status)999));
	assert_non_null(mr_status_text((enum mr_status) - 1));
	assert_false(mr_status_retryable((enum mr_status)999));
}

static void error_set_returns_the_code_and_fills_in_the_error(void **state)
{
	struct mr_error err;

	(void)state;
	assert_int_equal(mr_error_set(&err, MR_EINVAL, "--slots", "\"%s\" is not a number", "x"), MR_EINVAL);
	assert_int_equal(err.code, MR_EINVAL);
	assert_string_equal(err.where, "--slots");
	assert_string_equal(err.message, "\"x\" is not a number");
}

static void error_set_takes_no_error_and_no_place(void **state)
{
	struct mr_error err;

	(void)state;
	assert_int_equal(mr_error_set(NULL, MR_EFULL, "x", "y"), MR_EFULL);
	mr_error_set(&err, MR_EFULL, NULL, "y");
	assert_string_equal(err.where, "");
}

static void an_error_can_be_built_from_itself(void **state)
{
	struct mr_error err;

	(void)state;
	mr_error_set(&err, MR_EKAFKA, "broker:9092", "connection refused");
	mr_error_set(&err, MR_ETIMEOUT, err.where, "gave up: %s", err.message);
	assert_string_equal(err.where, "broker:9092");
	assert_string_equal(err.message, "gave up: connection refused");
}

static void a_long_message_is_cut_between_characters(void **state)
{
	struct mr_error err;
	char text[1200];

	(void)state;
	for (size_t shift = 0; shift < 4; shift++) {
		memset(text, 'x', shift);
		for (size_t i = shift; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xf0\x9f\x92\xb6", 5);
		mr_error_set(&err, MR_EINVAL, text, "%s", text);
		assert_true(strlen(err.message) >= sizeof(err.message) - 4);
		assert_true(bytes_is_utf8(bytes_of(err.message)));
		assert_true(bytes_is_utf8(bytes_of(err.where)));
	}
}

static void a_message_that_just_fits_is_not_cut(void **state)
{
	struct mr_error err;
	char text[512];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text + 508, "\xe2\x82\xac", 4);
	mr_error_set(&err, MR_EINVAL, "", "%s", text);
	assert_string_equal(err.message, text);
}

static void the_version_has_three_numbers(void **state)
{
	const char *version = mr_version();

	(void)state;
	assert_int_equal(strspn(version, "0123456789."), strlen(version));
	assert_ptr_not_equal(strchr(version, '.'), strrchr(version, '.'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_status_has_a_name_a_text_and_says_whether_to_retry),
		cmocka_unit_test(a_status_from_elsewhere_is_named_too),
		cmocka_unit_test(error_set_returns_the_code_and_fills_in_the_error),
		cmocka_unit_test(error_set_takes_no_error_and_no_place),
		cmocka_unit_test(an_error_can_be_built_from_itself),
		cmocka_unit_test(a_long_message_is_cut_between_characters),
		cmocka_unit_test(a_message_that_just_fits_is_not_cut),
		cmocka_unit_test(the_version_has_three_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
