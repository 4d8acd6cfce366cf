# SPDX-License-Identifier: Apache-2.0
# tests/unit/<module>/test_<name>.c becomes the program and ctest unit_<module>_<name>. tests/unit/support/*.c is linked into each.
# A file test_<name>.cmake beside the test may add to it (link options such as --wrap, more libraries); ${target} is its name there.

find_package(PkgConfig REQUIRED)
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

set(unit_dir "${PROJECT_SOURCE_DIR}/tests/unit")
file(GLOB_RECURSE unit_sources CONFIGURE_DEPENDS "${unit_dir}/test_*.c")
file(GLOB unit_support CONFIGURE_DEPENDS "${unit_dir}/support/*.c")

# A test is linked to what its module is and stands on, so that it builds while what stands above is broken. Other modules get all.
get_property(unit_libraries GLOBAL PROPERTY MR_LIBRARIES)
set(unit_link_producer mr_client)
set(unit_link_consumer mr_worker)
foreach(module base metrics http task wire bus store program scheduler)
	set(unit_link_${module} mr_${module})
endforeach()

if(unit_support)
	add_library(unit_support STATIC ${unit_support})
	target_include_directories(unit_support PUBLIC "${unit_dir}")
	target_link_libraries(unit_support PUBLIC mr_task PkgConfig::CMOCKA PkgConfig::JANSSON)
endif()

foreach(source ${unit_sources})
	file(RELATIVE_PATH relative "${unit_dir}" "${source}")
	string(REGEX MATCH "^[^/]+" module "${relative}")
	string(REGEX REPLACE "test_([^/]+)\\.c$" "\\1" target "unit_${relative}")
	string(MAKE_C_IDENTIFIER "${target}" target)
	add_executable(${target} "${source}")
	target_include_directories(${target} PRIVATE "${unit_dir}")
	if(module MATCHES "^(producer|consumer|scheduler)$")
		target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/${module}")
	endif()
	if(unit_support)
		target_link_libraries(${target} PRIVATE unit_support)
	endif()
	if(unit_link_${module})
		target_link_libraries(${target} PRIVATE ${unit_link_${module}})
	else()
		target_link_libraries(${target} PRIVATE ${unit_libraries})
	endif()
	target_link_libraries(${target} PRIVATE PkgConfig::CMOCKA PkgConfig::JANSSON)
	set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/unit")
	add_test(NAME ${target} COMMAND ${target} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
	set_tests_properties(${target} PROPERTIES LABELS unit TIMEOUT 60)
	string(REGEX REPLACE "\\.c$" ".cmake" extra "${source}")
	if(EXISTS "${extra}")
		include("${extra}")
	endif()
endforeach()

list(JOIN unit_sources "\n" unit_list)
file(WRITE "${MR_GENERATED}/unit_sources.txt" "${unit_list}\n")

# mr_unit_check(<name> <script> [-D <variable>...]): a script as a test, and its own self test.
function(mr_unit_check name script)
	add_test(NAME unit_${name} COMMAND "${CMAKE_COMMAND}" -D "ROOT=${PROJECT_SOURCE_DIR}" ${ARGN} -P "${unit_dir}/${script}")
	add_test(NAME unit_${name}_self_test
		COMMAND "${CMAKE_COMMAND}" -D "SELF_TEST=${MR_GENERATED}/self_test/${name}" -P "${unit_dir}/${script}")
	set_tests_properties(unit_${name} unit_${name}_self_test PROPERTIES LABELS unit TIMEOUT 60)
endfunction()

mr_unit_check(check_includes check_includes.cmake)
mr_unit_check(check_built check_built.cmake -D "BUILT=${MR_GENERATED}/unit_sources.txt")
add_test(NAME unit_check_embed
	COMMAND "${CMAKE_COMMAND}" -D "ROOT=${PROJECT_SOURCE_DIR}" -D "SCRATCH=${MR_GENERATED}/self_test/embed" -P "${unit_dir}/check_embed.cmake")
set_tests_properties(unit_check_embed PROPERTIES LABELS unit TIMEOUT 60)
