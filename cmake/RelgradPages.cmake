# Writes PAGES/man1/*.1 and PAGES/relgrad.bash: what PROGRAM prints of itself.
# cmake -D PROGRAM=... -D PAGES=... -P RelgradPages.cmake
file(MAKE_DIRECTORY ${PAGES}/man1)
set(stop COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${PROGRAM} --bash-completion OUTPUT_FILE ${PAGES}/relgrad.bash ${stop})
execute_process(COMMAND ${PROGRAM} --help-man OUTPUT_FILE ${PAGES}/man1/relgrad.1 ${stop})
file(STRINGS ${PAGES}/man1/relgrad.1 names REGEX "^\\.BR relgrad")  # SEE ALSO: every command
foreach(name IN LISTS names)
  string(REGEX REPLACE "^\\.BR relgrad\\\\-([a-z\\\\-]+) .*" "\\1" command ${name})
  string(REPLACE "\\" "" command ${command})
  execute_process(COMMAND ${PROGRAM} ${command} --help-man
                  OUTPUT_FILE ${PAGES}/man1/relgrad-${command}.1 ${stop})
endforeach()
