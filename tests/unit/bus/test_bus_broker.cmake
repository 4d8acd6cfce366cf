# SPDX-License-Identifier: Apache-2.0
target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests/unit/bus/bed.c" "${PROJECT_SOURCE_DIR}/tests/unit/bus/broker_env.c")
target_link_libraries(${target} PRIVATE PkgConfig::RDKAFKA)
