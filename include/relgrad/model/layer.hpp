#pragma once
/// What every layer of a flow can do. A layer is an invertible map of R^D, applied to the columns
/// of a batch. A new layer is one header, one source, one test and one line in model/registry.cpp.
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relgrad/core/exact_sum.hpp"
#include "relgrad/core/types.hpp"
#include "relgrad/model/parameters.hpp"

namespace relgrad {

/// Sums whose terms are rounded to a grid, so that they come out the same however the samples are
/// split.
struct ExactSums {
  std::span<double> sums;
  ExactGrid grid;
};

/// Receives sums over this rank's samples of d log p / d parameter (small, dense parameters).
template <class T>
class SmallGradients {
 public:
  virtual ~SmallGradients() = default;
  /// The place to ADD the sum for parameter `id` to (same layout as its values; zero at first).
  virtual std::span<T> sum(ParameterId id) = 0;
  /// In a deterministic run, where a layer ADDS what it sums over samples for parameter `id`
  /// instead: `size` numbers (zero at first; the same size each time), which need not be the
  /// gradient yet. None in other runs.
  virtual std::optional<ExactSums> exact(ParameterId /*id*/, std::size_t /*size*/) { return {}; }
};

template <class T>
class Layer {
 public:
  virtual ~Layer() = default;
  /// The name in the registry: "linear", "smooth-leaky-relu", "leaky-tanh", "spline".
  virtual std::string_view kind() const = 0;
  virtual Index dimension() const = 0;

  /// Recomputes what the layer derives from its parameters (e.g. spline knots); called after every
  /// change of parameters and before forward, inverse and backward.
  virtual void prepare() {}
  /// output = f(input), both D x B; log_abs_det[n] += log|det df/dinput| of sample n, its
  /// sample-dependent part only (nats, size B).
  virtual void forward(const ConstMatrixMap<T>& input, MatrixMap<T> output,
                       std::span<double> log_abs_det) const = 0;
  /// input = f^{-1}(output), both D x B.
  virtual void inverse(const ConstMatrixMap<T>& output, MatrixMap<T> input) const = 0;
  /// The part of log|det| that is the same for every sample, in nats; may cost D^3. Layers that
  /// have one say so, so that ranks can share the work.
  virtual bool has_sample_independent_part() const { return false; }
  virtual double sample_independent_log_abs_det() const { return 0.0; }
};

/// A layer that maps every dimension by itself: y_i = s_i(x_i), s_i increasing.
template <class T>
class ElementwiseLayer : public Layer<T> {
 public:
  /// Given delta_out = dL/d(output) (D x B), writes
  ///   delta_in = delta_out * s'(input) + d log s'(input) / d input           (MATH section 2)
  /// and adds this batch's sums to the layer's parameters, if it has any.
  /// `delta_in` may be the same memory as `delta_out`.
  virtual void backward(const ConstMatrixMap<T>& input, const ConstMatrixMap<T>& delta_out,
                        MatrixMap<T> delta_in, SmallGradients<T>& gradients) const = 0;
  /// Adds to `gradients.sum` what follows from its exact sums, which are now those of all ranks.
  virtual void finish_exact(SmallGradients<T>& /*gradients*/) const {}
};

}  // namespace relgrad
