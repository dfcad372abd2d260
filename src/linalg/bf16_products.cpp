#include "linalg/bf16_products.hpp"

#ifdef RELGRAD_HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#endif

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "linalg/kernels/bf16.hpp"

namespace relgrad {

namespace {

/// An operand as it lies in memory: rows x cols, column-major.
struct Stored {
  Index rows, cols;
};
Stored stored_a(const ProductShape& s) {
  return s.op_a == Transpose::yes ? Stored{s.k, s.m} : Stored{s.m, s.k};
}
Stored stored_b(const ProductShape& s) {
  return s.op_b == Transpose::yes ? Stored{s.n, s.k} : Stored{s.k, s.n};
}

/// Calls convert(from, count, to) for every column; `to` gets them without gaps, and grows.
template <class To, class Convert>
const To* converted(const float* from, Index ld, const Stored& shape, std::vector<To>& to,
                    const Convert& convert) {
  const auto rows = static_cast<std::size_t>(shape.rows);
  const std::size_t size = rows * static_cast<std::size_t>(shape.cols);
  if (to.size() < size) to.resize(size);
#pragma omp parallel for schedule(static) if (size > (std::size_t{1} << 16U))
  for (Index j = 0; j < shape.cols; ++j) {
    convert(from + j * ld, rows, to.data() + static_cast<std::size_t>(j) * rows);
  }
  return to.data();
}

}  // namespace

RoundedOperands::RoundedOperands(const ProductShape& shape, const float* from_a, Index from_lda,
                                 const float* from_b, Index from_ldb)
    : lda(stored_a(shape).rows), ldb(stored_b(shape).rows) {
  static thread_local std::array<std::vector<float>, 2> memory;
  a = converted(from_a, from_lda, stored_a(shape), memory[0], kernels::round_to_bf16);
  b = converted(from_b, from_ldb, stored_b(shape), memory[1], kernels::round_to_bf16);
}

#ifdef RELGRAD_HAVE_ONEDNN

bool multiplies_bf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

namespace {

using dnnl::memory;

/// C^T = op(B)^T op(A)^T, row-major: what oneDNN calls source, weights and destination.
struct MatmulDescriptions {
  memory::desc source, weights, destination;
  MatmulDescriptions(const ProductShape& s, Index ldc)
      : source({s.n, s.k}, memory::data_type::bf16,
               s.op_b == Transpose::yes ? memory::dims{1, s.n} : memory::dims{s.k, 1}),
        weights({s.k, s.m}, memory::data_type::bf16,
                s.op_a == Transpose::yes ? memory::dims{1, s.k} : memory::dims{s.m, 1}),
        destination({s.n, s.m}, memory::data_type::f32, memory::dims{ldc, 1}) {}
};

/// The products of one thread: making one takes oneDNN longer than computing it.
class Matmuls {
 public:
  /// Null if oneDNN cannot do it.
  const dnnl::matmul* find(const ProductShape& s, Onto onto, Index ldc) {
    const Key key{s.op_a, s.op_b, s.m, s.n, s.k, onto, ldc};
    const auto found = made_.find(key);
    if (found != made_.end()) return found->second ? &*found->second : nullptr;
    const auto& made = made_.emplace(key, make(s, onto, ldc)).first->second;
    return made ? &*made : nullptr;
  }
  dnnl::engine& engine() { return engine_; }
  dnnl::stream& stream() { return stream_; }

 private:
  using Key = std::tuple<Transpose, Transpose, Index, Index, Index, Onto, Index>;

  std::optional<dnnl::matmul> make(const ProductShape& s, Onto onto, Index ldc) {
    const MatmulDescriptions descriptions(s, ldc);
    dnnl::primitive_attr attributes;
    if (onto == Onto::itself) {
      dnnl::post_ops add;
      add.append_sum(1.0F);
      attributes.set_post_ops(add);
    }
    try {
      return dnnl::matmul(dnnl::matmul::primitive_desc(
          dnnl::matmul::desc(descriptions.source, descriptions.weights, descriptions.destination),
          attributes, engine_));
    } catch (const dnnl::error&) {
      return std::nullopt;
    }
  }

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::map<Key, std::optional<dnnl::matmul>> made_;
};

}  // namespace

bool bf16_gemm(const ProductShape& shape, const float* a, Index lda, const float* b, Index ldb,
               Onto onto, float* c, Index ldc) {
  static const bool has_units = multiplies_bf16();
  if (!has_units) return false;
  static thread_local Matmuls matmuls;
  const dnnl::matmul* matmul = matmuls.find(shape, onto, ldc);
  if (matmul == nullptr) return false;
  static thread_local std::array<std::vector<std::uint16_t>, 2> operands;
  converted(a, lda, stored_a(shape), operands[0], kernels::convert_to_bf16);
  converted(b, ldb, stored_b(shape), operands[1], kernels::convert_to_bf16);
  const MatmulDescriptions descriptions(shape, ldc);
  matmul->execute(
      matmuls.stream(),
      {{DNNL_ARG_SRC, memory(descriptions.source, matmuls.engine(), operands[1].data())},
       {DNNL_ARG_WEIGHTS, memory(descriptions.weights, matmuls.engine(), operands[0].data())},
       {DNNL_ARG_DST, memory(descriptions.destination, matmuls.engine(), c)}});
  matmuls.stream().wait();
  return true;
}

#else

bool multiplies_bf16() { return false; }
bool bf16_gemm(const ProductShape&, const float*, Index, const float*, Index, Onto, float*, Index) {
  return false;
}

#endif

}  // namespace relgrad
