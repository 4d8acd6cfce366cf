# SPDX-License-Identifier: Apache-2.0
# One static library a folder, one program a folder. Sources are globbed: a new .c file needs no change here.

set(MR_GENERATED "${PROJECT_BINARY_DIR}/generated")

# mr_library(<name> DIR <folder> [PUBLIC <lib>...] [PRIVATE <lib>...] [INCLUDES <folder>...] [PRIVATE_INCLUDES <folder>...])
# A folder without sources becomes an empty interface, so that what stands above it can be configured.
function(mr_library name)
	cmake_parse_arguments(ARG "" "DIR" "PUBLIC;PRIVATE;INCLUDES;PRIVATE_INCLUDES" ${ARGN})
	file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${ARG_DIR}/*.c")
	list(TRANSFORM ARG_INCLUDES PREPEND "${PROJECT_SOURCE_DIR}/")
	list(TRANSFORM ARG_PRIVATE_INCLUDES PREPEND "${PROJECT_SOURCE_DIR}/")
	if(sources)
		add_library(${name} STATIC ${sources})
		target_include_directories(${name} PUBLIC ${ARG_INCLUDES} PRIVATE ${ARG_PRIVATE_INCLUDES})
		target_link_libraries(${name} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
	else()
		add_library(${name} INTERFACE)
		target_include_directories(${name} INTERFACE ${ARG_INCLUDES})
		target_link_libraries(${name} INTERFACE ${ARG_PUBLIC})
	endif()
	set_property(GLOBAL APPEND PROPERTY MR_LIBRARIES ${name})
endfunction()

# TRUE where the library has sources of its own.
function(mr_has_sources name ret)
	get_target_property(type ${name} TYPE)
	if(type STREQUAL "STATIC_LIBRARY")
		set(${ret} TRUE PARENT_SCOPE)
	else()
		set(${ret} FALSE PARENT_SCOPE)
	endif()
endfunction()

# mr_program(<name> DIR <folder> LINK <lib>... INCLUDES <folder>...)
# The first library is linked whole and the symbols are exported: a shared object loaded at run time may call any public function of it.
function(mr_program name)
	cmake_parse_arguments(ARG "" "DIR" "LINK;INCLUDES" ${ARGN})
	file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${ARG_DIR}/*.c")
	if(NOT sources)
		return()
	endif()
	list(TRANSFORM ARG_INCLUDES PREPEND "${PROJECT_SOURCE_DIR}/")
	add_executable(${name} ${sources})
	target_include_directories(${name} PRIVATE ${ARG_INCLUDES})
	list(POP_FRONT ARG_LINK whole)
	mr_has_sources(${whole} has_sources)
	if(has_sources)
		set(whole "$<LINK_LIBRARY:WHOLE_ARCHIVE,${whole}>")
	endif()
	target_link_libraries(${name} PRIVATE "${whole}" ${ARG_LINK})
	set_target_properties(${name} PROPERTIES ENABLE_EXPORTS ON)
	install(TARGETS ${name} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endfunction()

# mr_embed(<library> NAME <output> PREFIX <symbol prefix> DIR <folder> PATTERN <glob>)
# Generates <output>.h and <output>.c with one C string a file (and those under <folder>/history) and adds them to the library.
function(mr_embed library)
	cmake_parse_arguments(ARG "" "NAME;PREFIX;DIR;PATTERN" "" ${ARGN})
	set(folder "${PROJECT_SOURCE_DIR}/${ARG_DIR}")
	file(GLOB files CONFIGURE_DEPENDS "${folder}/${ARG_PATTERN}")
	file(GLOB_RECURSE history CONFIGURE_DEPENDS "${folder}/history/${ARG_PATTERN}")
	mr_has_sources(${library} has_sources)
	if(NOT files OR NOT has_sources)
		return()
	endif()
	set(output "${MR_GENERATED}/${library}/${ARG_NAME}")
	set(names ${files} ${history})
	list(TRANSFORM names REPLACE "^${folder}/" "")
	# The names are on the command line, so that a file that goes away runs it again.
	list(JOIN names "," names)
	add_custom_command(
		OUTPUT "${output}.c" "${output}.h"
		COMMAND "${CMAKE_COMMAND}" -D "OUTPUT=${output}" -D "PREFIX=${ARG_PREFIX}" -D "DIR=${folder}" -D "FILES=${names}"
			-P "${PROJECT_SOURCE_DIR}/cmake/Embed.cmake"
		DEPENDS ${files} ${history} "${PROJECT_SOURCE_DIR}/cmake/Embed.cmake"
		COMMENT "Embedding ${ARG_DIR}"
		VERBATIM
	)
	target_sources(${library} PRIVATE "${output}.c" "${output}.h")
	target_include_directories(${library} PUBLIC "${MR_GENERATED}/${library}")
endfunction()

# schemas/<name>.avsc: wire_schema_<name> (wire_schema_history_ for that one name); every schemas/history/**/*.avsc: an entry of wire_schema_history.
function(mr_embed_schemas library)
	mr_embed(${library} NAME wire_schemas PREFIX wire_schema DIR schemas PATTERN *.avsc)
endfunction()

# common/store/scripts/<name>.lua: store_script_<name>; files that begin with _ are only there to be included.
function(mr_embed_scripts library)
	mr_embed(${library} NAME store_scripts PREFIX store_script DIR common/store/scripts PATTERN *.lua)
endfunction()
