#include "hdf5/library.hpp"

#include <fmt/format.h>
#include <hdf5.h>

namespace relgrad::hdf5 {

std::string library() {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned release = 0;
  H5get_libversion(&major, &minor, &release);
#ifdef H5_HAVE_PARALLEL
  constexpr const char* build = "built for MPI";
#else
  constexpr const char* build = "serial build";
#endif
  return fmt::format("{}.{}.{}, {}", major, minor, release, build);
}

}  // namespace relgrad::hdf5
