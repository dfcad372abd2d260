#pragma once
/// Which relgrad this is and how it was built: `relgrad info` tells it, every checkpoint keeps the
/// version.
#include <string_view>

namespace relgrad {

struct BuildInfo {
  std::string_view version;   // "0.2.0"
  std::string_view commit;    // 12 digits, "+" after them if files were changed since; or "unknown"
  std::string_view type;      // CMAKE_BUILD_TYPE
  std::string_view compiler;  // "GNU 12.2.0"
  std::string_view flags;     // CMake's for every source; kernels have more of their own
};

const BuildInfo& build_info();

}  // namespace relgrad
