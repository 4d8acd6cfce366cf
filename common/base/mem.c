/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void *checked(void *p, size_t size)
{
	if (p)
		return p;
	fprintf(stderr, "out of memory: %zu bytes were asked for\n", size);
	abort();
}

void *mem_alloc(size_t size)
{
	return checked(calloc(1, size ? size : 1), size);
}

void *mem_realloc(void *p, size_t size)
{
	return checked(realloc(p, size ? size : 1), size);
}

void *mem_realloc_array(void *p, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		checked(NULL, SIZE_MAX);
	return mem_realloc(p, total);
}

char *mem_strdup(const char *text)
{
	return mem_strndup(text, strlen(text));
}

char *mem_strndup(const char *data, size_t len)
{
	char *copy = mem_alloc(len + 1);

	if (len > 0)
		memcpy(copy, data, len);
	return copy;
}
