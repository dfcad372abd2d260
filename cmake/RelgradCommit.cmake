# Writes HEADER: the commit of SOURCE, with "+" where its files were changed since, or "unknown" outside
# a git repository. Left alone where nothing changed, so that nothing is compiled again.
# cmake -D SOURCE=... -D HEADER=... -P RelgradCommit.cmake
find_program(git git)
set(commit unknown)
if(git AND EXISTS ${SOURCE}/.git)
  execute_process(COMMAND ${git} -C ${SOURCE} rev-parse --short=12 HEAD OUTPUT_VARIABLE head
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  execute_process(COMMAND ${git} -C ${SOURCE} diff --quiet HEAD RESULT_VARIABLE changed ERROR_QUIET)
  if(NOT failed)
    set(commit ${head})
  endif()
  if(NOT failed AND changed)
    string(APPEND commit +)
  endif()
endif()
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#pragma once\n#define RELGRAD_COMMIT \"${commit}\"\n")
