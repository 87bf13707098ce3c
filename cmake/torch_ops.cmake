# The compiled passes of networks (smm_core/native) as a library that torch loads. It is bound to
# the torch that it is built with, so its name says which; without torch it is left out, and
# smm_core takes torch's own operations.
#
# torch is asked for its place, not found by its CMake package, which wants the whole of CUDA where
# torch was built for CUDA.
execute_process(
  COMMAND ${Python3_EXECUTABLE} -c
    "import torch, pathlib; print(pathlib.Path(torch.__file__).parent, torch.__version__, sep=';')"
  OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  message(STATUS "no torch in ${Python3_EXECUTABLE}: smm_core goes without its compiled passes")
  return()
endif()
list(GET found 0 folder)
list(GET found 1 version)
string(REGEX REPLACE "[+].*" "" version "${version}")

file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/smm_core/native/*.cpp)
add_library(smm_core_native MODULE ${sources})
set_target_properties(smm_core_native PROPERTIES
  CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON OUTPUT_NAME "smm_core-torch${version}")
target_include_directories(smm_core_native SYSTEM PRIVATE ${folder}/include)
# Compiled for OpenMP but not linked with it: a second OpenMP beside torch's own would have threads
# of its own that compete with torch's.
target_compile_options(smm_core_native PRIVATE -fopenmp)
target_compile_definitions(smm_core_native PRIVATE AT_PARALLEL_OPENMP=1)
target_link_libraries(smm_core_native PRIVATE ${folder}/lib/libtorch_cpu.so ${folder}/lib/libc10.so)
install(TARGETS smm_core_native DESTINATION lib)
