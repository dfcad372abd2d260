# cmake --install BUILD --prefix DIR: program, library, headers, pages, jobs, and what
# find_package(relgrad) reads.
include(CMakePackageConfigHelpers)
set(relgrad_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/relgrad)

install(TARGETS relgrad EXPORT relgradTargets)
install(TARGETS relgrad-cli)
install(DIRECTORY include/relgrad DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(DIRECTORY jobs DESTINATION ${CMAKE_INSTALL_DATADIR}/relgrad)

install(EXPORT relgradTargets NAMESPACE relgrad:: DESTINATION ${relgrad_package_dir})
configure_package_config_file(cmake/relgradConfig.cmake.in relgradConfig.cmake
                              INSTALL_DESTINATION ${relgrad_package_dir})
write_basic_package_version_file(relgradConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/relgradConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/relgradConfigVersion.cmake
              cmake/RelgradDependencies.cmake
        DESTINATION ${relgrad_package_dir})
