#pragma once
/// Products of operands rounded to bf16, summed in float32.
#include "linalg/kernels/bf16_tiles.hpp"
#include "relgrad/linalg/products.hpp"

namespace relgrad {

/// op(A) and op(B) rounded to bf16 and held as float32. In memory that is kept from call to call
/// and belongs to the calling thread: at most one of them may be in use.
struct RoundedOperands {
  RoundedOperands(const ProductShape& shape, const float* a, Index lda, const float* b, Index ldb);
  const float* a;
  Index lda;
  const float* b;
  Index ldb;
};

/// C = op(A) op(B), or C += op(A) op(B), all column-major, of operands rounded on the way, by
/// `units`; meant for an A much larger than B, of which memory is read once.
void tiled_gemm(const ProductShape& shape, const float* a, Index lda, const float* b, Index ldb,
                Onto onto, float* c, Index ldc, kernels::Bf16Units units = kernels::bf16_units());

}  // namespace relgrad
