#pragma once
/// The backward pass, and the estimators of a linear layer's gradient (MATH section 2).
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "relgrad/core/partition.hpp"
#include "relgrad/gradient/sink.hpp"
#include "relgrad/model/linear.hpp"
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
  std::int64_t inverse_every = 1;    // plain: steps between two inverses of W
  double reconstruction_weight = 1;  // self-normalizing: lambda, or where it starts
  bool symmetric = false;            // self-normalizing: reconstructs Z as well as X
  std::int64_t newton_rows = 0;  // self-normalizing: R's rows that follow W by Newton's iteration
                                 // in each step, in turn; 0: R is learned by its gradient

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

/// How one linear layer turns Delta = dL/dY into gradients and into the derivative of its input.
template <class T>
class LinearGradient {
 public:
  virtual ~LinearGradient() = default;
  /// Before the backward pass of each step. Where W is shared, collective.
  /// @param step  updates done before this one
  virtual void begin(Flow<T>& /*flow*/, std::int64_t /*step*/, const ColumnShare<T>& /*share*/) {}
  /// In a row group D is, but for W's rows, the number of this rank's coordinates.
  /// @param input    x of y = W x + b, D x B
  /// @param pair     [Delta | Y], D x 2B; Delta may be overwritten
  /// @param scratch  D x 2B; on return its left half is W^T Delta unless `needs_delta_in` is false
  virtual void backward(const LinearLayer<T>& layer, const ConstMatrixMap<T>& input,
                        MatrixMap<T> pair, MatrixMap<T> scratch, bool needs_delta_in,
                        GradientSink<T>& sink) = 0;
};

/// plain             G_W = Delta X^T + B W^{-T}    G_b = Delta 1                      D^3 + B D^2
///                   of a W that is whole on this rank; with inverse_every = k > 1 by W^{-1} as it
///                   was at the last step that k divides, kept in the layer's R
/// relative          G_W = Delta (W^T Y)^T + B W   G_b = Delta (1 + Y^T b) + B b      B D^2
///                   (Gresele et al. 2020, with the bias's own log-det term, which both published
///                   programs leave out)
/// self-normalizing  of W and of R, the learned inverse                               B D^2
///                   G_b = Delta 1; the others in src/gradient/self_normalizing.cpp and, where R
///                   follows W by Newton's iteration, newton_inverse.cpp
/// @param options  those that need a kept inverse are for flows that keep one
template <class T>
std::unique_ptr<LinearGradient<T>> make_linear_gradient(const GradientOptions& options);

/// After forward(): back-propagates the SUMMED log-likelihood of workspace's batch and hands every
/// parameter's gradient to `sink`, last layer first. The values in the workspace are used up.
template <class T>
void backward(const Flow<T>& flow, Workspace<T>& workspace, LinearGradient<T>& linear_gradient,
              GradientSink<T>& sink);

}  // namespace relgrad
