/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/meters.h"

static void a_dead_letter_is_counted_by_what_is_wrong_with_it(void **state)
{
	static const struct {
		struct mr_error err;
		enum dead_kind kind;
	} rows[] = {
		{{MR_EBAD_RECORD, "", "neither JSON (begins with {) nor an Avro single object"}, DEAD_ENCODING},
		{{MR_EBAD_RECORD, "", "the record has no value"}, DEAD_ENCODING},
		{{MR_EBAD_RECORD, "max_attempts", "unknown field max_attempts; did you mean maximum_attempts"},
		 DEAD_UNKNOWN_FIELD},
		{{MR_EBAD_RECORD, "activity_type", "field activity_type is required"}, DEAD_FIELD},
		{{MR_EBAD_RECORD, "millrace-epoch", "header millrace-epoch must not repeat"}, DEAD_FIELD},
		{{MR_ETOO_LARGE, "input", "the input has 9 bytes; this worker accepts up to 8"}, DEAD_SIZE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (meters_dead_kind(&rows[i].err) != rows[i].kind)
			fail_msg("%s: %d", rows[i].err.message, (int)meters_dead_kind(&rows[i].err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dead_letter_is_counted_by_what_is_wrong_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
