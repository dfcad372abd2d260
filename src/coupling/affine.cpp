#include "coupling/affine.hpp"

#include <fmt/format.h>

#include <vector>

#include "core/columns.hpp"
#include "coupling/kernels/affine_kernels.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

NetShape net_of(Index channels, Index height, Index width, Index hidden) {
  if (channels < 2 || channels % 2 != 0) {
    throw UsageError(fmt::format(
        "coupling: {} channels cannot be halved; put a squeeze in front, which makes 4 of each",
        channels));
  }
  return {channels / 2, channels, height, width, hidden};
}

}  // namespace

template <class T>
AffineCoupling<T>::AffineCoupling(Index channels, Index height, Index width, Index hidden,
                                  const Products& products, NetMemory memory)
    : net_(net_of(channels, height, width, hidden), products, memory) {}

template <class T>
void AffineCoupling<T>::forward(const NetSpans<const T>& parameters, SampleRows<const T> x1,
                                SampleRows<const T> x2, Index batch, SampleRows<T> y2,
                                std::span<T> kept, std::span<double> log_abs_det) const {
  check_size("AffineCoupling::forward", "log_abs_det",
             static_cast<std::int64_t>(log_abs_det.size()), batch);
  net_.forward(parameters, x1, batch, kept);
  const NetShape& shape = net_.shape();
  for_each_index(batch, batch > 1, [&](Index n) {
    log_abs_det[static_cast<std::size_t>(n)] +=
        kernels::affine_forward(kept.data() + n * net_.output_size(), x2.data + n * x2.stride,
                                y2.data + n * y2.stride, shape.channels_in, shape.plane());
  });
}

template <class T>
void AffineCoupling<T>::inverse(const NetSpans<const T>& parameters, SampleRows<const T> x1,
                                SampleRows<const T> y2, Index batch, SampleRows<T> x2) const {
  std::vector<T> kept(static_cast<std::size_t>(batch * kept_size()));
  net_.forward(parameters, x1, batch, kept);
  const NetShape& shape = net_.shape();
  for_each_index(batch, batch > 1, [&](Index n) {
    kernels::affine_inverse(kept.data() + n * net_.output_size(), y2.data + n * y2.stride,
                            x2.data + n * x2.stride, shape.channels_in, shape.plane());
  });
}

template <class T>
void AffineCoupling<T>::map_backward(SampleRows<const T> x2, Index batch, std::span<const T> kept,
                                     SampleRows<const T> delta_y2, SampleRows<T> delta_x2,
                                     std::span<T> scratch) const {
  check_size("AffineCoupling::backward", "scratch", static_cast<std::int64_t>(scratch.size()),
             batch * scratch_size());
  const NetShape& shape = net_.shape();
  for_each_index(batch, batch > 1, [&](Index n) {
    kernels::affine_backward(
        kept.data() + n * net_.output_size(), x2.data + n * x2.stride,
        delta_y2.data + n * delta_y2.stride, delta_x2.data + n * delta_x2.stride,
        scratch.data() + n * net_.output_size(), shape.channels_in, shape.plane());
  });
}

template <class T>
void AffineCoupling<T>::backward(const NetSpans<const T>& parameters, SampleRows<const T> x1,
                                 SampleRows<const T> x2, Index batch, std::span<const T> kept,
                                 SampleRows<const T> delta_y2, SampleRows<T> delta_x2,
                                 SampleRows<T> delta_x1, std::span<T> scratch,
                                 const NetSpans<T>& gradients) const {
  map_backward(x2, batch, kept, delta_y2, delta_x2, scratch);
  net_.backward(parameters, x1, batch, kept, {scratch.data(), net_.output_size()}, delta_x1,
                gradients);
}

template <class T>
void AffineCoupling<T>::backward_exact(const NetSpans<const T>& parameters, SampleRows<const T> x1,
                                       SampleRows<const T> x2, Index batch, std::span<const T> kept,
                                       SampleRows<const T> delta_y2, SampleRows<T> delta_x2,
                                       SampleRows<T> delta_x1, std::span<T> scratch,
                                       const ExactGrid& grid, const NetSpans<double>& sums) const {
  map_backward(x2, batch, kept, delta_y2, delta_x2, scratch);
  net_.backward_exact(parameters, x1, batch, kept, {scratch.data(), net_.output_size()}, delta_x1,
                      grid, sums);
}

template class AffineCoupling<float>;
template class AffineCoupling<double>;

}  // namespace relgrad
