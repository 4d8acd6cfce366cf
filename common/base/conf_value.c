/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <math.h>
#include <strings.h>

#include "base/conf_impl.h"
#include "base/mem.h"

/* A bound this large is no bound: tables write it to say "at least". */
#define UNBOUNDED 9e15

struct unit {
	const char *name;
	int64_t factor;
};

/* From large to small. */
static const struct unit duration_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit byte_units[] = {{"t", 1LL << 40}, {"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1}};
#define UNITS 5

const struct conf_kind_traits conf_kinds[] = {
	[CONF_STRING] = {.noun = "a text", .value = "TEXT", .size = sizeof(const char *)},
	[CONF_LIST] = {.noun = "a text", .value = "TEXT", .size = sizeof(struct conf_list)},
	[CONF_INT] = {.noun = "a whole number", .value = "N", .size = sizeof(int64_t)},
	[CONF_DOUBLE] = {.noun = "a number", .value = "NUMBER", .size = sizeof(double)},
	[CONF_DURATION] = {.noun = "a duration", .value = "DURATION", .size = sizeof(int64_t)},
	[CONF_BYTES] = {.noun = "a size", .value = "SIZE", .size = sizeof(int64_t)},
	[CONF_BOOL] = {.noun = "true or false", .size = sizeof(bool)},
	[CONF_ENUM] = {.noun = "one of ", .size = sizeof(int)},
	[CONF_GROUP] = {.size = 0},
};

static bool digits_parse(const char **text, int64_t *ret)
{
	int64_t value = 0;
	const char *p = *text;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *p - '0', &value))
			return false;
	if (p == *text)
		return false;
	*text = p;
	*ret = value;
	return true;
}

/* ".25" of a unit. False where it is no whole number of the smallest one. */
static bool fraction_parse(const char **text, int64_t factor, int64_t *ret)
{
	const char *p = *text + 1;
	int64_t sum = 0, place = factor;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (*p != '0' && place % 10 != 0)
			return false;
		place /= 10;
		sum += (*p - '0') * place;
	}
	*text = p;
	*ret = sum;
	return true;
}

static const struct unit *duration_unit_at(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz");

	for (size_t i = 0; i < UNITS; i++)
		if (bytes_is((struct bytes){text, len}, duration_units[i].name))
			return &duration_units[i];
	return NULL;
}

/* One "1.5h"; *max_factor: only smaller units may follow. */
static bool duration_part(const char **text, int64_t *max_factor, int64_t *ret_ms)
{
	const char *p = *text;
	int64_t whole, part = 0;

	if (!digits_parse(&p, &whole))
		return false;
	const char *point = p;
	if (*p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	const struct unit *unit = duration_unit_at(p);
	if (!unit || unit->factor >= *max_factor)
		return false;
	if (*point == '.' && (!fraction_parse(&point, unit->factor, &part) || point != p))
		return false;
	*text = p + strlen(unit->name);
	*max_factor = unit->factor;
	return !__builtin_mul_overflow(whole, unit->factor, ret_ms) && !__builtin_add_overflow(*ret_ms, part, ret_ms);
}

bool conf_duration_parse(const char *text, int64_t *ret_ms)
{
	int64_t total = 0, part, max_factor = INT64_MAX;

	if (strcmp(text, "0") == 0) {
		*ret_ms = 0;
		return true;
	}
	do {
		if (!duration_part(&text, &max_factor, &part) || __builtin_add_overflow(total, part, &total))
			return false;
	} while (*text);
	*ret_ms = total;
	return true;
}

void conf_duration_print(struct buf *out, int64_t ms)
{
	size_t i = 0;

	while (i + 1 < UNITS && (ms == 0 || ms % duration_units[i].factor != 0))
		i++;
	buf_printf(out, "%lld%s", (long long)(ms / duration_units[i].factor), ms ? duration_units[i].name : "");
}

static void bytes_print(struct buf *out, int64_t bytes)
{
	size_t i = 0;

	while (i + 1 < UNITS && (bytes == 0 || bytes % byte_units[i].factor != 0))
		i++;
	buf_printf(out, "%lld%s", (long long)(bytes / byte_units[i].factor), byte_units[i].name);
}

bool conf_bytes_parse(const char *text, int64_t *ret_bytes)
{
	int64_t value;

	if (!digits_parse(&text, &value))
		return false;
	char letter[2] = {*text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text, '\0'};
	for (size_t i = 0; i < UNITS; i++) {
		if (strcmp(letter, byte_units[i].name) != 0)
			continue;
		if (text[0] != '\0' && text[1] != '\0' && strcmp(text + 1, "iB") != 0)
			return false;
		if (__builtin_mul_overflow(value, byte_units[i].factor, &value))
			return false;
		*ret_bytes = value;
		return true;
	}
	return false;
}

static bool in_range(const struct conf_option *option, double value)
{
	return option->max <= option->min || (value >= option->min && (value <= option->max || option->max >= UNBOUNDED));
}

static bool int_parse(const char *text, int64_t *ret)
{
	bool negative = *text == '-';
	int64_t value;

	if (negative)
		text++;
	if (!digits_parse(&text, &value) || *text)
		return false;
	*ret = negative ? -value : value;
	return true;
}

static bool double_parse(const char *text, double *ret)
{
	char *end;

	/* No white space, no "inf", "nan" or hexadecimal. */
	if (strspn(text, "0123456789.eE+-") != strlen(text) || !*text)
		return false;
	*ret = strtod(text, &end);
	return !*end && isfinite(*ret);
}

static bool bool_parse(const char *text, bool *ret)
{
	static const char *const words[] = {"false", "true", "no", "yes", "0", "1", "off", "on"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*ret = i % 2 == 1;
			return true;
		}
	}
	return false;
}

struct bytes conf_negative(const struct conf_option *option, struct arena *arena)
{
	assert(option->kind == CONF_BOOL);
	if (strncmp(option->name, "no-", 3) == 0)
		return bytes_of(option->name + 3);
	return arena_printf(arena, "no-%s", option->name);
}

const char **conf_choices(const struct conf_option *option, size_t *ret_n)
{
	size_t n = 1, size = strlen(option->choices) + 1;

	for (const char *p = option->choices; *p; p++)
		n += *p == '|';
	const char **items = mem_alloc(n * sizeof(*items) + size);
	char *text = memcpy(items + n, option->choices, size);
	for (size_t i = 0; i < n; i++)
		items[i] = strsep(&text, "|");
	*ret_n = n;
	return items;
}

static bool enum_parse(const struct conf_option *option, const char *text, int *ret)
{
	size_t n;
	CLEANUP_FREE const char **items = conf_choices(option, &n);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(items[i], text) == 0) {
			*ret = (int)i;
			return true;
		}
	}
	return false;
}

static bool int64_parse(const struct conf_option *option, const char *text, int64_t *ret)
{
	if (option->kind == CONF_DURATION)
		return conf_duration_parse(text, ret);
	if (option->kind == CONF_BYTES)
		return conf_bytes_parse(text, ret);
	return int_parse(text, ret);
}

static bool int64_set(const struct conf_option *option, const char *text, int64_t *member)
{
	int64_t value;

	if (!int64_parse(option, text, &value) || !in_range(option, (double)value))
		return false;
	*member = value;
	return true;
}

static bool double_set(const struct conf_option *option, const char *text, double *member)
{
	double value;

	if (!double_parse(text, &value) || !in_range(option, value))
		return false;
	*member = value;
	return true;
}

static void list_add(struct conf_list *list, const char *text)
{
	list->items = mem_realloc_array(list->items, list->len + 1, sizeof(*list->items));
	list->items[list->len++] = mem_strdup(text);
}

bool conf_value_add(const struct conf_option *option, const char *text, void *target)
{
	void *member = (char *)target + option->offset;

	switch (option->kind) {
	case CONF_STRING:
		conf_value_clear(option, target);
		*(const char **)member = mem_strdup(text);
		return true;
	case CONF_LIST:
		list_add(member, text);
		return true;
	case CONF_DOUBLE:
		return double_set(option, text, member);
	case CONF_INT:
	case CONF_DURATION:
	case CONF_BYTES:
		return int64_set(option, text, member);
	case CONF_BOOL:
		return bool_parse(text, member);
	case CONF_ENUM:
		return enum_parse(option, text, member);
	case CONF_GROUP:
		break;
	}
	assert(!"a group has no value");
	return false;
}

static void list_free(struct conf_list *list)
{
	for (size_t i = 0; i < list->len; i++)
		free(list->items[i]);
	free(list->items);
}

void conf_value_clear(const struct conf_option *option, void *target)
{
	void *member = (char *)target + option->offset;

	if (option->kind == CONF_LIST)
		list_free(member);
	if (option->kind == CONF_STRING)
		free(*(char **)member);
	memset(member, 0, conf_kinds[option->kind].size);
}

static void bound_print(const struct conf_option *option, double bound, struct buf *out)
{
	if (option->kind == CONF_DURATION)
		conf_duration_print(out, (int64_t)bound);
	else if (option->kind == CONF_BYTES)
		bytes_print(out, (int64_t)bound);
	else if (option->kind == CONF_INT)
		buf_printf(out, "%lld", (long long)bound);
	else
		buf_printf(out, "%g", bound);
}

void conf_value_range(const struct conf_option *option, struct buf *out)
{
	if (option->max <= option->min)
		return;
	if (option->max >= UNBOUNDED)
		buf_printf(out, "at least ");
	bound_print(option, option->min, out);
	if (option->max >= UNBOUNDED)
		return;
	buf_printf(out, " to ");
	bound_print(option, option->max, out);
}

static void choices_print(const struct conf_option *option, struct buf *out)
{
	size_t n;
	CLEANUP_FREE const char **items = conf_choices(option, &n);

	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s%s", i ? ", " : "", items[i]);
}

void conf_value_expected(const struct conf_option *option, struct buf *out)
{
	buf_printf(out, "%s", conf_kinds[option->kind].noun);
	if (option->max > option->min) {
		buf_printf(out, option->max >= UNBOUNDED ? " of " : " from ");
		conf_value_range(option, out);
	}
	if (option->kind == CONF_DURATION)
		buf_printf(out, ", such as 500ms, 30s, 5m, 1h, 2d");
	if (option->kind == CONF_BYTES)
		buf_printf(out, ", such as 4096, 64k, 8m, 1g");
	if (option->kind == CONF_ENUM)
		choices_print(option, out);
}
