# Installs relgrad under WORK, builds the project beside this file against it, runs what came out.
# cmake -D BUILD=... -D WORK=... [-D FLAGS=...] -P check.cmake
file(REMOVE_RECURSE ${WORK})
set(stop COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix ${stop}
                OUTPUT_QUIET)
execute_process(COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${WORK}/build -G Ninja
                        -D CMAKE_BUILD_TYPE=Release -D CMAKE_PREFIX_PATH=${WORK}/prefix
                        -D CMAKE_CXX_FLAGS=${FLAGS} ${stop})
execute_process(COMMAND ${CMAKE_COMMAND} --build ${WORK}/build ${stop})
execute_process(COMMAND ${WORK}/build/consumer OUTPUT_VARIABLE printed ${stop})

# The log-likelihood, from "step   0: -4.567 nats" to that of step 300, rises by more than a nat.
string(REGEX MATCHALL "-?[0-9.]+ nats" nats "${printed}")
list(TRANSFORM nats REPLACE " nats" "")
list(GET nats 0 first)
list(GET nats -1 last)
string(REGEX REPLACE "\\..*" "" whole_first ${first})  # towards zero
math(EXPR wanted "${whole_first} + 1")
if(NOT last GREATER wanted)
  message(FATAL_ERROR "consumer's log-likelihood did not rise:\n${printed}")
endif()
execute_process(COMMAND ${WORK}/prefix/bin/relgrad --version ${stop})
