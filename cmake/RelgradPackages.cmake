# cpack, in the build folder: a Debian package and a .tar.gz of what `cmake --install` installs.
# The Debian package depends on the libraries that the program was linked with (dpkg-shlibdeps, of
# package dpkg-dev; cpack also asks package file) and on the launcher of their MPI; -G DEB or -G TGZ
# makes one of the two.
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_PACKAGE_NAME relgrad)
set(CPACK_PACKAGE_VENDOR "the relgrad authors")
set(CPACK_PACKAGE_CONTACT "the relgrad authors <maintainers@relgrad.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_DESCRIPTION
    "relgrad trains density models whose likelihood is exact: flows of full D x D linear layers\n\
with element-wise maps between them, by the relative gradient, over MPI.\n\
The package has the program, its man pages and job scripts, and the static\n\
library with headers and a CMake package.")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
if(RELGRAD_MPI STREQUAL "mpich")
  set(CPACK_DEBIAN_PACKAGE_DEPENDS mpich)
else()
  set(CPACK_DEBIAN_PACKAGE_DEPENDS openmpi-bin)
endif()
include(CPack)
