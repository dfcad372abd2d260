#include <cblas.h>
#include <fmt/format.h>
#include <omp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "core/cpu_vectors.hpp"
#include "relgrad/core/escaped.hpp"
#include "relgrad/linalg/products.hpp"

namespace relgrad {

namespace {

CpuFeatures cpu_features() {
#if defined(__x86_64__)
  return {cpu_has_avx2_and_fma(), cpu_has_avx512() && __builtin_cpu_supports("avx512cd") != 0};
#else
  return {};
#endif
}

template <std::size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

std::string_view better_blas_kernels(std::string_view kernels, const CpuFeatures& cpu) {
  // By the names that OpenBLAS reports.
  static constexpr std::array<std::string_view, 3> of_avx512{"SkylakeX", "Cooperlake",
                                                             "SapphireRapids"};
  static constexpr std::array<std::string_view, 2> of_avx2{"Haswell", "Zen"};
  if (is_one_of(kernels, of_avx512)) return "";
  if (cpu.avx512) return "SkylakeX";
  if (cpu.avx2_and_fma && !is_one_of(kernels, of_avx2)) return "Haswell";
  return "";
}

std::string ensure_best_blas_kernels(char** argv) {
  const std::string kernels = openblas_get_corename();
  const std::string_view better = better_blas_kernels(kernels, cpu_features());
  if (!better.empty() && std::getenv("OPENBLAS_CORETYPE") == nullptr) {
    setenv("OPENBLAS_CORETYPE", std::string(better).c_str(), 1);
    execv("/proc/self/exe", argv);  // comes back only if it failed: then the slower kernels do
  }
  return kernels;
}

namespace {

/// OpenBLAS before 0.3.31 asks for its buffer in a loop, for ever where the system has none to give
/// (`ulimit -v`), and hears no signal there: so it is asked for here first. @throws MachineError
void make_sure_of_buffers(int threads) {
  constexpr std::size_t buffer_bytes = std::size_t{144} << 20U;  // 128 MiB and its alignment
  const std::size_t bytes = buffer_bytes * static_cast<std::size_t>(threads);
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw MachineError(fmt::format(
        "out of memory: matrix products want {} MiB of address space more than this process may "
        "have; raise the limit (ulimit -v, the batch system's) or start with fewer --threads",
        bytes >> 20U));
  }
  ::munmap(memory, bytes);
  // A product too large for the path without a buffer: from now on OpenBLAS keeps it.
  constexpr int size = 160;
  const std::vector<float> a(std::size_t{size} * size);
  std::vector<float> c(a.size());
  cblas_sgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, size, size, size, 1.0F, a.data(), size,
              a.data(), size, 0.0F, c.data(), size);
}

}  // namespace

void set_threads(int threads) {
  omp_set_num_threads(threads);
  // Threads that OpenBLAS starts itself and those of OpenMP both spin while they wait for work, on
  // one another's CPUs: a step of 6 threads took 25 times as long (784 dimensions, Sapphire
  // Rapids).
  const bool shares_threads = openblas_get_parallel() == OPENBLAS_OPENMP;
  openblas_set_num_threads(shares_threads ? threads : 1);
  make_sure_of_buffers((shares_threads ? threads : 1) + 1);  // and the thread of --overlap
}

}  // namespace relgrad
