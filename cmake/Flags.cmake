# SPDX-License-Identifier: Apache-2.0
# Language, warnings, sanitizers and hardening for every target.

if(NOT CMAKE_BUILD_TYPE)
	set(CMAKE_BUILD_TYPE Debug CACHE STRING "Debug or Release" FORCE)
endif()

option(MR_WERROR "Treat warnings as errors" ON)
set(MR_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Assertions stay on in every build, so none of these defines NDEBUG.
if(CMAKE_C_FLAGS MATCHES "-DNDEBUG")
	message(FATAL_ERROR "NDEBUG turns assertions off; Millrace relies on them in every build")
endif()
set(CMAKE_C_FLAGS_DEBUG "-O0 -g3")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_C_FLAGS_MINSIZEREL "-Os -g")

add_compile_definitions(_GNU_SOURCE)
add_compile_options(
	-Wall -Wextra -Wshadow -Wswitch-enum -Wconversion -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla
	-fno-omit-frame-pointer -fno-common
)
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
	# assert(!"what cannot be") is how we name an impossible case.
	add_compile_options(-Wno-string-conversion)
endif()
if(MR_WERROR)
	add_compile_options(-Werror)
endif()

if(MR_SANITIZE)
	add_compile_options(-fsanitize=${MR_SANITIZE} -fno-sanitize-recover=all -O1)
	add_link_options(-fsanitize=${MR_SANITIZE})
	if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
		# The code that sanitizers add makes GCC see paths that do not exist.
		add_compile_options(-Wno-format-truncation -Wno-maybe-uninitialized)
	endif()
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
	add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection)
	if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
		add_compile_options(-fcf-protection)
	endif()
	add_link_options(LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)
endif()

# PIC code alone does not make programs position independent; this adds -pie where the linker knows it.
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
