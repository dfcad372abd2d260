# Warnings and sanitizers of this project's own sources.
add_library(relgrad_warnings INTERFACE)
target_compile_options(relgrad_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                                  -Wno-sign-conversion
                                                  $<$<BOOL:${RELGRAD_WERROR}>:-Werror>)
# GCC's optimiser warns of std::string's own code, falsely (GCC bug 105651): shown, not errors.
foreach(name IN ITEMS array-bounds restrict stringop-overflow)
  target_compile_options(relgrad_warnings INTERFACE
                         $<$<CXX_COMPILER_ID:GNU>:-Wno-error=${name}>)
endforeach()
# What relgrad/core/simd_math.hpp does with RELGRAD_SIMD_CLONES.
if(NOT (CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 12
        AND CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64))
  message(STATUS "relgrad: ${CMAKE_CXX_COMPILER_ID} on ${CMAKE_SYSTEM_PROCESSOR}: element-wise loops use "
                 "the least of this architecture's vector units; GCC 12 and newer on x86-64 compile them for AVX2 "
                 "and AVX-512 as well")
endif()
if(RELGRAD_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
