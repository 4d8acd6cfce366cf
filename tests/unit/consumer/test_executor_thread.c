/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "consumer/executor_rules.h"

const bool rules_with_threads = true;

int main(void)
{
#define XX(name) cmocka_unit_test(name),
	const struct CMUnitTest tests[] = {EXECUTOR_RULES(XX)};
#undef XX

	return cmocka_run_group_tests(tests, NULL, NULL);
}
