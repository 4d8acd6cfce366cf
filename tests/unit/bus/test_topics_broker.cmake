# SPDX-License-Identifier: Apache-2.0
target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests/unit/bus/bed.c")
target_link_libraries(${target} PRIVATE PkgConfig::RDKAFKA)
