/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MILLRACE_EXAMPLE_H
#define MILLRACE_EXAMPLE_H

#include "millrace/worker.h"

mr_activity_fn example_ask_approval;
mr_activity_fn example_order_step;
mr_activity_fn example_process_large_file;

#endif
