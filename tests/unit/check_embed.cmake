# SPDX-License-Identifier: Apache-2.0
# cmake -D ROOT=<repository> -D SCRATCH=<scratch folder> -P check_embed.cmake
#
# cmake/Embed.cmake must turn files into C strings without losing a byte, expand --@include, and refuse what it cannot expand.

cmake_minimum_required(VERSION 3.25)

function(embed ret_result ret_error)
	list(JOIN ARGN "," files)
	execute_process(
		COMMAND "${CMAKE_COMMAND}" -D "OUTPUT=${SCRATCH}/out/texts" -D PREFIX=text -D "DIR=${SCRATCH}/in" -D "FILES=${files}"
			-P "${ROOT}/cmake/Embed.cmake"
		RESULT_VARIABLE result ERROR_VARIABLE error OUTPUT_QUIET)
	set(${ret_result} "${result}" PARENT_SCOPE)
	set(${ret_error} "${error}" PARENT_SCOPE)
endfunction()

function(expect_in file wanted)
	file(READ "${SCRATCH}/out/${file}" text)
	string(FIND "${text}" "${wanted}" at)
	if(at EQUAL -1)
		message(FATAL_ERROR "${file} lacks\n${wanted}\nbut is\n${text}")
	endif()
endfunction()

function(expect_refused wanted)
	embed(result error ${ARGN})
	if(result EQUAL 0 OR NOT error MATCHES "${wanted}")
		message(FATAL_ERROR "${ARGN} should be refused with \"${wanted}\", but: ${result} ${error}")
	endif()
endfunction()

file(REMOVE_RECURSE "${SCRATCH}")
file(WRITE "${SCRATCH}/in/claim.lua" [==[
--@include _lib.lua
local a = {"x\n"; [1] = '%d ${b} @c@'}
--@include _two.lua
	return lib()
]==])
file(WRITE "${SCRATCH}/in/_lib.lua" "--@include _deep.lua\nlocal lib -- \\1\n")
file(WRITE "${SCRATCH}/in/_deep.lua" "local deep\n")
file(WRITE "${SCRATCH}/in/_two.lua" "local two\n")
file(WRITE "${SCRATCH}/in/history/v1/task.avsc" "{\"a\": 1}\n")
file(WRITE "${SCRATCH}/in/history.avsc" "{}\n")
embed(result error claim.lua _lib.lua _deep.lua _two.lua history.avsc history/v1/task.avsc)
if(NOT result EQUAL 0)
	message(FATAL_ERROR "${error}")
endif()
expect_in(texts.h "extern const char text_claim[];\nextern const char text_history_[];\nextern const char *const text_history[];")
expect_in(texts.c [==[
const char text_claim[] =
	"local deep\n"
	"local lib -- \\1\n"
	"local a = {\"x\\n\"; [1] = '%d ${b} @c@'}\n"
	"local two\n"
	"\treturn lib()\n"
	"";
]==])
expect_in(texts.c "text_history[] = {\n/* history/v1/task.avsc */\n\t\"{\\\"a\\\": 1}\\n\"\n\t\"\",\n\tNULL,\n};")

file(WRITE "${SCRATCH}/in/lost.lua" "--@include _nowhere.lua\n")
expect_refused("there is no such file" lost.lua)
file(WRITE "${SCRATCH}/in/_ring.lua" "--@include _ring.lua\n")
file(WRITE "${SCRATCH}/in/ring.lua" "--@include _ring.lua\n")
expect_refused("round in a circle" ring.lua)
file(REMOVE_RECURSE "${SCRATCH}")
