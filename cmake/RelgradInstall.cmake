# cmake --install BUILD --prefix DIR: program, library, headers, pages, jobs, man pages, completion for
# bash, and what find_package(relgrad) reads. `cpack` makes packages of it: RelgradPackages.cmake.
include(CMakePackageConfigHelpers)
set(relgrad_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/relgrad)

install(TARGETS relgrad EXPORT relgradTargets)
install(TARGETS relgrad-cli)
install(DIRECTORY include/relgrad DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR} PATTERN __pycache__ EXCLUDE)
install(DIRECTORY python DESTINATION ${CMAKE_INSTALL_DOCDIR} PATTERN __pycache__ EXCLUDE)
install(DIRECTORY jobs DESTINATION ${CMAKE_INSTALL_DATADIR}/relgrad)

# Man pages and completion are what the program prints, of the same tables as --help.
set(pages ${PROJECT_BINARY_DIR}/pages)
add_custom_command(TARGET relgrad-cli POST_BUILD
  COMMAND ${CMAKE_COMMAND} -D PROGRAM=$<TARGET_FILE:relgrad-cli> -D PAGES=${pages}
          -P ${CMAKE_CURRENT_LIST_DIR}/RelgradPages.cmake
  COMMENT "Man pages and completion")
install(DIRECTORY ${pages}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES ${pages}/relgrad.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        RENAME relgrad)

install(EXPORT relgradTargets NAMESPACE relgrad:: DESTINATION ${relgrad_package_dir})
configure_package_config_file(cmake/relgradConfig.cmake.in relgradConfig.cmake
                              INSTALL_DESTINATION ${relgrad_package_dir})
write_basic_package_version_file(relgradConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/relgradConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/relgradConfigVersion.cmake
              cmake/RelgradDependencies.cmake
        DESTINATION ${relgrad_package_dir})
