# SPDX-License-Identifier: Apache-2.0
# cmake -D ROOT=<repository> -D BUILT=<file with the paths of the tests that are built> -P check_built.cmake
#
# A test file that is not built is a lie: every tests/unit/**/test_*.c must be among the built ones.
# With -D SELF_TEST=<scratch folder> it proves that a file that is missing from the list is found.

cmake_minimum_required(VERSION 3.25)

function(find_unbuilt root built ret)
	file(GLOB_RECURSE files "${root}/tests/unit/test_*.c")
	file(STRINGS "${built}" names)
	list(REMOVE_ITEM files "" ${names})
	set(${ret} "${files}" PARENT_SCOPE)
endfunction()

if(SELF_TEST)
	file(REMOVE_RECURSE "${SELF_TEST}")
	file(WRITE "${SELF_TEST}/tests/unit/base/test_built.c" "")
	file(WRITE "${SELF_TEST}/tests/unit/base/test_forgotten.c" "")
	file(WRITE "${SELF_TEST}/built" "${SELF_TEST}/tests/unit/base/test_built.c\n")
	find_unbuilt("${SELF_TEST}" "${SELF_TEST}/built" unbuilt)
	if(NOT unbuilt STREQUAL "${SELF_TEST}/tests/unit/base/test_forgotten.c")
		message(FATAL_ERROR "self test: test_forgotten.c was not found, but: ${unbuilt}")
	endif()
	file(REMOVE_RECURSE "${SELF_TEST}")
	return()
endif()

find_unbuilt("${ROOT}" "${BUILT}" unbuilt)
if(unbuilt)
	list(JOIN unbuilt "\n  " unbuilt)
	message(FATAL_ERROR "Test files that are not built:\n  ${unbuilt}")
endif()
