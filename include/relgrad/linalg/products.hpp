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
/// library that is usually fastest).
ProductBackend parse_product_backend(std::string_view name);
std::string_view name_of(ProductBackend backend);
/// The back ends that are built in and compute products of type T.
template <class T>
std::vector<ProductBackend> product_backends();

/// float32, or operands rounded to bf16 (8 bits of mantissa, to nearest, ties to even) whose
/// products are summed in float32. Products of fewer samples than least_rounded_samples, the depth
/// of a CPU's tile, stay in float32, where much of a tile would be empty; not those of "ordered",
/// whose bits must not depend on how samples are split.
enum class Compute { float32, bf16 };
inline constexpr Index least_rounded_samples = 32;
Compute parse_compute(std::string_view name);  // @throws UsageError
std::string_view name_of(Compute compute);
/// Whether this CPU multiplies bf16 numbers (AVX512-BF16 or AMX). If so, its units multiply the
/// rounded operands, except in "ordered". Otherwise the rounded operands are multiplied in float32:
/// the same numbers without a gain in speed.
bool multiplies_bf16();

enum class Transpose : char { no = 'N', yes = 'T' };
/// Whether a product replaces C or is added to it.
enum class Onto { zero, itself };

/// op(A) is m x k, op(B) k x n.
struct ProductShape {
  Transpose op_a;
  Transpose op_b;
  Index m;
  Index n;
  Index k;
  /// W X and W^T X have one a column, Delta P^T sums over them.
  Index samples() const { return op_b == Transpose::yes ? k : n; }
  double flops() const {
    return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  }
};

struct ProductChoice {
  ProductShape shape;
  ProductBackend backend;
  /// Of W^T X: whether the columns of W are updated in the same pass (linalg/column_pass). That is
  /// a kernel of its own, whatever `backend` computes the product alone.
  bool in_one_pass = false;
};

/// Up to three blocks of memory of C's size that will be read right after a product. The back end
/// "ordered" brings them into the cache while it computes. Null: none.
template <class T>
using ReadNext = std::array<const T*, 3>;

/// Computes products. oneDNN has no double precision: OpenBLAS does it instead.
class Products {
 public:
  explicit Products(ProductBackend backend, Compute compute = Compute::float32);
  /// Every product uses the back end of the most similar choice: the same ops, the nearest number
  /// of flops. @param otherwise  back end for products without a choice of the same ops
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
  /// Whether the operands are rounded to bf16.
  bool rounds(const ProductShape& shape) const;
  /// Whether W^T X of this shape and the update of W go in one pass: as the most similar choice
  /// says; without choices, if the back end is "ordered", whose bits the pass has.
  bool in_one_pass(const ProductShape& shape) const;
  const std::vector<ProductChoice>& choices() const { return choices_; }
  Compute compute() const { return compute_; }

 private:
  const ProductChoice* nearest_choice(const ProductShape& shape) const;

  ProductBackend otherwise_;
  std::vector<ProductChoice> choices_;
  Compute compute_;
};

/// Number of threads for products and element-wise loops of this process. An OpenBLAS that is not
/// built on OpenMP uses one thread; with --products auto the other back ends are then faster.
void set_threads(int threads);

/// OpenBLAS picks its kernels in a constructor, before main. If this CPU supports better ones, sets
/// OPENBLAS_CORETYPE and executes the program again. Call this first thing in main, before
/// MPI_Init. Returns the name of the kernels in use.
std::string ensure_best_blas_kernels(char** argv);

/// The features of a CPU that decide which kernels of OpenBLAS suit it.
struct CpuFeatures {
  bool avx2_and_fma = false;
  bool avx512 = false;  // f, cd, bw, dq, vl: SkylakeX and later
};
/// The OPENBLAS_CORETYPE to start again with, or "" if `kernels`, chosen by OpenBLAS, already use
/// the whole CPU.
std::string_view better_blas_kernels(std::string_view kernels, const CpuFeatures& cpu);

}  // namespace relgrad
