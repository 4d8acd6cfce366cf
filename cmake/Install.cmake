# SPDX-License-Identifier: Apache-2.0
# What others build against: libmillrace-client and libmillrace-worker, static and shared, each complete in itself.

# mr_install_library(<name> FROM <our library> HEADERS <folder> [SERVES]); SERVES: it has the HTTP server
function(mr_install_library name)
	cmake_parse_arguments(ARG "SERVES" "FROM;HEADERS" "" ${ARGN})
	mr_has_sources(${ARG_FROM} has_sources)
	if(NOT has_sources)
		return()
	endif()
	set(parts ${ARG_FROM} mr_program mr_wire mr_bus mr_store mr_task mr_base)
	set(packages RDKAFKA AVRO HIREDIS JANSSON)
	set(MR_PC_REQUIRES "rdkafka avro-c hiredis jansson")
	if(ARG_SERVES)
		list(APPEND parts mr_metrics mr_http)
		list(APPEND packages MICROHTTPD)
		string(APPEND MR_PC_REQUIRES " libmicrohttpd")
	endif()
	list(TRANSFORM packages PREPEND PkgConfig::)
	set(objects "")
	foreach(part ${parts})
		mr_has_sources(${part} has_sources)
		if(has_sources)
			list(APPEND objects "$<TARGET_OBJECTS:${part}>")
		endif()
	endforeach()

	set(exports "${PROJECT_SOURCE_DIR}/cmake/exports.map")
	foreach(kind STATIC SHARED)
		string(TOLOWER "${name}_${kind}" target)
		add_library(${target} ${kind} ${objects})
		set_target_properties(${target} PROPERTIES
			OUTPUT_NAME "${name}"
			LINKER_LANGUAGE C
			VERSION "${PROJECT_VERSION}"
			SOVERSION "${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}"
			LINK_DEPENDS "${exports}"
		)
		target_link_libraries(${target} PRIVATE ${packages} Threads::Threads m)
		install(TARGETS ${target}
			ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
	endforeach()
	string(TOLOWER "${name}_shared" shared)
	target_link_options(${shared} PRIVATE "LINKER:--version-script=${exports}")

	set(MR_PC_NAME "${name}")
	# From the file itself, so that what is installed may be moved.
	file(RELATIVE_PATH MR_PC_UP "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
	configure_file("${PROJECT_SOURCE_DIR}/cmake/millrace.pc.in" "${MR_GENERATED}/${name}.pc" @ONLY)
	install(FILES "${MR_GENERATED}/${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
	install(DIRECTORY common/include/millrace "${ARG_HEADERS}/millrace"
		DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
endfunction()

mr_install_library(millrace-client FROM mr_client HEADERS producer/include)
mr_install_library(millrace-worker FROM mr_worker HEADERS consumer/include SERVES)
