# The ROS 2 wheels on PyPI export include folders of the machine that built them, and CMake
# refuses an imported target whose include folders do not exist. Drop exactly those folders; on
# a ROS 2 installation all of them exist and nothing changes.
function(smm_drop_missing_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT folders)
      continue()
    endif()
    set(kept "")
    foreach(folder IN LISTS folders)
      # Generator expressions and relative folders cannot be judged here: keep them.
      if(folder MATCHES "\\$<" OR NOT IS_ABSOLUTE "${folder}" OR EXISTS "${folder}")
        list(APPEND kept "${folder}")
      endif()
    endforeach()
    if(NOT kept STREQUAL folders)
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
    endif()
  endforeach()
endfunction()

# The generated Python library would export the NumPy headers of this machine in the same way,
# and CMake refuses that outright when the virtual environment lies inside the source tree.
function(smm_keep_includes_to_the_build target)
  get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
  set(kept "")
  foreach(folder IN LISTS folders)
    if(IS_ABSOLUTE "${folder}")
      list(APPEND kept "$<BUILD_INTERFACE:${folder}>")
    else()
      list(APPEND kept "${folder}")
    endif()
  endforeach()
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
endfunction()

# At the end of the directory every find_package has run and nothing is generated yet.
cmake_language(DEFER CALL smm_drop_missing_includes)
cmake_language(DEFER CALL smm_keep_includes_to_the_build ${PROJECT_NAME}__rosidl_generator_py)
