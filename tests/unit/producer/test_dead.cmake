# SPDX-License-Identifier: Apache-2.0
target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/producer/cli/dead_letter.c" "${PROJECT_SOURCE_DIR}/producer/cli/dead_index.c")
