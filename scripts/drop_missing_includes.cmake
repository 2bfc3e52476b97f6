# SPDX-License-Identifier: Apache-2.0
#
# Used as -DCMAKE_PROJECT_INCLUDE=<this file> when jepa_wm_msgs is built against the ROS wheels.
# Their imported targets name header folders of the machine that built the wheels
# (/opt/python/cp3*/...). CMake stops at an imported target whose folder does not exist, so every
# such folder is taken off once the project is configured; what is needed of Python and NumPy is
# found again by rosidl_generator_py itself. The environment's own files stay as they are.
# Needs CMake 3.21 (IMPORTED_TARGETS).

function(jepa_wm_drop_missing_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(folders "${target}" INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT folders)
      continue()
    endif()
    set(present "")
    foreach(folder IN LISTS folders)
      if(folder MATCHES "^[$]<" OR IS_DIRECTORY "${folder}")
        list(APPEND present "${folder}")
      endif()
    endforeach()
    set_property(TARGET "${target}" PROPERTY INTERFACE_INCLUDE_DIRECTORIES "${present}")
  endforeach()
endfunction()

cmake_language(DEFER CALL jepa_wm_drop_missing_includes)
