# SPDX-License-Identifier: Apache-2.0
target_sources(${target} PRIVATE "${unit_dir}/producer/client_world.c")
