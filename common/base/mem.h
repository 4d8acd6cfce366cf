/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

/* Memory for what cannot go on without it: these abort the program where the system has none left. Free with free(). */

/* Zeroed. */
void *mem_alloc(size_t size);
void *mem_realloc(void *p, size_t size);
/* mem_realloc for `n` items of `size` bytes; aborts where the product overflows. */
void *mem_realloc_array(void *p, size_t n, size_t size);
char *mem_strdup(const char *text);
/* Copies `len` bytes and adds a NUL. */
char *mem_strndup(const char *data, size_t len);

static inline void mem_freep(void *p)
{
	free(*(void **)p);
}

/* CLEANUP_FREE char *text = mem_strdup(...): freed at the end of the block. */
#define CLEANUP_FREE __attribute__((cleanup(mem_freep)))

#endif
