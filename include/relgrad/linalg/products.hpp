#pragma once
/// Matrix products behind one interface. Only linalg/ includes BLAS, LAPACK or oneDNN.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "relgrad/core/types.hpp"

namespace relgrad {

enum class ProductBackend { openblas, onednn, ordered };

/// "ordered" is relgrad's own: every element is one chain of fused multiply-adds in the order of k,
/// so that its bits depend neither on the shape of the call nor on threads or the CPU.
/// @throws UsageError unless `name` is "auto", "openblas", "onednn" or "ordered" ("auto": the
/// fastest library built in, as a rule).
ProductBackend parse_product_backend(std::string_view name);
std::string_view name_of(ProductBackend backend);
/// Those that compute products of T: what is built in, and of T's precision.
template <class T>
std::vector<ProductBackend> product_backends();

/// float32, or operands rounded to bf16 (8 bits of mantissa, to nearest, ties to even) whose
/// products are summed in float32.
enum class Compute { float32, bf16 };
Compute parse_compute(std::string_view name);  // @throws UsageError
std::string_view name_of(Compute compute);
/// Whether this CPU multiplies bf16 numbers (AVX512-BF16 or AMX): products of rounded operands are
/// then its own, but for those of "ordered". Elsewhere, and by "ordered", the rounded operands are
/// multiplied in float32: the same numbers, at no gain.
bool multiplies_bf16();

enum class Transpose : char { no = 'N', yes = 'T' };
/// What a product meets in C: it replaces it, or is added to it.
enum class Onto { zero, itself };

/// op(A) is m x k, op(B) k x n.
struct ProductShape {
  Transpose op_a;
  Transpose op_b;
  Index m;
  Index n;
  Index k;
  double flops() const {
    return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  }
};

struct ProductChoice {
  ProductShape shape;
  ProductBackend backend;
};

/// Up to three blocks of memory of C's size that will be read right after a product: a back end
/// that can (ordered) brings them into the cache while it computes. Null: none.
template <class T>
using ReadNext = std::array<const T*, 3>;

/// Computes products. oneDNN has no double precision: OpenBLAS does it instead. Products of a
/// matrix and a vector are always in the operands' own precision.
class Products {
 public:
  explicit Products(ProductBackend backend, Compute compute = Compute::float32);
  /// Every product by the back end of the choice that is most like it: the same ops, the nearest
  /// number of flops. @param otherwise  where no choice has the same ops
  Products(ProductBackend otherwise, std::vector<ProductChoice> choices, Compute compute);

  /// C = op(A) op(B), or C += op(A) op(B); op(A) is m x k, op(B) k x n, C m x n, all column-major
  /// with leading dimensions lda, ldb, ldc. Cost: 2 m n k flops.
  void gemm(Transpose op_a, Transpose op_b, Index m, Index n, Index k, const float* a, Index lda,
            const float* b, Index ldb, Onto onto, float* c, Index ldc,
            const ReadNext<float>& read_next = {}) const;
  void gemm(Transpose op_a, Transpose op_b, Index m, Index n, Index k, const double* a, Index lda,
            const double* b, Index ldb, Onto onto, double* c, Index ldc,
            const ReadNext<double>& read_next = {}) const;

  ProductBackend backend_of(const ProductShape& shape) const;
  const std::vector<ProductChoice>& choices() const { return choices_; }
  Compute compute() const { return compute_; }

 private:
  ProductBackend otherwise_;
  std::vector<ProductChoice> choices_;
  Compute compute_;
};

/// Threads that products and element-wise loops of this process may use. An OpenBLAS that is not
/// built on OpenMP computes with one: with --products auto the other back ends are then faster.
void set_threads(int threads);

/// OpenBLAS picks its kernels in a constructor, before main. When it picked less than this CPU can
/// do, sets OPENBLAS_CORETYPE and executes the program again; call first thing in main, before
/// MPI_Init. Returns the name of the kernels in use.
std::string ensure_best_blas_kernels(char** argv);

/// What a CPU can do, as far as the choice of OpenBLAS's kernels goes.
struct CpuFeatures {
  bool avx2_and_fma = false;
  bool avx512 = false;  // f, cd, bw, dq, vl: SkylakeX and later
};
/// The OPENBLAS_CORETYPE to start again with, or "" if `kernels`, which OpenBLAS chose, are as good
/// as the CPU.
std::string_view better_blas_kernels(std::string_view kernels, const CpuFeatures& cpu);

}  // namespace relgrad
