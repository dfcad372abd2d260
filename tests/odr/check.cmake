# Builds the program once more, for the link-time optimizer: the linker then compares the types of all sources,
# and a class that two of them define differently is an error (-Wodr).
# cmake -D SOURCE=... -D WORK=... -D AR=... -D RANLIB=... -P check.cmake
file(REMOVE_RECURSE ${WORK})
set(stop COMMAND_ERROR_IS_FATAL ANY)
set(flags "-O0 -flto=auto -Wodr -Werror=odr")
execute_process(COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK} -G Ninja -D RELGRAD_BUILD_TESTS=OFF
                        -D CMAKE_BUILD_TYPE=Release -D CMAKE_CXX_FLAGS_RELEASE=${flags}
                        -D CMAKE_AR=${AR} -D CMAKE_RANLIB=${RANLIB} ${stop})
execute_process(COMMAND ${CMAKE_COMMAND} --build ${WORK} --target relgrad-cli ${stop})
execute_process(COMMAND ${WORK}/relgrad --version ${stop})
