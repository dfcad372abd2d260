#pragma once
/// Products of operands rounded to bf16, summed in float32.
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

/// The product on the CPU's bf16 units; false, and nothing done, where it has none
/// (multiplies_bf16) or oneDNN cannot do this product on them.
bool bf16_gemm(const ProductShape& shape, const float* a, Index lda, const float* b, Index ldb,
               Onto onto, float* c, Index ldc);

}  // namespace relgrad
