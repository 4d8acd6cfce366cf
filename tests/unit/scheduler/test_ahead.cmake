# SPDX-License-Identifier: Apache-2.0
foreach(part world fake_bus fake_redis)
	target_sources(${target} PRIVATE "${unit_dir}/scheduler/${part}.c")
endforeach()
