#pragma once
/// Matrix products behind one interface. Only linalg/ includes BLAS, LAPACK or oneDNN.
#include <string>
#include <string_view>

#include "relgrad/core/types.hpp"

namespace relgrad {

enum class ProductBackend { openblas, onednn, ordered };

/// "ordered" is relgrad's own: every element is one chain of fused multiply-adds in the order of k,
/// so that its bits depend neither on the shape of the call nor on threads or the CPU.
/// @throws UsageError unless `name` is "auto", "openblas", "onednn" or "ordered" ("auto": the
/// fastest library built in).
ProductBackend parse_product_backend(std::string_view name);
std::string_view name_of(ProductBackend backend);

enum class Transpose : char { no = 'N', yes = 'T' };
/// What a product meets in C: it replaces it, or is added to it.
enum class Onto { zero, itself };

/// Computes products with one back end. oneDNN has no double precision: OpenBLAS does it instead.
class Products {
 public:
  explicit Products(ProductBackend backend);

  /// C = op(A) op(B), or C += op(A) op(B); op(A) is m x k, op(B) k x n, C m x n, all column-major
  /// with leading dimensions lda, ldb, ldc. Cost: 2 m n k flops.
  void gemm(Transpose op_a, Transpose op_b, Index m, Index n, Index k, const float* a, Index lda,
            const float* b, Index ldb, Onto onto, float* c, Index ldc) const;
  void gemm(Transpose op_a, Transpose op_b, Index m, Index n, Index k, const double* a, Index lda,
            const double* b, Index ldb, Onto onto, double* c, Index ldc) const;

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
