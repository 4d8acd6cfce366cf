/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/health.h"

static const char *const texts[] = {
#define XX(id, text) text,
	HEALTH_MAP(XX)
#undef XX
};

void health_still(struct health *health, enum health_reason reason)
{
	health_turned(health, 0, 1u << reason);
}

/* 0: it is not. */
static int64_t stuck_us(const struct health *health, int64_t now_mono_us)
{
	int64_t turned_us = atomic_load_explicit(&health->turned_mono_us, memory_order_relaxed);

	return turned_us > 0 && now_mono_us - turned_us > HEALTH_STUCK_US ? now_mono_us - turned_us : 0;
}

bool health_is_alive(const struct health *health, int64_t now_mono_us, struct buf *line)
{
	int64_t us = stuck_us(health, now_mono_us);

	if (us)
		buf_printf(line, "stuck: the loop has not turned for %lld s\n", (long long)(us / 1000000));
	else
		buf_printf(line, "ok\n");
	return us == 0;
}

bool health_is_ready(const struct health *health, int64_t now_mono_us, struct buf *line)
{
	uint32_t reasons = atomic_load_explicit(&health->reasons, memory_order_relaxed);
	const char *between = "not ready: ";

	if (!health_is_alive(health, now_mono_us, line))
		return false;
	buf_reset(line);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!(reasons & 1u << i))
			continue;
		buf_printf(line, "%s%s", between, texts[i]);
		between = "; ";
	}
	buf_printf(line, reasons ? "\n" : "ready\n");
	return reasons == 0;
}
