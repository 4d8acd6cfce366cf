/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/effects.h"

#include <stdlib.h>

#include "base/buf.h"
#include "wire/wire.h"

static struct effect none(const char *reason)
{
	return (struct effect){.kind = EFFECT_NONE, .reason = reason};
}

static struct effect stray(const char *reason)
{
	return (struct effect){.kind = EFFECT_NONE, .reason = reason, .stray = true};
}

static struct effect end(enum ending_cause cause)
{
	return (struct effect){.kind = EFFECT_END, .cause = cause};
}

/* All that was asked for until now, with nothing changed yet. */
static struct effect command(const struct task_view *view)
{
	return (struct effect){.kind = EFFECT_COMMAND,
			       .cancel_requested = view->cancel_requested,
			       .terminate_requested = view->terminate_requested,
			       .pause_requested = view->pause_requested,
			       .epoch = view->reset_epoch,
			       .options = view->options};
}

static bool is_closing(const struct task_view *view)
{
	return view->cancel_requested || view->terminate_requested;
}

static bool is_seen(const struct task_view *view)
{
	return view->state != VIEW_NONE && view->state != VIEW_MARKED;
}

static struct effect cancel(const struct task_view *view, const struct control *control)
{
	struct effect effect = command(view);

	if (is_closing(view))
		return none("it is being canceled or terminated already");
	if (bytes_present(control->token) && (view->state != VIEW_STARTED || !bytes_equal(control->token, view->nonce)))
		return stray("the attempt of this token is over");
	/* Who will complete it asynchronously cannot be told: there is no worker to hear it. */
	if (view->state == VIEW_STARTED && view->worker.len == 0)
		return end(ENDING_CANCEL);
	effect.cancel_requested = true;
	return effect;
}

static struct effect terminate(const struct task_view *view)
{
	struct effect effect = command(view);

	if (view->terminate_requested)
		return none("it is being terminated already");
	effect.terminate_requested = true;
	return effect;
}

/* Cancel goes before reset goes before pause. */
static struct effect hold_back(const struct task_view *view)
{
	struct effect effect = command(view);

	if (is_closing(view))
		return none("it is being canceled or terminated");
	if (view->reset_requested)
		return none("a reset is under way");
	if (view->pause_requested)
		return none("it is paused already");
	effect.pause_requested = true;
	return effect;
}

static struct effect go_on(const struct task_view *view)
{
	struct effect effect = command(view);

	if (!view->pause_requested)
		return none("it is not paused");
	effect.pause_requested = false;
	return effect;
}

/* As long as the first attempt has not begun, only what holds it back can be taken away: a start delay stays. */
static struct effect reset(const struct task_view *view)
{
	struct effect effect = command(view);
	int64_t epoch = view->epoch > view->reset_epoch ? view->epoch : view->reset_epoch;

	if (is_closing(view))
		return none("it is being canceled or terminated");
	if (view->reset_requested)
		return none("a reset is under way");
	if (!is_seen(view) || (view->state == VIEW_WAITING && view->attempt == 1)) {
		if (!view->pause_requested)
			return none("it has not started yet");
	} else {
		effect.epoch = epoch + 1;
	}
	effect.pause_requested = false;
	return effect;
}

static struct effect update(const struct task_view *view, const struct control *control, struct arena *arena)
{
	struct effect effect = command(view);
	struct buf merged = {0};

	if (is_closing(view))
		return none("it is being canceled or terminated");
	wire_options_merge(view->options, control->options.data, arena, &merged);
	effect.options = bytes_is(buf_bytes(&merged), "{}") ? BYTES_NONE : arena_copy(arena, buf_bytes(&merged));
	buf_deinit(&merged);
	if (bytes_equal(effect.options, view->options))
		return none("the options are these already");
	return effect;
}

/* COMPLETE, FAIL, HEARTBEAT: whose attempt it is does not matter; a worker that still has it finds its own end stale. */
static struct effect report(const struct task_view *view, const struct control *control, struct effect effect)
{
	if (view->state != VIEW_STARTED)
		return stray("no attempt of it is running");
	if (bytes_present(control->token) && !bytes_equal(control->token, view->nonce))
		return stray("the attempt of this token is over");
	return effect;
}

static struct effect decide(const struct task_view *view, const struct control *control, struct arena *arena)
{
	switch (control->command) {
	case CONTROL_CANCEL:
		return cancel(view, control);
	case CONTROL_TERMINATE:
		return terminate(view);
	case CONTROL_PAUSE:
		return hold_back(view);
	case CONTROL_UNPAUSE:
		return go_on(view);
	case CONTROL_RESET:
		return reset(view);
	case CONTROL_UPDATE:
		return update(view, control, arena);
	case CONTROL_COMPLETE:
		return report(view, control, end(ENDING_COMPLETE));
	case CONTROL_FAIL:
		return report(view, control, end(ENDING_FAIL));
	case CONTROL_HEARTBEAT:
		return report(view, control, (struct effect){.kind = EFFECT_HEARTBEAT});
	}
	abort();
}

/* The next of the ids in `rest`; false at the end. */
static bool next_id(struct bytes *rest, struct bytes *ret)
{
	const char *separator;

	if (rest->len == 0)
		return false;
	separator = memchr(rest->data, EFFECT_REQUEST_SEPARATOR, rest->len);
	ret->data = rest->data;
	ret->len = separator ? (size_t)(separator - rest->data) : rest->len;
	rest->data += ret->len + (separator ? 1 : 0);
	rest->len -= ret->len + (separator ? 1 : 0);
	return true;
}

static bool is_repeated(struct bytes request_ids, struct bytes request_id)
{
	struct bytes id;

	while (next_id(&request_ids, &id))
		if (bytes_equal(id, request_id))
			return true;
	return false;
}

/* The last ones, and the command's own behind them. */
static void add_request_id(struct effect *effect, struct bytes known, struct bytes request_id, struct arena *arena)
{
	struct bytes *ids = arena_alloc(arena, EFFECT_REQUEST_IDS * sizeof(*ids));
	struct bytes id;
	size_t n = 0;

	while (next_id(&known, &id)) {
		if (n == EFFECT_REQUEST_IDS - 1)
			memmove(ids, ids + 1, --n * sizeof(*ids));
		ids[n++] = id;
	}
	ids[n++] = request_id;
	effect->request_ids = ids;
	effect->n_request_ids = n;
}

struct effect effect_of(const struct task_view *view, const struct control *control, struct bytes request_id, struct arena *arena)
{
	struct effect effect;
	bool knows_run = view->state != VIEW_NONE && view->run_id.len > 0;

	if (knows_run && bytes_present(control->run_id) && !bytes_equal(control->run_id, view->run_id))
		return stray("it is for another run");
	if (view->state == VIEW_FINISHED)
		return stray("it has ended");
	if (is_repeated(view->request_ids, request_id))
		return none("it was carried out already");
	effect = decide(view, control, arena);
	effect.run_id = knows_run ? view->run_id : control->run_id;
	if (effect.kind == EFFECT_COMMAND)
		add_request_id(&effect, view->request_ids, request_id, arena);
	return effect;
}

struct effect effect_remembered(const struct task_view *view, struct bytes request_id, struct arena *arena)
{
	struct effect effect = command(view);

	if (!is_seen(view) || view->state == VIEW_FINISHED)
		return none("it has ended");
	effect.run_id = view->run_id;
	add_request_id(&effect, view->request_ids, request_id, arena);
	return effect;
}
