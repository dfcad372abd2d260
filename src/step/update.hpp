#pragma once
/// The end of the backward pass: gradients are summed over ranks and the optimizer moves the
/// parameters.
#include <memory>

#include "relgrad/exchange/exchange.hpp"
#include "relgrad/gradient/backward.hpp"
#include "relgrad/model/flow.hpp"
#include "relgrad/optim/optimizer.hpp"

namespace relgrad {

/// A sink that ends in an update. Every rank calls begin, the backward pass and finish.
template <class T>
class Update : public GradientSink<T> {
 public:
  using GradientSink<T>::give;
  virtual void begin(const StepNumbers& numbers) = 0;
  /// Collective. After it every parameter has moved. `gradient` gets the sums of all ranks.
  virtual void finish(FlowGradient<T>& gradient) = 0;
  /// Since construction.
  double optimizer_seconds() const { return optimizer_seconds_; }

 protected:
  double optimizer_seconds_ = 0;
};

/// Why the change of log|det| cannot be had from the factors of a step (MATH section 2), in a few
/// words; empty: it can.
template <class T>
std::string why_log_abs_det_is_not_tracked(OptimizerKind optimizer, GradientKind gradient,
                                           const Exchange<T>& exchange);

/// Without clipping: each tile of a weight's gradient is summed and applied at once, so that no
/// dense gradient exists. With clip_norm > 0: the whole gradient is held (one more copy of the
/// parameters) and scaled by min(1, clip_norm / ||mean gradient||) over all parameters; the
/// exchange must then give every rank all columns. Where the exchange has alone(), gradients are
/// held until the end of the step and travel in one message: the samples of a batch must then be
/// split over the ranks as part_of does.
/// @param exact_terms  the largest global batch, if sums must come out the same however they are
///                     split over ranks; 0: plain sums
template <class T>
std::unique_ptr<Update<T>> make_update(Flow<T>& flow, Exchange<T>& exchange,
                                       const Products& products, const OptimizerOptions& options,
                                       double clip_norm, std::int64_t exact_terms = 0);

}  // namespace relgrad
