#include "step/relative_scales.hpp"

#include <algorithm>

namespace relgrad {

template <class T>
RelativeScaleMeans<T>::RelativeScaleMeans(ParameterStore<T>& store, double epsilon)
    : store_(&store), epsilon_(epsilon), scales_(store.count()) {
  for (ParameterId id = 0; id < store.count(); ++id) {
    if (store.info(id).group != ParameterGroup::bias) continue;
    const std::size_t size = store.info(id).size();
    scales_[id] = {std::vector<T>(size), std::vector<T>(size), std::vector<T>(size)};
  }
}

template <class T>
void RelativeScaleMeans<T>::begin() {
  const auto inverse = [&](T mean_square) {
    return mean_square > 0 ? T{1} / (mean_square + static_cast<T>(epsilon_)) : T{0};
  };
  for (ParameterId id = 0; id < store_->count(); ++id) {
    Scales& scales = scales_[id];
    if (scales.rows.empty()) continue;
    std::ranges::transform(store_->moment(0, id), scales.columns.begin(), inverse);
    std::ranges::transform(store_->moment(1, id), scales.rows.begin(), inverse);
    std::ranges::transform(scales.rows, scales.columns, scales.product.begin(),
                           [](T row, T column) { return row * column; });
  }
}

template <class T>
RelativeScales<T> RelativeScaleMeans<T>::of(ParameterId bias) const {
  const Scales& scales = scales_[bias];
  return {scales.rows.data(), scales.columns.data(), scales.product.data()};
}

template <class T>
void RelativeScaleMeans<T>::take(const SmallSums<T>& sums, std::int64_t step, double samples) {
  // mean += w (square - mean), w = 1 / t at first, so that there is no bias to correct
  const T weight = static_cast<T>(std::max(1.0 - decay, 1.0 / static_cast<double>(step + 1)));
  const T inverse_samples = static_cast<T>(1.0 / samples);
  for (ParameterId id = 0; id < store_->count(); ++id) {
    if (scales_[id].rows.empty()) continue;
    const std::span<const T> squares = sums.squares(id);
    const std::size_t size = squares.size() / 2;
    for (int which = 0; which < 2; ++which) {
      const std::span<T> mean = store_->moment(which, id);
      const std::span<const T> square = squares.subspan(which == 0 ? 0 : size, size);
      for (std::size_t i = 0; i < size; ++i) {
        mean[i] += weight * (square[i] * inverse_samples - mean[i]);
      }
    }
  }
}

template class RelativeScaleMeans<float>;
template class RelativeScaleMeans<double>;

}  // namespace relgrad
