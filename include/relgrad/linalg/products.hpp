#pragma once
/// Matrix products behind one interface. Only linalg/ includes BLAS, LAPACK or oneDNN.
#include <string>
#include <string_view>

#include "relgrad/core/types.hpp"

namespace relgrad {

enum class ProductBackend { openblas, onednn };

/// @throws UsageError unless `name` is "auto", "openblas" or "onednn" ("auto" is the fastest built
/// in).
ProductBackend parse_product_backend(std::string_view name);
std::string_view name_of(ProductBackend backend);

enum class Transpose : char { no = 'N', yes = 'T' };

/// Computes products with one back end. Double precision always runs on OpenBLAS.
class Products {
 public:
  explicit Products(ProductBackend backend);

  /// C = alpha op(A) op(B) + beta C; op(A) is m x k, op(B) k x n, C m x n, all column-major with
  /// leading dimensions lda, ldb, ldc. Cost: 2 m n k flops.
  void gemm(Transpose op_a, Transpose op_b, Index m, Index n, Index k, float alpha, const float* a,
            Index lda, const float* b, Index ldb, float beta, float* c, Index ldc) const;
  void gemm(Transpose op_a, Transpose op_b, Index m, Index n, Index k, double alpha,
            const double* a, Index lda, const double* b, Index ldb, double beta, double* c,
            Index ldc) const;

  ProductBackend backend() const { return backend_; }

 private:
  ProductBackend backend_;
};

/// Threads that products and element-wise loops of this process may use.
void set_threads(int threads);

/// OpenBLAS picks its kernels in a constructor, before main. When it picked less than this CPU can
/// do, sets OPENBLAS_CORETYPE and executes the program again; call first thing in main, before
/// MPI_Init. Returns the name of the kernels in use.
std::string ensure_best_blas_kernels(char** argv);

}  // namespace relgrad
