/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/store_calls.h"

const struct store_calls store_calls_redis = {
	.claim = store_claim,
	.finish = store_finish,
	.release = store_release,
	.published = store_published,
	.view = store_view,
	.lease = store_lease,
	.lease_end = store_lease_end,
	.reassert = store_reassert,
	.offer = store_offer,
	.time_ms = store_time_ms,
	.time_upper_ms = store_time_upper_ms,
};
