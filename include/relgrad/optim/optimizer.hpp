#pragma once
/// Gradient ascent on the mean log-likelihood, element by element, tile by tile.
#include <memory>
#include <span>
#include <string_view>

#include "relgrad/model/parameters.hpp"

namespace relgrad {

enum class OptimizerKind { sgd, momentum, adam, natural };
OptimizerKind parse_optimizer_kind(std::string_view name);  // @throws UsageError
std::string_view name_of(OptimizerKind kind);

/// natural: sgd along a relative gradient that is scaled by the diagonals of its Fisher information
/// (src/step/relative_scales.hpp), adam for splines.
struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::adam;
  double momentum = 0.9;  // momentum: velocity = momentum * velocity + g
  double beta1 = 0.9;     // adam (Kingma and Ba 2015, arXiv 1412.6980)
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay =
      0.0;  // decoupled (Loshchilov and Hutter 2019): w -= lr * weight_decay * w; matrices only
};

/// One piece of one parameter and its gradient.
template <class T>
struct UpdateTile {
  std::span<T> values;
  std::span<const T> gradient_sum;  // over all samples of all ranks
  // gradient of one sample += value_factor * values + matrix_factor * matrix
  T value_factor = 0;
  const T* matrix = nullptr;
  T matrix_factor = 1;
  std::span<T> first_moment;  // empty unless the optimizer keeps it
  std::span<T> second_moment;
  bool decay = false;
  const T* row_factor = nullptr;  // of value_factor, one for each of `rows` rows; null: 1
  std::size_t rows = 0;
};

/// It has no state: moments live in the parameter store, and the caller passes the step number.
template <class T>
class Optimizer {
 public:
  explicit Optimizer(const OptimizerOptions& options) : options_(options) {}
  /// Buffers of moments each parameter needs: 0 (sgd), 1 (momentum), 2 (adam, natural).
  int moment_count() const;
  /// Whether weight matrices need them as well.
  bool weights_have_moments() const { return options_.kind != OptimizerKind::natural; }
  const OptimizerOptions& options() const { return options_; }
  /// values += lr * direction(g),
  /// g = gradient_sum / samples + value_factor * values + matrix_factor * matrix.
  /// @param step  updates done before this one (adam's bias correction uses step + 1)
  void apply(const UpdateTile<T>& tile, std::int64_t step, double samples, double lr) const;

 private:
  OptimizerOptions options_;
};

}  // namespace relgrad
