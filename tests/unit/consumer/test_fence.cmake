# SPDX-License-Identifier: Apache-2.0
foreach(part world fake_bus fake_store fake_executor)
	target_sources(${target} PRIVATE "${unit_dir}/consumer/${part}.c")
endforeach()
