/* SPDX-License-Identifier: Apache-2.0 */
#include "base/conf_impl.h"

#define WORD_MAX 64

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Optimal string alignment: insert, delete, replace, swap of two neighbours cost 1 each. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b_len; j++)
		above[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		size_t *oldest = before;
		before = above;
		above = row;
		row = oldest;
	}
	return above[b_len];
}

/* A slip changes at most a third of the longer word; a part of four letters or more, or a beginning of three, counts as one too. */
static bool near_enough(const char *word, size_t word_len, const char *candidate, size_t candidate_len, size_t d)
{
	size_t longest = word_len > candidate_len ? word_len : candidate_len;

	if (d <= longest / 3)
		return true;
	if (word_len >= 3 && strncmp(word, candidate, word_len) == 0)
		return true;
	return (word_len >= 4 && strstr(candidate, word)) || (candidate_len >= 4 && strstr(word, candidate));
}

const char *conf_nearest(const char *word, const char *const *candidates, size_t n)
{
	const char *best = NULL;
	size_t best_distance = SIZE_MAX, word_len = strlen(word);

	if (word_len == 0 || word_len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(candidates[i]);

		if (len > WORD_MAX)
			continue;
		size_t d = distance(word, word_len, candidates[i], len);
		if (d < best_distance && near_enough(word, word_len, candidates[i], len, d)) {
			best_distance = d;
			best = candidates[i];
		}
	}
	return best;
}

void conf_suggest(const struct conf_program *program, const char *name, const char *dashes, struct buf *out)
{
	struct arena arena = {0};
	size_t n = 0, count = 2;
	bool is_flag = *dashes;

	for (const struct conf_option *option = program->options; !conf_is_end(option); option++)
		count += 2;
	const char **names = arena_alloc(&arena, count * sizeof(*names));
	for (const struct conf_option *option = program->options; !conf_is_end(option); option++) {
		if (option->kind != CONF_GROUP)
			names[n++] = option->name;
		if (is_flag && option->kind == CONF_BOOL)
			names[n++] = conf_negative(option, &arena).data;
	}
	if (is_flag) {
		names[n++] = "help";
		names[n++] = "version";
	}
	const char *nearest = conf_nearest(name, names, n);
	if (nearest)
		buf_printf(out, "; did you mean %s%s", dashes, nearest);
	arena_deinit(&arena);
}
