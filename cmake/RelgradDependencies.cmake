# Everything relgrad stands on, found once: by this build, and by the projects that use an installed
# relgrad (the library is static). Debian package names: tools/packages.txt.
#
# RELGRAD_MPI: which of several MPI libraries, where their packages lie beside each other as Debian's do
# (mpicxx.mpich, h5pcc.mpich, libscalapack-mpich). Empty: the one that `mpicxx` and `h5pcc` are.
set(RELGRAD_MPI "" CACHE STRING "MPI library, with its HDF5 and ScaLAPACK: openmpi, mpich, or empty for the default")
set_property(CACHE RELGRAD_MPI PROPERTY STRINGS "" openmpi mpich)
if(RELGRAD_MPI)
  set(MPI_EXECUTABLE_SUFFIX .${RELGRAD_MPI})
  find_program(HDF5_C_COMPILER_EXECUTABLE h5pcc.${RELGRAD_MPI} REQUIRED)
endif()
find_package(MPI REQUIRED COMPONENTS CXX)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(ZLIB REQUIRED)
find_package(LibArchive REQUIRED)
find_package(PNG REQUIRED)
find_package(JPEG REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(Threads REQUIRED)
set(HDF5_PREFER_PARALLEL TRUE)
find_package(HDF5 REQUIRED COMPONENTS C)
# Not by its own config file: Debian's asks for OpenCL, which nothing here uses.
find_path(ONEDNN_INCLUDE_DIR oneapi/dnnl/dnnl.h)
find_library(ONEDNN_LIBRARY dnnl)

find_path(RANDOM123_INCLUDE_DIR Random123/philox.h REQUIRED)
find_path(STB_INCLUDE_DIR stb/stb_image_write.h REQUIRED)
find_path(XXHASH_INCLUDE_DIR xxhash.h REQUIRED)
find_library(XXHASH_LIBRARY xxhash REQUIRED)
find_path(OPENBLAS_INCLUDE_DIR cblas.h REQUIRED
          PATH_SUFFIXES x86_64-linux-gnu/openblas-pthread aarch64-linux-gnu/openblas-pthread
                        x86_64-linux-gnu aarch64-linux-gnu openblas)
find_library(OPENBLAS_LIBRARY openblas REQUIRED)
find_path(FFTW_INCLUDE_DIR fftw3.h REQUIRED)
find_library(FFTW_LIBRARY fftw3 REQUIRED)
find_library(FFTW_SINGLE_LIBRARY fftw3f REQUIRED)
if(RELGRAD_MPI)
  find_library(SCALAPACK_LIBRARY scalapack-${RELGRAD_MPI} REQUIRED)
else()
  find_library(SCALAPACK_LIBRARY NAMES scalapack-openmpi scalapack REQUIRED)
endif()

add_library(relgrad_external INTERFACE)
target_include_directories(relgrad_external SYSTEM INTERFACE
  ${RANDOM123_INCLUDE_DIR} ${STB_INCLUDE_DIR} ${XXHASH_INCLUDE_DIR} ${OPENBLAS_INCLUDE_DIR}
  ${HDF5_C_INCLUDE_DIRS} ${FFTW_INCLUDE_DIR})
target_link_libraries(relgrad_external INTERFACE
  MPI::MPI_CXX fmt::fmt ZLIB::ZLIB LibArchive::LibArchive PNG::PNG JPEG::JPEG
  OpenMP::OpenMP_CXX Threads::Threads
  ${HDF5_C_LIBRARIES} ${XXHASH_LIBRARY} ${FFTW_LIBRARY} ${FFTW_SINGLE_LIBRARY}
  ${SCALAPACK_LIBRARY} ${OPENBLAS_LIBRARY})
target_compile_definitions(relgrad_external INTERFACE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
if(ONEDNN_INCLUDE_DIR AND ONEDNN_LIBRARY)
  target_include_directories(relgrad_external SYSTEM INTERFACE ${ONEDNN_INCLUDE_DIR})
  target_link_libraries(relgrad_external INTERFACE ${ONEDNN_LIBRARY})
  target_compile_definitions(relgrad_external INTERFACE RELGRAD_HAVE_ONEDNN=1)
  message(STATUS "relgrad: oneDNN found: products run on it in single precision")
else()
  message(STATUS "relgrad: oneDNN not found (package libdnnl-dev): products run on OpenBLAS")
endif()
