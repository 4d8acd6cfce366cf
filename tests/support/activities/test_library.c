/* SPDX-License-Identifier: Apache-2.0 */
/* Built once for each way in which a shared object can be wrong. */
#include <signal.h>
#include <unistd.h>

#include "millrace/worker.h"

#ifndef TEST_LIBRARY_PLAIN

#ifdef TEST_LIBRARY_OLD
__attribute__((visibility("default"))) extern const unsigned mr_abi_version;
const unsigned mr_abi_version = 0;
enum mr_status mr_activities(struct mr_registry *registry)
#else
MR_ACTIVITIES(registry)
#endif
{
	(void)registry;
#ifdef TEST_LIBRARY_REFUSE
	return MR_EFULL;
#elif defined(TEST_LIBRARY_TWICE)
	mr_register_exec_text(registry, "a=true", NULL);
	mr_register_exec_text(registry, "a=true", NULL);
	return MR_OK;
#else
	return MR_OK;
#endif
}

#endif

#ifdef TEST_LIBRARY_CRASH
__attribute__((constructor)) static void crash(void)
{
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
}
#endif

#ifdef TEST_LIBRARY_EXIT
__attribute__((constructor)) static void leave(void)
{
	_exit(5);
}
#endif
