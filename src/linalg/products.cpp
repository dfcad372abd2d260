#include "relgrad/linalg/products.hpp"

#include <cblas.h>
#include <fmt/format.h>
#include <omp.h>
#include <unistd.h>
#ifdef RELGRAD_HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

#include <array>
#include <cstdlib>

#include "linalg/kernels/ordered_gemm.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

ProductBackend parse_product_backend(std::string_view name) {
#ifdef RELGRAD_HAVE_ONEDNN
  if (name == "auto" || name == "onednn") return ProductBackend::onednn;
#else
  if (name == "onednn") {
    throw UsageError(
        "--products: onednn is not in this build; install libdnnl-dev and build again, or use "
        "openblas");
  }
  if (name == "auto") return ProductBackend::openblas;
#endif
  if (name == "openblas") return ProductBackend::openblas;
  if (name == "ordered") return ProductBackend::ordered;
  throw UsageError(fmt::format(
      "--products: '{}' is none of auto, openblas, onednn, ordered; leave it at auto", name));
}

std::string_view name_of(ProductBackend backend) {
  switch (backend) {
    case ProductBackend::onednn:
      return "onednn";
    case ProductBackend::ordered:
      return "ordered";
    case ProductBackend::openblas:
      break;
  }
  return "openblas";
}

Products::Products(ProductBackend backend) : backend_(backend) {}

namespace {

CBLAS_TRANSPOSE cblas(Transpose op) { return op == Transpose::yes ? CblasTrans : CblasNoTrans; }
blasint narrow(Index value) { return static_cast<blasint>(value); }

}  // namespace

void Products::gemm(Transpose op_a, Transpose op_b, Index m, Index n, Index k, const float* a,
                    Index lda, const float* b, Index ldb, Onto onto, float* c, Index ldc) const {
  if (m == 0 || n == 0) return;
  const float beta = onto == Onto::itself ? 1.0F : 0.0F;
  if (backend_ == ProductBackend::ordered) {
    kernels::ordered_gemm(kernels::OrderedProduct<float>{op_a == Transpose::yes,
                                                         op_b == Transpose::yes, m, n, k, a, lda, b,
                                                         ldb, onto == Onto::itself, c, ldc});
    return;
  }
#ifdef RELGRAD_HAVE_ONEDNN
  if (backend_ == ProductBackend::onednn && k > 0) {
    // oneDNN is row-major: C^T = op(B)^T op(A)^T, and a column-major C is a row-major C^T.
    dnnl_sgemm(static_cast<char>(op_b), static_cast<char>(op_a), n, m, k, 1.0F, b, ldb, a, lda,
               beta, c, ldc);
    return;
  }
#endif
  cblas_sgemm(CblasColMajor, cblas(op_a), cblas(op_b), narrow(m), narrow(n), narrow(k), 1.0F, a,
              narrow(lda), b, narrow(ldb), beta, c, narrow(ldc));
}

void Products::gemm(Transpose op_a, Transpose op_b, Index m, Index n, Index k, const double* a,
                    Index lda, const double* b, Index ldb, Onto onto, double* c, Index ldc) const {
  if (m == 0 || n == 0) return;
  if (backend_ == ProductBackend::ordered) {
    kernels::ordered_gemm(kernels::OrderedProduct<double>{op_a == Transpose::yes,
                                                          op_b == Transpose::yes, m, n, k, a, lda,
                                                          b, ldb, onto == Onto::itself, c, ldc});
    return;
  }
  cblas_dgemm(CblasColMajor, cblas(op_a), cblas(op_b), narrow(m), narrow(n), narrow(k), 1.0, a,
              narrow(lda), b, narrow(ldb), onto == Onto::itself ? 1.0 : 0.0, c, narrow(ldc));
}

void set_threads(int threads) {
  omp_set_num_threads(threads);
  openblas_set_num_threads(threads);
}

std::string ensure_best_blas_kernels(char** argv) {
  const std::string kernels = openblas_get_corename();
#if defined(__x86_64__)
  // Kernels OpenBLAS has for AVX-512, by the names it reports.
  constexpr std::array best = {"SkylakeX", "Cooperlake", "SapphireRapids"};
  bool is_best = false;
  for (const char* name : best) is_best = is_best || kernels == name;
  if (!is_best && __builtin_cpu_supports("avx512vl") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && std::getenv("OPENBLAS_CORETYPE") == nullptr) {
    setenv("OPENBLAS_CORETYPE", "SkylakeX", 1);
    execv("/proc/self/exe", argv);  // comes back only if it failed: then the slower kernels do
  }
#else
  static_cast<void>(argv);
#endif
  return kernels;
}

}  // namespace relgrad
