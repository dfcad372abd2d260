#include "linalg/library_facts.hpp"

#include <cblas.h>
#include <fmt/format.h>
#ifdef RELGRAD_HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

#include <string_view>

#include "core/cpu_vectors.hpp"
#include "linalg/kernels/bf16_tiles.hpp"

namespace relgrad {

namespace {

/// openblas_get_config() is "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...".
std::string openblas_facts() {
  const std::string config = openblas_get_config();
  const std::size_t version = config.find(' ');
  const int parallel = openblas_get_parallel();
  return fmt::format("{}, kernels {}, {}",
                     version == std::string::npos
                         ? config
                         : config.substr(version + 1, config.find(' ', version + 1) - version - 1),
                     openblas_get_corename(),
                     parallel == OPENBLAS_OPENMP   ? "threads of OpenMP"
                     : parallel == OPENBLAS_THREAD ? "threads of its own (relgrad uses one)"
                                                   : "no threads");
}

#ifdef RELGRAD_HAVE_ONEDNN
/// The values are those of dnnl_cpu_isa_t in oneDNN 2 and 3; names that only one has are spelled by
/// number.
std::string onednn_isa() {
  switch (const int isa = dnnl_get_effective_cpu_isa(); isa) {
    case dnnl_cpu_isa_sse41:
      return "sse41";
    case dnnl_cpu_isa_avx:
      return "avx";
    case dnnl_cpu_isa_avx2:
      return "avx2";
    case dnnl_cpu_isa_avx512_core:
      return "avx512_core";
    case dnnl_cpu_isa_avx512_core_vnni:
      return "avx512_core_vnni";
    case dnnl_cpu_isa_avx512_core_bf16:
      return "avx512_core_bf16";
    case dnnl_cpu_isa_avx512_core_amx:
      return "avx512_core_amx";
    case dnnl_cpu_isa_avx2_vnni:
      return "avx2_vnni";
    default:
      return fmt::format("CPU units {:#x} of dnnl_cpu_isa_t", isa);
  }
}
#endif

std::string onednn_facts() {
#ifdef RELGRAD_HAVE_ONEDNN
  const dnnl_version_t& version = *dnnl_version();
  return fmt::format("{}.{}.{}, {}", version.major, version.minor, version.patch, onednn_isa());
#else
  return "not in this build";
#endif
}

std::string ordered_facts() {
  if (cpu_has_avx512()) return "vectors of 512 bits";
  return cpu_has_avx2_and_fma() ? "vectors of 256 bits" : "no vectors";
}

std::string bf16_facts() {
  switch (kernels::bf16_units()) {
    case kernels::Bf16Units::amx:
      return "amx";
    case kernels::Bf16Units::avx512_bf16:
      return "avx512_bf16";
    case kernels::Bf16Units::plain:
      break;
  }
  return "rounded, then multiplied in float32: this CPU has no units for it";
}

}  // namespace

std::vector<std::pair<std::string, std::string>> product_libraries() {
  return {{"openblas", openblas_facts()},
          {"onednn", onednn_facts()},
          {"ordered", ordered_facts()},
          {"bf16", bf16_facts()}};
}

}  // namespace relgrad
