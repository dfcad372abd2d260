#include "step/small_sums.hpp"

#include <algorithm>

#include "relgrad/core/error.hpp"

namespace relgrad {

template <class T>
SmallSums<T>::SmallSums(const Flow<T>& flow, std::int64_t exact_terms, bool squares)
    : flow_(&flow),
      is_exact_(exact_terms > 0),
      grid_(limit_bits, 2 * std::max<std::int64_t>(1, exact_terms)) {
  const auto& store = flow.parameters();
  for (ParameterId id = 0; id < store.count(); ++id) {
    offset_.push_back(plain_.size());
    if (is_square(store.info(id).group)) continue;
    const bool has_squares = squares && store.info(id).group == ParameterGroup::bias;
    plain_.resize(plain_.size() + (has_squares ? 3 : 1) * store.info(id).size());
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
  check_size("SmallSums::exact", "size", static_cast<Index>(size),
             static_cast<Index>(place->second.size));
  return ExactSums{std::span(exact_).subspan(place->second.offset, size), grid_};
}

template <class T>
std::span<const T> SmallSums<T>::squares(ParameterId bias) const {
  const std::size_t dimension = flow_->parameters().info(bias).size();
  return std::span(plain_).subspan(offset_[bias] + dimension, 2 * dimension);
}

template <class T>
void SmallSums<T>::add_squares(ParameterId bias, const ConstMatrixMap<T>& delta,
                               const ConstMatrixMap<T>& outputs, Index begin) {
  const auto dimension = static_cast<Index>(flow_->parameters().info(bias).size());
  const auto exact =
      this->exact(flow_->parameters().count() + bias, static_cast<std::size_t>(2 * dimension));
  const auto add = [&](const ConstMatrixMap<T>& x, Index first) {
    if (!exact) {
      VectorMap<T>(plain_.data() + offset_[bias] + dimension + first, x.rows()) +=
          x.array().square().rowwise().sum().matrix();
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
void SmallSums<T>::exchange(Exchange<T>& exchange) {
  if (!is_exact_) {
    exchange.sum(plain_);
    return;
  }
  exchange.sum_exact(exact_);
  for (const auto& [id, place] : places_) {
    const auto exact = std::span(exact_).subspan(place.offset, place.size);
    const auto to_plain = [&](std::size_t offset) {
      std::ranges::transform(exact, plain_.begin() + static_cast<std::ptrdiff_t>(offset),
                             [](double value) { return T(value); });
    };
    const std::size_t count = flow_->parameters().count();
    if (id >= count) {
      to_plain(offset_[id - count] + flow_->parameters().info(id - count).size());
    } else if (flow_->parameters().info(id).group != ParameterGroup::spline) {
      // a spline layer knows itself what to make of its sums
      to_plain(offset_[id]);
    }
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
