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
if(RELGRAD_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
