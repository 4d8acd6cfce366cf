/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/ledger.h"

#include <assert.h>
#include <string.h>

/* In shared memory: no pointers. The stack of free entries is the loop's alone; supervisor and executors use the entries only. */
struct ledger {
	uint32_t n_entries;
	uint32_t n_free;
	size_t stack_offset;
	struct ledger_entry entries[];
};

static uint32_t *free_stack(const struct ledger *ledger)
{
	return (uint32_t *)((uintptr_t)ledger + ledger->stack_offset);
}

size_t ledger_bytes(size_t entries)
{
	return sizeof(struct ledger) + entries * (sizeof(struct ledger_entry) + sizeof(uint32_t));
}

static void fill_stack(struct ledger *ledger)
{
	ledger->n_free = ledger->n_entries;
	for (uint32_t i = 0; i < ledger->n_entries; i++)
		free_stack(ledger)[i] = ledger->n_entries - 1 - i;
}

struct ledger *ledger_init(void *memory, size_t entries)
{
	struct ledger *ledger = memory;

	assert(entries > 0 && entries < UINT32_MAX);
	ledger->n_entries = (uint32_t)entries;
	ledger->stack_offset = sizeof(struct ledger) + entries * sizeof(struct ledger_entry);
	static_assert(LEDGER_FREE == 0 && LEDGER_NOBODY == -1,
		      "zeroed memory is free entries, so that none is touched before it is used");
	fill_stack(ledger);
	return ledger;
}

static uint16_t put_text(struct ledger_entry *entry, size_t *offset, struct bytes text)
{
	assert(text.len <= LEDGER_TEXT_BYTES - *offset);
	if (text.len > 0)
		memcpy(entry->text + *offset, text.data, text.len);
	*offset += text.len;
	return (uint16_t)text.len;
}

static void write_token(struct ledger_entry *entry, const struct claim_token *token)
{
	size_t offset = 0;

	entry->key_len = put_text(entry, &offset, token->key);
	entry->run_len = put_text(entry, &offset, token->run_id);
	entry->nonce_len = put_text(entry, &offset, token->nonce);
	entry->record_len = put_text(entry, &offset, token->record_id);
	entry->shard = token->shard;
	entry->epoch = token->epoch;
	entry->attempt = token->attempt;
	entry->lost = token->lost;
	entry->started_at_ms = token->started_at_ms;
	entry->journalled = token->journalled;
	entry->cell = -1;
	atomic_store(&entry->started_mono_us, 0);
	atomic_store(&entry->ended_mono_us, 0);
	atomic_store(&entry->wait_status, 0);
}

bool ledger_reserve(struct ledger *ledger, const struct claim_token *token, uint64_t *ret_handle)
{
	struct ledger_entry *entry;
	uint32_t index, generation;

	if (ledger->n_free == 0)
		return false;
	index = free_stack(ledger)[--ledger->n_free];
	entry = &ledger->entries[index];
	assert(ledger_state(entry) == LEDGER_FREE);
	generation = ledger_word_generation(atomic_load(&entry->word)) + 1;
	if (generation == 0)
		generation = 1;
	write_token(entry, token);
	atomic_store(&entry->word, ledger_word(generation, LEDGER_NOBODY, LEDGER_CLAIMING));
	*ret_handle = (uint64_t)generation << 32 | index;
	return true;
}

struct ledger_entry *ledger_get(struct ledger *ledger, uint64_t handle)
{
	size_t index = ledger_handle_index(handle);
	uint64_t word;

	if (index >= ledger->n_entries)
		return NULL;
	word = atomic_load(&ledger->entries[index].word);
	if (ledger_word_generation(word) != ledger_handle_generation(handle) || ledger_word_state(word) == LEDGER_FREE)
		return NULL;
	return &ledger->entries[index];
}

void ledger_free_entry(struct ledger *ledger, uint64_t handle)
{
	struct ledger_entry *entry = ledger_get(ledger, handle);
	enum ledger_state state;

	assert(entry);
	state = ledger_state(entry);
	assert(state == LEDGER_CLAIMING || state == LEDGER_TAKEN || state == LEDGER_ENDED || state == LEDGER_CRASHED);
	entry->cell = -1;
	atomic_store(&entry->word, ledger_word(ledger_handle_generation(handle), LEDGER_NOBODY, LEDGER_FREE));
	assert(ledger->n_free < ledger->n_entries);
	free_stack(ledger)[ledger->n_free++] = (uint32_t)ledger_handle_index(handle);
}

bool ledger_move(struct ledger *ledger, uint64_t handle, enum ledger_state from, int32_t from_owner, enum ledger_state to,
		 int32_t to_owner)
{
	uint32_t generation = ledger_handle_generation(handle);
	uint64_t expected = ledger_word(generation, from_owner, from);

	assert(ledger_handle_index(handle) < ledger->n_entries);
	return atomic_compare_exchange_strong(&ledger->entries[ledger_handle_index(handle)].word, &expected,
					      ledger_word(generation, to_owner, to));
}

size_t ledger_free_count(const struct ledger *ledger)
{
	return ledger->n_free;
}

static struct bytes take_text(const struct ledger_entry *entry, size_t *offset, uint16_t len)
{
	struct bytes text = {entry->text + *offset, len};

	*offset += len;
	assert(*offset <= LEDGER_TEXT_BYTES);
	return text;
}

struct claim_token ledger_token(const struct ledger_entry *entry)
{
	struct claim_token token = {
		.shard = entry->shard,
		.epoch = entry->epoch,
		.attempt = entry->attempt,
		.lost = entry->lost,
		.started_at_ms = entry->started_at_ms,
		.journalled = entry->journalled,
	};
	size_t offset = 0;

	token.key = take_text(entry, &offset, entry->key_len);
	token.run_id = take_text(entry, &offset, entry->run_len);
	token.nonce = take_text(entry, &offset, entry->nonce_len);
	token.record_id = take_text(entry, &offset, entry->record_len);
	return token;
}

size_t ledger_size(const struct ledger *ledger)
{
	return ledger->n_entries;
}

struct ledger_entry *ledger_at(struct ledger *ledger, size_t i)
{
	assert(i < ledger->n_entries);
	return &ledger->entries[i];
}

uint64_t ledger_handle_at(const struct ledger *ledger, size_t i)
{
	assert(i < ledger->n_entries);
	return (uint64_t)ledger_word_generation(atomic_load(&ledger->entries[i].word)) << 32 | i;
}

void ledger_reset(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->n_entries; i++) {
		struct ledger_entry *entry = &ledger->entries[i];
		uint32_t generation = ledger_word_generation(atomic_load(&entry->word));

		entry->cell = -1;
		atomic_store(&entry->word, ledger_word(generation, LEDGER_NOBODY, LEDGER_FREE));
	}
	fill_stack(ledger);
}
