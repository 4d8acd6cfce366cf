# SPDX-License-Identifier: Apache-2.0
target_sources(${target} PRIVATE "${unit_dir}/consumer/attempt_rig.c")
# The shared objects find the functions of worker.h in the program, as in the stock worker.
if(NOT TARGET test_activities)
	add_subdirectory("${PROJECT_SOURCE_DIR}/tests/support/activities" "${PROJECT_BINARY_DIR}/tests_support_activities")
endif()
add_dependencies(${target} test_activities test_library_plain test_library_old test_library_crash test_library_exit
	test_library_refuse test_library_twice)
set_target_properties(${target} PROPERTIES ENABLE_EXPORTS ON)
target_compile_definitions(${target} PRIVATE "TEST_LIBRARIES=\"${PROJECT_BINARY_DIR}/test_activities\"")
