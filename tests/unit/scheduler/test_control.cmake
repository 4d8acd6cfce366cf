# SPDX-License-Identifier: Apache-2.0
foreach(part world fake_bus fake_redis)
	target_sources(${target} PRIVATE "${unit_dir}/scheduler/${part}.c")
endforeach()
target_link_options(${target} PRIVATE -Wl,--wrap=ending_begin,--wrap=watch_look_for)
