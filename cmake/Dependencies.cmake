# SPDX-License-Identifier: Apache-2.0

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(RDKAFKA REQUIRED IMPORTED_TARGET rdkafka>=2.0)
pkg_check_modules(AVRO REQUIRED IMPORTED_TARGET avro-c>=1.11)
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis>=0.14)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.13)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd>=0.9.75)

# TLS to Redis came with hiredis 1.0. MR_HAVE_HIREDIS_SSL tells common/store.
pkg_check_modules(HIREDIS_SSL QUIET IMPORTED_TARGET hiredis_ssl)
if(HIREDIS_SSL_FOUND)
	target_link_libraries(PkgConfig::HIREDIS INTERFACE PkgConfig::HIREDIS_SSL)
	target_compile_definitions(PkgConfig::HIREDIS INTERFACE MR_HAVE_HIREDIS_SSL=1)
endif()
