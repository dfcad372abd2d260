# Warnings and sanitizers of this project's own sources.
add_library(relgrad_warnings INTERFACE)
# restrict, stringop-overflow: GCC 12 warns of std::string's own code, falsely (GCC bug 105651).
target_compile_options(relgrad_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                                  -Wno-sign-conversion
                                                  "$<$<CXX_COMPILER_ID:GNU>:-Wno-restrict;-Wno-stringop-overflow>"
                                                  $<$<BOOL:${RELGRAD_WERROR}>:-Werror>)
if(RELGRAD_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
