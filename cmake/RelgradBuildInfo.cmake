# What `relgrad info` tells of this build, as headers in BUILD/generated: the version, the compiler and
# its flags when CMake runs, the commit at every build (cmake/RelgradCommit.cmake).
string(TOUPPER "${CMAKE_BUILD_TYPE}" configuration)
string(STRIP "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${configuration}}" relgrad_flags)
set(generated ${PROJECT_BINARY_DIR}/generated)
file(CONFIGURE OUTPUT ${generated}/relgrad_build.hpp @ONLY CONTENT [=[
#pragma once
#define RELGRAD_PROJECT_VERSION "@PROJECT_VERSION@"
#define RELGRAD_COMPILER "@CMAKE_CXX_COMPILER_ID@ @CMAKE_CXX_COMPILER_VERSION@"
#define RELGRAD_BUILD_TYPE "@CMAKE_BUILD_TYPE@"
#define RELGRAD_FLAGS "@relgrad_flags@"
]=])
add_custom_target(relgrad_commit BYPRODUCTS ${generated}/relgrad_commit.hpp
  COMMAND ${CMAKE_COMMAND} -D SOURCE=${PROJECT_SOURCE_DIR} -D HEADER=${generated}/relgrad_commit.hpp
          -P ${CMAKE_CURRENT_LIST_DIR}/RelgradCommit.cmake
  COMMENT "Which commit this is")
add_dependencies(relgrad relgrad_commit)
set_source_files_properties(src/core/build_info.cpp PROPERTIES INCLUDE_DIRECTORIES ${generated})
