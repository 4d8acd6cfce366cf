/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/age.h"

#include <string.h>

static void keep_every_second(struct age *age)
{
	for (size_t i = 1; 2 * i < age->len; i++)
		age->samples[i] = age->samples[2 * i];
	age->len = (age->len + 1) / 2;
	age->stride *= 2;
}

void age_note(struct age *age, int64_t offset, int64_t at_ms)
{
	if (age->len == 0)
		age->stride = 1;
	else if (offset < age->samples[age->len - 1].offset + age->stride)
		return;
	if (age->len == AGE_SAMPLES)
		keep_every_second(age);
	age->samples[age->len].offset = offset;
	age->samples[age->len++].at_ms = at_ms;
}

void age_settled(struct age *age, int64_t offset)
{
	size_t n = 0;

	while (n < age->len && age->samples[n].offset < offset)
		n++;
	age->len -= n;
	memmove(age->samples, age->samples + n, age->len * sizeof(age->samples[0]));
}

int64_t age_oldest_ms(const struct age *age)
{
	return age->len ? age->samples[0].at_ms : -1;
}
