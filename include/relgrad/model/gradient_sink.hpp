#pragma once
/// Where a backward pass puts gradients, and what a layer finds there once the ranks' sums are
/// added.
#include <algorithm>
#include <optional>
#include <span>

#include "relgrad/core/exact_sum.hpp"
#include "relgrad/core/types.hpp"
#include "relgrad/model/parameters.hpp"

namespace relgrad {

/// Sums whose terms are rounded to a grid, so that they come out the same however the samples are
/// split (core/exact_sum.hpp).
struct ExactSums {
  std::span<double> sums;
  ExactGrid grid;
};

/// Sums over samples of what belongs to parameters.
template <class T>
class ParameterSums {
 public:
  virtual ~ParameterSums() = default;
  /// Sum of d log p / d parameter `id`, in the layout of its values; a layer ADDS to it.
  virtual std::span<T> sum(ParameterId id) = 0;
  /// In a deterministic run, where a layer ADDS what it sums for parameter `id` instead: `size`
  /// numbers (zero at first; the same size each time), which need not be the gradient yet. None in
  /// other runs.
  virtual std::optional<ExactSums> exact(ParameterId /*id*/, std::size_t /*size*/) { return {}; }
};

/// The part of a gradient that every sample contributes alike, so that N samples give N times
///   value_factor * (the parameter itself) + matrix_factor * matrix
/// (matrix may be null; else of the parameter's layout).
/// With a row_factor, row i of the parameter counts row_factor[i] times.
template <class T>
struct PerSampleTerm {
  T value_factor = 0;
  const T* matrix = nullptr;
  T matrix_factor = 1;
  const T* row_factor = nullptr;
};

/// left right^T, summed over this rank's samples: the gradient of a matrix parameter. `left` is
/// rows x b; `right` has as many rows as the parameter has columns here.
template <class T>
struct Factors {
  ConstMatrixMap<T> left;
  ConstMatrixMap<T> right;
  /// Y: the step keeps Y^T left over the samples of all ranks (StepSums::inner_product).
  std::optional<ConstMatrixMap<T>> outputs;
  /// Columns of left and right for each sample, one sample after the other.
  Index columns_per_sample = 1;
};

/// left right^T where `right` is itself a product with the matrix W that it is the gradient of: the
/// last columns of W^T factors, as many as `left` has. Relative gradient: left = Delta,
/// factors = [Delta | Y].
template <class T>
struct WeightPass {
  ParameterId id;
  ConstMatrixMap<T> left;     // rows x b, this rank's samples
  ConstMatrixMap<T> factors;  // rows x n, n >= b
  MatrixMap<T> products;      // columns of W here x n: W^T factors is written to it
  PerSampleTerm<T> every_sample;
  std::optional<ConstMatrixMap<T>> outputs;  // as in Factors
};

/// The gradient of one parameter.
template <class T>
struct ParameterGradient {
  ParameterId id;
  std::optional<Factors<T>> factors;  // none: this rank's sum stands in sum(id) or exact(id, ...)
  PerSampleTerm<T> every_sample;
};

/// Where the backward pass puts what it finds. Ranks send sums over samples, never means; what
/// belongs to every sample alike (log|det|) is added once, after the ranks' sums are added.
template <class T>
class GradientSink : public ParameterSums<T> {
 public:
  /// Each parameter that moves is given once per step. The parameters given together may move
  /// during the call; their gradients are those at the values before it, as each may be another's
  /// `every_sample.matrix`. Memory of factors may be reused when the call returns.
  virtual void give(std::span<const ParameterGradient<T>> together) = 0;
  void give(const ParameterGradient<T>& one) { give(std::span(&one, 1)); }
  /// Room for `size` more sums over the samples of all ranks, kept by the name of a parameter.
  virtual std::span<T> statistics(ParameterId id, std::size_t size) = 0;
  virtual std::optional<ExactSums> exact_statistics(ParameterId /*id*/, std::size_t /*size*/) {
    return {};
  }
  /// Multiplies with W and moves it in one pass, a few columns at a time, each while it is in
  /// cache. False: nothing was done, as ranks must sum first or separate products are faster; the
  /// caller computes the products and gives the factors.
  virtual bool multiply_and_move(const WeightPass<T>& /*pass*/) { return false; }
};

/// Numbers of one step.
struct StepNumbers {
  std::int64_t step = 0;  // updates done before this one
  double samples = 0;     // of all ranks
  double lr = 0;          // weights and biases
  double spline_lr = 0;   // element-wise layers
};

/// The sums of one step over all ranks, before small parameters move.
template <class T>
class StepSums : public ParameterSums<T> {
 public:
  virtual const StepNumbers& numbers() const = 0;
  /// What sums are divided by: the number of samples, or more where the gradient is clipped.
  virtual double divisor() const = 0;
  /// What sum(id) is.
  virtual std::span<const T> total(ParameterId id) const = 0;
  virtual std::span<const T> statistics(ParameterId id) const = 0;
  /// Y^T left of Factors::outputs, N x N for the N samples of all ranks.
  virtual const Matrix<double>& inner_product(ParameterId id) const = 0;
};

/// sum(id) = the exact sums of `id`, where there are any: for sums that are the gradient itself.
template <class T>
void take_exact(StepSums<T>& sums, ParameterId id, std::size_t size) {
  const auto exact = sums.exact(id, size);
  if (!exact) return;
  std::ranges::transform(exact->sums, sums.sum(id).begin(), [](double v) { return T(v); });
}

}  // namespace relgrad
