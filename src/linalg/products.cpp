#include "relgrad/linalg/products.hpp"

#include <cblas.h>
#include <fmt/format.h>
#ifdef RELGRAD_HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

#include <algorithm>
#include <cmath>

#include "core/names.hpp"
#include "linalg/bf16_products.hpp"
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
  constexpr Names<ProductBackend, 3> names = {{{ProductBackend::onednn, "onednn"},
                                               {ProductBackend::ordered, "ordered"},
                                               {ProductBackend::openblas, "openblas"}}};
  return word_for(names, backend);
}

template <class T>
std::vector<ProductBackend> product_backends() {
  std::vector<ProductBackend> backends{ProductBackend::openblas};
#ifdef RELGRAD_HAVE_ONEDNN
  if (sizeof(T) == sizeof(float)) backends.push_back(ProductBackend::onednn);
#endif
  backends.push_back(ProductBackend::ordered);
  return backends;
}
template std::vector<ProductBackend> product_backends<float>();
template std::vector<ProductBackend> product_backends<double>();

Compute parse_compute(std::string_view name) {
  if (name == "float32") return Compute::float32;
  if (name == "bf16") return Compute::bf16;
  throw UsageError(fmt::format("--compute: '{}' is none of float32, bf16", name));
}

std::string_view name_of(Compute compute) { return compute == Compute::bf16 ? "bf16" : "float32"; }

Products::Products(ProductBackend backend, Compute compute) : Products(backend, {}, compute) {}

Products::Products(ProductBackend otherwise, std::vector<ProductChoice> choices, Compute compute)
    : otherwise_(otherwise), choices_(std::move(choices)), compute_(compute) {}

const ProductChoice* Products::nearest_choice(const ProductShape& shape) const {
  const ProductChoice* best = nullptr;
  double nearest = HUGE_VAL;
  for (const ProductChoice& choice : choices_) {
    if (choice.shape.op_a != shape.op_a || choice.shape.op_b != shape.op_b) continue;
    const double distance = std::abs(std::log(choice.shape.flops() / shape.flops()));
    if (distance >= nearest) continue;
    nearest = distance;
    best = &choice;
  }
  return best;
}

ProductBackend Products::backend_of(const ProductShape& shape) const {
  const ProductChoice* choice = nearest_choice(shape);
  return choice == nullptr ? otherwise_ : choice->backend;
}

bool Products::rounds(const ProductShape& shape) const {
  if (compute_ != Compute::bf16 || shape.k == 0) return false;
  const bool same_for_any_split = otherwise_ == ProductBackend::ordered && choices_.empty();
  return same_for_any_split || shape.samples() >= least_rounded_samples;
}

bool Products::in_one_pass(const ProductShape& shape) const {
  if (rounds(shape)) return false;
  const ProductChoice* choice = nearest_choice(shape);
  return choice == nullptr ? otherwise_ == ProductBackend::ordered : choice->in_one_pass;
}

namespace {

CBLAS_TRANSPOSE cblas(Transpose op) { return op == Transpose::yes ? CblasTrans : CblasNoTrans; }
blasint narrow(Index value) { return static_cast<blasint>(value); }

template <class T>
void ordered(const ProductShape& s, const T* a, Index lda, const T* b, Index ldb, Onto onto, T* c,
             Index ldc, const ReadNext<T>& read_next) {
  kernels::ordered_gemm(kernels::OrderedProduct<T>{s.op_a == Transpose::yes,
                                                   s.op_b == Transpose::yes,
                                                   s.m,
                                                   s.n,
                                                   s.k,
                                                   a,
                                                   lda,
                                                   b,
                                                   ldb,
                                                   onto == Onto::itself,
                                                   c,
                                                   ldc,
                                                   {read_next[0], read_next[1], read_next[2]}});
}

void multiply(ProductBackend backend, const ProductShape& s, const float* a, Index lda,
              const float* b, Index ldb, Onto onto, float* c, Index ldc,
              const ReadNext<float>& read_next) {
  if (backend == ProductBackend::ordered) {
    ordered(s, a, lda, b, ldb, onto, c, ldc, read_next);
    return;
  }
  const float beta = onto == Onto::itself ? 1.0F : 0.0F;
#ifdef RELGRAD_HAVE_ONEDNN
  if (backend == ProductBackend::onednn && s.k > 0) {
    // oneDNN is row-major: C^T = op(B)^T op(A)^T, and a column-major C is a row-major C^T.
    dnnl_sgemm(static_cast<char>(s.op_b), static_cast<char>(s.op_a), s.n, s.m, s.k, 1.0F, b, ldb, a,
               lda, beta, c, ldc);
    return;
  }
#endif
  cblas_sgemm(CblasColMajor, cblas(s.op_a), cblas(s.op_b), narrow(s.m), narrow(s.n), narrow(s.k),
              1.0F, a, narrow(lda), b, narrow(ldb), beta, c, narrow(ldc));
}

}  // namespace

void Products::gemm(Transpose op_a, Transpose op_b, Index m, Index n, Index k, const float* a,
                    Index lda, const float* b, Index ldb, Onto onto, float* c, Index ldc,
                    const ReadNext<float>& read_next) const {
  if (m == 0 || n == 0) return;
  const ProductShape shape{op_a, op_b, m, n, k};
  const ProductBackend backend = backend_of(shape);
  if (!rounds(shape)) {
    multiply(backend, shape, a, lda, b, ldb, onto, c, ldc, read_next);
    return;
  }
  if (backend != ProductBackend::ordered && multiplies_bf16()) {
    tiled_gemm(shape, a, lda, b, ldb, onto, c, ldc);
    return;
  }
  const RoundedOperands rounded(shape, a, lda, b, ldb);
  multiply(backend, shape, rounded.a, rounded.lda, rounded.b, rounded.ldb, onto, c, ldc, read_next);
}

void Products::gemm(Transpose op_a, Transpose op_b, Index m, Index n, Index k, const double* a,
                    Index lda, const double* b, Index ldb, Onto onto, double* c, Index ldc,
                    const ReadNext<double>& read_next) const {
  if (m == 0 || n == 0) return;
  const ProductShape shape{op_a, op_b, m, n, k};
  if (backend_of(shape) == ProductBackend::ordered) {
    ordered(shape, a, lda, b, ldb, onto, c, ldc, read_next);
    return;
  }
  cblas_dgemm(CblasColMajor, cblas(op_a), cblas(op_b), narrow(m), narrow(n), narrow(k), 1.0, a,
              narrow(lda), b, narrow(ldb), onto == Onto::itself ? 1.0 : 0.0, c, narrow(ldc));
}

}  // namespace relgrad
