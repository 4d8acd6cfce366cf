# SPDX-License-Identifier: Apache-2.0
# The test plays the worker as well, on a bus of its own.
target_link_libraries(${target} PRIVATE mr_bus mr_wire)
