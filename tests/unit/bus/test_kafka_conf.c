/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bus/bus.h"

static void ignore(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset)
{
	(void)ctx;
	(void)tag;
	(void)status;
	(void)partition;
	(void)offset;
}

static enum mr_status open_with(const char *brokers, const char *property, struct mr_error *err)
{
	static const char *const topics[] = {"tasks"};
	char *items[] = {(char *)(uintptr_t)property};
	struct conf_list properties = {items, 1};
	struct bus_config config = {
		.brokers = brokers, .group = "g", .topics = topics, .n_topics = 1, .properties = property ? &properties : NULL};
	struct bus_callbacks callbacks = {.delivered = ignore};
	struct bus *bus = NULL;
	enum mr_status status = bus_kafka_new(&config, &callbacks, &bus, err);

	assert_int_equal(status == MR_OK, bus != NULL);
	bus_free(bus);
	return status;
}

static void properties_of_producers_and_consumers_are_accepted(void **state)
{
	static const char *const good[] = {"linger.ms=3", "fetch.wait.max.ms=5", "compression.type=lz4", "client.rack=a",
					   "security.protocol=plaintext"};
	struct mr_error err = {0};

	(void)state;
	assert_int_equal(open_with("127.0.0.1:1", NULL, &err), MR_OK);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(open_with("127.0.0.1:1", good[i], &err), MR_OK);
}

static void a_wrong_property_is_named(void **state)
{
	static const struct {
		const char *property, *where, *says;
	} cases[] = {
		{"no.such.property=1", "no.such.property", "No such configuration property"},
		{"linger.ms=soon", "linger.ms", "Invalid value"},
		{"linger.ms", "linger.ms", "property=value"},
		{"=1", "=1", "property=value"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mr_error err = {0};
		assert_int_equal(open_with("127.0.0.1:1", cases[i].property, &err), MR_EINVAL);
		assert_string_equal(err.where, cases[i].where);
		if (!strstr(err.message, cases[i].says))
			fail_msg("%s: %s", cases[i].property, err.message);
	}
}

static void a_combination_that_the_library_refuses_is_told(void **state)
{
	struct mr_error err = {0};

	(void)state;
	assert_int_equal(open_with("127.0.0.1:1", "session.timeout.ms=20000", &err), MR_EINVAL);
	assert_non_null(strstr(err.message, "max.poll.interval.ms"));
}

static void what_safety_rests_on_cannot_be_set(void **state)
{
	static const char *const names[] = {"enable.idempotence",
					    "acks",
					    "request.required.acks",
					    "enable.auto.commit",
					    "enable.auto.offset.store",
					    "auto.offset.reset",
					    "partition.assignment.strategy",
					    "group.id",
					    "plugin.library.paths",
					    "sasl.kerberos.kinit.cmd",
					    "delivery.report.only.error",
					    "transactional.id"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct mr_error err = {0};
		char property[64];
		strcpy(property, names[i]);
		strcat(property, "=1");
		assert_int_equal(open_with("127.0.0.1:1", property, &err), MR_EINVAL);
		assert_string_equal(err.where, names[i]);
		assert_non_null(strstr(err.message, "may not be set: "));
	}
}

static void brokers_are_needed(void **state)
{
	struct mr_error err = {0};

	(void)state;
	assert_int_equal(open_with(NULL, NULL, &err), MR_EINVAL);
	assert_string_equal(err.where, "brokers");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(properties_of_producers_and_consumers_are_accepted),
		cmocka_unit_test(a_wrong_property_is_named),
		cmocka_unit_test(a_combination_that_the_library_refuses_is_told),
		cmocka_unit_test(what_safety_rests_on_cannot_be_set),
		cmocka_unit_test(brokers_are_needed),
	};

	return cmocka_run_group_tests_name("configuration of Kafka handles", tests, NULL, NULL);
}
