/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/kafka_log.h"

#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define SYSLOG_WARNING 4
#define WARN_INTERVAL_US (60 * 1000000LL)

/* CONFWARN: a property of -X concerns another kind of handle; each handle gets all of them. AUTOCREATE: of the mock cluster. GETPID: a broker
 * that has just started; it is asked again. */
static bool is_chatter(const char *facility)
{
	return strcmp(facility, "CONFWARN") == 0 || strcmp(facility, "AUTOCREATE") == 0 || strcmp(facility, "GETPID") == 0;
}

static bool may_warn(void)
{
	static atomic_llong next_us;
	long long now_us = clock_mono_us();
	long long next = atomic_load(&next_us);

	return now_us >= next && atomic_compare_exchange_strong(&next_us, &next, now_us + WARN_INTERVAL_US);
}

void kafka_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	enum log_level as = LOG_DEBUG;

	if (level <= SYSLOG_WARNING && !is_chatter(facility) && may_warn())
		as = LOG_WARN;
	log_at(as, "librdkafka", LOG_S("client", rk ? rd_kafka_name(rk) : ""), LOG_S("facility", facility), LOG_S("text", text));
}
