#include "step/small_sums.hpp"

#include <algorithm>

#include "relgrad/core/error.hpp"

namespace relgrad {

template <class T>
SmallSums<T>::SmallSums(const ParameterStore<T>& store, std::int64_t exact_terms)
    : store_(&store),
      is_exact_(exact_terms > 0),
      grid_(limit_bits, 2 * std::max<std::int64_t>(1, exact_terms)) {
  for (ParameterId id = 0; id < store.count(); ++id) {
    offset_.push_back(plain_.size());
    if (!store.info(id).use.by_columns) plain_.resize(plain_.size() + store.info(id).size());
  }
}

template <class T>
void SmallSums<T>::begin(const StepNumbers& numbers) {
  numbers_ = numbers;
  divisor_ = numbers.samples;
  std::ranges::fill(plain_, T{0});
  for (auto& [id, sums] : exact_) std::ranges::fill(sums, 0.0);
  for (auto& [id, sums] : statistics_) std::ranges::fill(sums, T{0});
}

template <class T>
std::span<T> SmallSums<T>::sum(ParameterId id) {
  return std::span(plain_).subspan(offset_[id], store_->info(id).size());
}

template <class T>
std::optional<ExactSums> SmallSums<T>::exact(ParameterId id, std::size_t size) {
  if (!is_exact_) return {};
  const auto [place, is_new] = exact_.try_emplace(id);
  std::vector<double>& sums = place->second;
  if (is_new) sums.resize(size);  // in the first step only
  check_size("SmallSums::exact", "size", static_cast<Index>(size), static_cast<Index>(sums.size()));
  return ExactSums{sums, grid_};
}

template <class T>
std::span<T> SmallSums<T>::statistics(ParameterId id, std::size_t size) {
  std::vector<T>& sums = statistics_[id];
  sums.resize(size);  // in the first step only
  return sums;
}

template <class T>
std::optional<ExactSums> SmallSums<T>::exact_statistics(ParameterId id, std::size_t size) {
  return exact(store_->count() + id, size);
}

template <class T>
void SmallSums<T>::take_inner_product(ParameterId id, const Factors<T>& factors,
                                      Exchange<T>& exchange) {
  exchange.inner_product(factors.left, *factors.outputs, {0, factors.left.rows()},
                         inner_products_[id]);
}

template <class T>
std::span<T> SmallSums<T>::message() {
  if (statistics_.empty()) return plain_;
  plain_message_ = plain_;
  for (const auto& [id, sums] : statistics_) {
    plain_message_.insert(plain_message_.end(), sums.begin(), sums.end());
  }
  return plain_message_;
}

template <class T>
void SmallSums<T>::take_message() {
  if (statistics_.empty()) return;
  auto next = plain_message_.begin();
  const auto take = [&next](std::vector<T>& sums) {
    std::copy_n(next, sums.size(), sums.begin());
    next += static_cast<std::ptrdiff_t>(sums.size());
  };
  take(plain_);
  for (auto& [id, sums] : statistics_) take(sums);
}

template <class T>
void SmallSums<T>::exchange(Exchange<T>& exchange) {
  if (!is_exact_) {
    exchange.sum(message());
    return take_message();
  }
  message_.clear();
  for (const auto& [id, sums] : exact_) message_.insert(message_.end(), sums.begin(), sums.end());
  exchange.sum_exact(message_);
  auto next = message_.begin();
  for (auto& [id, sums] : exact_) {
    std::copy_n(next, sums.size(), sums.begin());
    next += static_cast<std::ptrdiff_t>(sums.size());
  }
  for (auto& [id, sums] : statistics_) {
    const auto exact = exact_statistics(id, sums.size());
    std::ranges::transform(exact->sums, sums.begin(), [](double value) { return T(value); });
  }
}

template class SmallSums<float>;
template class SmallSums<double>;

}  // namespace relgrad
