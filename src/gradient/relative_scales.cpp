#include "gradient/relative_scales.hpp"

#include <algorithm>

namespace relgrad {

template <class T>
RelativeScaleMeans<T>::RelativeScaleMeans(LinearLayer<T>& layer, double epsilon)
    : layer_(&layer),
      epsilon_(epsilon),
      rows_(static_cast<std::size_t>(layer.dimension())),
      columns_(rows_.size()),
      product_(rows_.size()) {}

template <class T>
void RelativeScaleMeans<T>::begin() {
  const auto inverse = [&](T mean_square) {
    return mean_square > 0 ? T{1} / (mean_square + static_cast<T>(epsilon_)) : T{0};
  };
  const ParameterStore<T>& store = layer_->parameters();
  std::ranges::transform(store.moment(0, layer_->bias_id()), columns_.begin(), inverse);
  std::ranges::transform(store.moment(1, layer_->bias_id()), rows_.begin(), inverse);
  std::ranges::transform(rows_, columns_, product_.begin(),
                         [](T row, T column) { return row * column; });
}

template <class T>
void RelativeScaleMeans<T>::add_squares(const ConstMatrixMap<T>& delta,
                                        const ConstMatrixMap<T>& outputs,
                                        GradientSink<T>& sink) const {
  const Index dimension = layer_->dimension();
  const Index begin = layer_->own().begin;
  const auto size = static_cast<std::size_t>(2 * dimension);
  const auto exact = sink.exact_statistics(layer_->bias_id(), size);
  const std::span<T> sums = sink.statistics(layer_->bias_id(), size);
  const auto add = [&](const ConstMatrixMap<T>& x, Index first) {
    if (!exact) {
      VectorMap<T>(sums.data() + first, x.rows()) += x.array().square().rowwise().sum().matrix();
      return;
    }
    for (Index n = 0; n < x.cols(); ++n) {
      for (Index d = 0; d < x.rows(); ++d) {
        const auto value = static_cast<double>(x(d, n));
        exact->sums[static_cast<std::size_t>(first + d)] += exact->grid.round(value * value);
      }
    }
  };
  add(outputs, begin);
  add(delta, dimension + begin);
}

template <class T>
void RelativeScaleMeans<T>::finish(const StepSums<T>& sums) {
  // mean += w (square - mean), w = 1 / t at first, so that there is no bias to correct
  const StepNumbers& numbers = sums.numbers();
  const T weight =
      static_cast<T>(std::max(1.0 - decay, 1.0 / static_cast<double>(numbers.step + 1)));
  const T inverse_samples = static_cast<T>(1.0 / numbers.samples);
  const std::span<const T> squares = sums.statistics(layer_->bias_id());
  const std::size_t size = squares.size() / 2;
  for (int which = 0; which < 2; ++which) {
    const std::span<T> mean = layer_->parameters().moment(which, layer_->bias_id());
    const std::span<const T> square = squares.subspan(which == 0 ? 0 : size, size);
    for (std::size_t i = 0; i < size; ++i) {
      mean[i] += weight * (square[i] * inverse_samples - mean[i]);
    }
  }
}

template class RelativeScaleMeans<float>;
template class RelativeScaleMeans<double>;

}  // namespace relgrad
