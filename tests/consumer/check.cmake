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

# Four standard normals at 0.5: -4 (log(2 pi) + 0.25) / 2 nats.
if(NOT printed STREQUAL "log-likelihood -4.175754 nats\n")
  message(FATAL_ERROR "consumer printed '${printed}'")
endif()
execute_process(COMMAND ${WORK}/prefix/bin/relgrad --version ${stop})
