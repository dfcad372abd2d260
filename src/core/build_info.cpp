#include "core/build_info.hpp"

// Both are written into the build folder: cmake/RelgradBuildInfo.cmake.
#include <relgrad_build.hpp>
#include <relgrad_commit.hpp>

namespace relgrad {

const BuildInfo& build_info() {
  static constexpr BuildInfo info{RELGRAD_PROJECT_VERSION, RELGRAD_COMMIT, RELGRAD_BUILD_TYPE,
                                  RELGRAD_COMPILER, RELGRAD_FLAGS};
  return info;
}

}  // namespace relgrad
