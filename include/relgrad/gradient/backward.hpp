#pragma once
/// The backward pass, and the estimators of a layer's gradient (MATH section 2).
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "relgrad/core/partition.hpp"
#include "relgrad/model/gradient_sink.hpp"
#include "relgrad/model/workspace.hpp"

namespace relgrad {

enum class GradientKind { plain, relative, self_normalizing };
GradientKind parse_gradient_kind(std::string_view name);  // @throws UsageError
std::string_view name_of(GradientKind kind);

/// An estimator and its numbers.
struct GradientOptions {
  // Not explicit: a kind alone says all of plain and relative.
  GradientOptions(GradientKind estimator = GradientKind::relative) : kind(estimator) {}

  GradientKind kind;
  std::int64_t inverse_every = 1;       // plain: steps between two inverses of W
  double reconstruction_weight = 1;     // self-normalizing: lambda, or where it starts
  double reconstruction_tolerance = 0;  // self-normalizing: lambda follows it (geco.hpp); 0: fixed
  bool symmetric = false;               // self-normalizing: reconstructs Z as well as X
  std::int64_t newton_rows = 0;         // self-normalizing: R's rows that follow W by Newton's
                                        // iteration in each step, in turn; 0: R learns by gradient
  bool natural = false;                 // relative: scaled by its Fisher information
  double natural_epsilon = 1e-8;        // added to the mean squares that it is divided by
  bool tracks_log_abs_det = false;      // relative, steps of sgd: the change of log|det W| is known
  double weight_decay = 0;              // of those steps

  /// Whether the linear layers must keep an inverse (model/linear.hpp).
  bool needs_kept_inverse() const {
    return kind == GradientKind::self_normalizing ||
           (kind == GradientKind::plain && inverse_every > 1);
  }
};

/// Columns of a matrix that ranks share the work on, and how they come to those that hold the same.
template <class T>
struct ColumnShare {
  /// Of the `cols` columns that are here, this rank's.
  std::function<Range(Index cols)> own = [](Index cols) { return Range{0, cols}; };
  std::function<void(MatrixMap<T>)> publish = [](MatrixMap<T>) {};
};

/// How one layer turns dL/d(output) into gradients and into the derivative of its input. One per
/// layer, chosen once; what it keeps from step to step is its own.
template <class T>
class LayerGradient {
 public:
  virtual ~LayerGradient() = default;
  /// Before the backward pass of each step. Where W is shared, collective.
  virtual void begin(const StepNumbers& /*numbers*/, const ColumnShare<T>& /*share*/) {}
  virtual void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) = 0;
  /// With the sums of all ranks, before small parameters move: makes gradients of what went into
  /// exact sums, and takes what another rank did for all (share_work).
  virtual void take_exact_sums(StepSums<T>& /*sums*/) {}
  /// Flops per step that do not depend on samples, so that one rank can do them for all.
  virtual double work_for_all() const { return 0; }
  /// From now on this rank does that work (`is_mine`), or one other does.
  virtual void share_work(bool /*is_mine*/) {}
  /// With the sums of all ranks, once the parameters have moved.
  virtual void finish(const StepSums<T>& /*sums*/) {}
  /// After finish(): by how much the step changes the layer's sample-independent log|det|, nats.
  /// None: not known.
  virtual std::optional<double> log_abs_det_change() const { return {}; }
  /// The sample-independent log|det|, nats, of the parameters that the last backward pass found.
  /// None: not known.
  virtual std::optional<double> log_abs_det() const { return {}; }
};

/// The estimator that `options` ask for:
/// linear layers
///   plain             G_W = Delta X^T + B W^{-T}    G_b = Delta 1                      D^3 + B D^2
///                     of a W that is whole on this rank; with inverse_every = k > 1 by W^{-1} as
///                     it was at the last step that k divides, kept in the layer's R
///   relative          G_W = Delta (W^T Y)^T + B W   G_b = Delta (1 + Y^T b) + B b      B D^2
///                     (Gresele et al. 2020, with the bias's own log-det term, which both
///                     published programs leave out)
///   self-normalizing  of W and of R, the learned inverse                               B D^2
///                     G_b = Delta 1; the others in src/gradient/self_normalizing.cpp and, where R
///                     follows W by Newton's iteration, newton_inverse.cpp
/// convolutions
///   self-normalizing  of w and of R, the kernel of a learned inverse (Keller et al. 2021); biased,
///                     src/gradient/convolution_gradient.cpp
///   others            the exact gradient (convolution/exact_convolution.hpp)
/// other layers        their own gradient
template <class T>
std::unique_ptr<LayerGradient<T>> make_layer_gradient(Layer<T>& layer,
                                                      const GradientOptions& options);

/// The gradients of all layers of a flow.
template <class T>
class FlowGradient {
 public:
  /// @param flow     must outlive this
  /// @param options  those that need a kept inverse are for flows that keep one
  FlowGradient(Flow<T>& flow, const GradientOptions& options);

  /// Deals the layers' work_for_all() out to ranks, the largest first, each to the one that has
  /// least. All ranks then call take_exact_sums() once per step.
  void share_work(int rank, int world_size);
  void begin(const StepNumbers& numbers, const ColumnShare<T>& share = {});
  /// After forward(): back-propagates the SUMMED log-likelihood of the workspace's batch and hands
  /// every parameter's gradient to `sink`, last layer first. Values in the workspace are used up.
  void backward(Workspace<T>& workspace, GradientSink<T>& sink);
  void take_exact_sums(StepSums<T>& sums);
  void finish(const StepSums<T>& sums);
  /// Change of sum_k log|det W_k| by the last step, nats. None: a layer does not know its own.
  std::optional<double> log_abs_det_change() const;
  /// Sum of sample-independent log|det| at the last backward pass, nats. None: a layer does not
  /// know its own.
  std::optional<double> log_abs_det() const;

 private:
  std::vector<std::unique_ptr<LayerGradient<T>>> layers_;
};

}  // namespace relgrad
