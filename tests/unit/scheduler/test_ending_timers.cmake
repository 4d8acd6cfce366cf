# SPDX-License-Identifier: Apache-2.0
foreach(part world fake_bus fake_redis ending_bed)
	target_sources(${target} PRIVATE "${unit_dir}/scheduler/${part}.c")
endforeach()
target_link_options(${target} PRIVATE "LINKER:--wrap=watch_is_waiting" "LINKER:--wrap=watch_has_passed")
