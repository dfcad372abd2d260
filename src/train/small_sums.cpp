#include "train/small_sums.hpp"

#include <algorithm>

#include "relgrad/core/error.hpp"

namespace relgrad {

template <class T>
SmallSums<T>::SmallSums(const Flow<T>& flow, std::int64_t exact_terms)
    : flow_(&flow),
      is_exact_(exact_terms > 0),
      grid_(limit_bits, 2 * std::max<std::int64_t>(1, exact_terms)) {
  const auto& store = flow.parameters();
  for (ParameterId id = 0; id < store.count(); ++id) {
    offset_.push_back(plain_.size());
    if (!is_square(store.info(id).group)) {
      plain_.resize(plain_.size() + store.info(id).size());
    }
  }
}

template <class T>
void SmallSums<T>::clear() {
  std::ranges::fill(plain_, T{0});
  std::ranges::fill(exact_, 0.0);
}

template <class T>
std::span<T> SmallSums<T>::sum(ParameterId id) {
  return std::span(plain_).subspan(offset_[id], flow_->parameters().info(id).size());
}

template <class T>
std::optional<ExactSums> SmallSums<T>::exact(ParameterId id, std::size_t size) {
  if (!is_exact_) return {};
  const auto [place, is_new] = places_.try_emplace(id, Place{exact_.size(), size});
  if (is_new) exact_.resize(exact_.size() + size);  // in the first step only
  check_size("SmallSums::exact", flow_->parameters().info(id).name, static_cast<Index>(size),
             static_cast<Index>(place->second.size));
  return ExactSums{std::span(exact_).subspan(place->second.offset, size), grid_};
}

template <class T>
void SmallSums<T>::exchange(Exchange<T>& exchange) {
  if (!is_exact_) {
    exchange.sum(plain_);
    return;
  }
  exchange.sum_exact(exact_);
  for (const auto& [id, place] : places_) {
    const ParameterGroup group = flow_->parameters().info(id).group;
    if (group == ParameterGroup::spline) continue;  // its layer knows what to make of them
    const auto exact = std::span(exact_).subspan(place.offset, place.size);
    std::ranges::transform(exact, sum(id).begin(), [](double value) { return T(value); });
  }
  for (std::size_t i = 0; i < flow_->layer_count(); ++i) {
    if (const auto* layer = dynamic_cast<const ElementwiseLayer<T>*>(&flow_->layer(i))) {
      layer->finish_exact(*this);
    }
  }
}

template class SmallSums<float>;
template class SmallSums<double>;

}  // namespace relgrad
