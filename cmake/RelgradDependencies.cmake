# Everything relgrad stands on, found once. Debian package names: tools/packages.txt.
find_package(MPI REQUIRED COMPONENTS CXX)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(Boost REQUIRED COMPONENTS program_options)
find_package(ZLIB REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(Threads REQUIRED)
set(HDF5_PREFER_PARALLEL TRUE)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(dnnl CONFIG QUIET)

find_path(RANDOM123_INCLUDE_DIR Random123/philox.h REQUIRED)
find_path(STB_INCLUDE_DIR stb/stb_image.h REQUIRED)
find_path(XXHASH_INCLUDE_DIR xxhash.h REQUIRED)
find_library(XXHASH_LIBRARY xxhash REQUIRED)
find_path(OPENBLAS_INCLUDE_DIR cblas.h REQUIRED
          PATH_SUFFIXES x86_64-linux-gnu/openblas-pthread aarch64-linux-gnu/openblas-pthread
                        x86_64-linux-gnu aarch64-linux-gnu openblas)
find_library(OPENBLAS_LIBRARY openblas REQUIRED)

add_library(relgrad_external INTERFACE)
target_include_directories(relgrad_external SYSTEM INTERFACE
  ${RANDOM123_INCLUDE_DIR} ${STB_INCLUDE_DIR} ${XXHASH_INCLUDE_DIR} ${OPENBLAS_INCLUDE_DIR}
  ${HDF5_C_INCLUDE_DIRS})
target_link_libraries(relgrad_external INTERFACE
  MPI::MPI_CXX fmt::fmt ZLIB::ZLIB OpenMP::OpenMP_CXX Threads::Threads
  ${HDF5_C_LIBRARIES} ${XXHASH_LIBRARY} ${OPENBLAS_LIBRARY})
target_compile_definitions(relgrad_external INTERFACE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
if(dnnl_FOUND)
  target_link_libraries(relgrad_external INTERFACE DNNL::dnnl)
  target_compile_definitions(relgrad_external INTERFACE RELGRAD_HAVE_ONEDNN=1)
  message(STATUS "relgrad: oneDNN ${dnnl_VERSION} found: products run on it in single precision")
else()
  message(STATUS "relgrad: oneDNN not found (package libdnnl-dev): products run on OpenBLAS")
endif()

add_library(relgrad_warnings INTERFACE)
target_compile_options(relgrad_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                                  -Wno-sign-conversion
                                                  $<$<BOOL:${RELGRAD_WERROR}>:-Werror>)
if(RELGRAD_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
