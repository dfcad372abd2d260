#pragma once
/// The affine coupling of Real NVP (Dinh et al. 2017, arXiv 1605.08803) as Self Normalizing Flows
/// have it: the channels of a sample are two halves,
///   y1 = x1,  (h, t) = net(x1),  log s = 2 tanh(h / 2),  y2 = s x2 + t,  log|det| = sum log s
/// Output 2 c of the net is h of channel c, output 2 c + 1 its t.
/// The same map makes a split: where y2 leaves the flow there and has the density of the latent,
/// x2 given x1 has mean -t / s and scale 1 / s, and its log-density is the latent's of y2 plus
/// log|det|. A sample is drawn by inverse() of a draw of y2.
#include <cstdint>
#include <span>

#include "coupling/net.hpp"
#include "relgrad/core/exact_sum.hpp"
#include "relgrad/core/types.hpp"
#include "relgrad/linalg/products.hpp"

namespace relgrad {

template <class T>
class AffineCoupling {
 public:
  /// @param channels  of a sample, both halves
  /// @param hidden    channels inside the net
  /// @param products  must outlive the coupling
  /// @throws UsageError if `channels` is odd or a size is not positive.
  AffineCoupling(Index channels, Index height, Index width, Index hidden, const Products& products,
                 NetMemory memory = NetMemory::output);

  const CouplingNet<T>& net() const { return net_; }
  /// Numbers per sample of each half.
  Index half_size() const { return net_.input_size(); }
  Index kept_size() const { return net_.kept_size(); }
  /// Numbers per sample that backward() works in.
  Index scratch_size() const { return net_.output_size(); }

  /// Writes y2 (may be x2's memory only if nobody needs x2 for backward()) and `kept`, batch *
  /// kept_size() numbers; log_abs_det[n] += log|det| of sample n, nats. y1 = x1 is the caller's.
  void forward(const NetSpans<const T>& parameters, SampleRows<const T> x1, SampleRows<const T> x2,
               Index batch, SampleRows<T> y2, std::span<T> kept,
               std::span<double> log_abs_det) const;
  /// x2 from x1 (= y1) and y2; x2 may be y2's memory. Allocates.
  void inverse(const NetSpans<const T>& parameters, SampleRows<const T> x1, SampleRows<const T> y2,
               Index batch, SampleRows<T> x2) const;
  /// From delta_y2 = dL/dy2 (log|det| not included) to the derivatives of L + sum of log|det|:
  /// writes delta_x2 (may be delta_y2's memory), ADDS to delta_x1 what comes through the net (so
  /// it begins as dL/dy1), and adds the sums over samples to `gradients`.
  /// @param scratch  batch * scratch_size() numbers
  void backward(const NetSpans<const T>& parameters, SampleRows<const T> x1, SampleRows<const T> x2,
                Index batch, std::span<const T> kept, SampleRows<const T> delta_y2,
                SampleRows<T> delta_x2, SampleRows<T> delta_x1, std::span<T> scratch,
                const NetSpans<T>& gradients) const;
  /// The same with sums as CouplingNet::backward_exact() makes them.
  void backward_exact(const NetSpans<const T>& parameters, SampleRows<const T> x1,
                      SampleRows<const T> x2, Index batch, std::span<const T> kept,
                      SampleRows<const T> delta_y2, SampleRows<T> delta_x2, SampleRows<T> delta_x1,
                      std::span<T> scratch, const ExactGrid& grid,
                      const NetSpans<double>& sums) const;

 private:
  void map_backward(SampleRows<const T> x2, Index batch, std::span<const T> kept,
                    SampleRows<const T> delta_y2, SampleRows<T> delta_x2,
                    std::span<T> scratch) const;

  CouplingNet<T> net_;
};

}  // namespace relgrad
