#include "step/held_gradients.hpp"

#include <algorithm>

#include "relgrad/core/error.hpp"
#include "relgrad/core/partition.hpp"

namespace relgrad {

template <class T>
void HeldGradients<T>::clear() {
  held_.clear();
  message_.clear();
  groups_ = 0;
  per_sample_ = 0;
}

template <class T>
void HeldGradients<T>::hold(std::span<const ParameterGradient<T>> together) {
  for (const ParameterGradient<T>& gradient : together) {
    Held held{gradient.id, gradient.every_sample, groups_, per_sample_, {}, {}};
    const auto keep = [&](std::size_t which, const ConstMatrixMap<T>& matrix, Index columns) {
      held.rows[which] = matrix.rows();
      held.columns[which] = columns;
      message_.insert(message_.end(), matrix.data(), matrix.data() + matrix.size());
      per_sample_ += held.numbers(which);
    };
    if (gradient.factors) {
      keep(0, gradient.factors->left, gradient.factors->columns_per_sample);
      keep(1, gradient.factors->right, gradient.factors->columns_per_sample);
      if (gradient.factors->outputs) keep(2, *gradient.factors->outputs, 1);
    }
    held_.push_back(held);
  }
  ++groups_;
}

template <class T>
void HeldGradients<T>::gather(Exchange<T>& exchange, Index samples, std::span<T> sums) {
  const int world_size = exchange.world_size();
  const auto of = [&](int r) { return part_of(samples, r, world_size).size(); };
  check_size("HeldGradients", "numbers", per_sample_ * of(exchange.rank()),
             static_cast<Index>(message_.size()));
  std::vector<std::int64_t> counts;
  Index total = 0;
  for (int r = 0; r < world_size; ++r) {
    counts.push_back(per_sample_ * of(r) + static_cast<Index>(sums.size()));
    total += counts.back();
  }
  message_.insert(message_.end(), sums.begin(), sums.end());
  all_.resize(static_cast<std::size_t>(total));
  exchange.gather(message_, all_, counts);

  samples_ = samples;
  factors_.resize(static_cast<std::size_t>(per_sample_ * samples));
  std::ranges::fill(sums, T{0});
  const T* from = all_.data();
  for (int r = 0; r < world_size; ++r) {
    for (const Held& held : held_) {
      T* to = factors_.data() + held.begin * samples;
      for (std::size_t which = 0; which < held.rows.size(); ++which) {
        const Index numbers = held.numbers(which);
        std::copy_n(from, numbers * of(r), to + numbers * part_of(samples, r, world_size).begin);
        from += numbers * of(r);
        to += numbers * samples;
      }
    }
    for (T& sum : sums) sum += *from++;
  }
}

template <class T>
ParameterGradient<T> HeldGradients<T>::with_factors(const Held& held) const {
  ParameterGradient<T> gradient{held.id, {}, held.every_sample};
  const T* at = factors_.data() + held.begin * samples_;
  const auto next = [&](std::size_t which) {
    const ConstMatrixMap<T> matrix(at, held.rows[which], samples_ * held.columns[which]);
    at += matrix.size();
    return matrix;
  };
  if (held.rows[0] == 0) return gradient;
  const ConstMatrixMap<T> left = next(0);
  const ConstMatrixMap<T> right = next(1);
  gradient.factors.emplace(Factors<T>{left, right, {}, held.columns[0]});
  if (held.rows[2] > 0) gradient.factors->outputs.emplace(next(2));
  return gradient;
}

template class HeldGradients<float>;
template class HeldGradients<double>;

}  // namespace relgrad
