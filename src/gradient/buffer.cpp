#include "relgrad/gradient/buffer.hpp"

#include <algorithm>

namespace relgrad {

template <class T>
GradientBuffer<T>::GradientBuffer(const ParameterStore<T>& parameters, const Products& products)
    : parameters_(&parameters),
      products_(&products),
      flat_(parameters.flat_size()),
      value_factor_(parameters.count()),
      matrix_(parameters.count()),
      row_factor_(parameters.count()),
      statistics_(parameters.count()) {}

template <class T>
void GradientBuffer<T>::clear() {
  std::ranges::fill(flat_, T{0});
  std::ranges::fill(value_factor_, T{0});
  for (auto& matrix : matrix_) matrix.clear();
  for (auto& factor : row_factor_) factor.clear();
  for (auto& sums : statistics_) sums.clear();
}

template <class T>
std::span<T> GradientBuffer<T>::sum(ParameterId id) {
  const ParameterInfo& info = parameters_->info(id);
  return {flat_.data() + info.offset, info.size()};
}

template <class T>
void GradientBuffer<T>::give(std::span<const ParameterGradient<T>> together) {
  for (const ParameterGradient<T>& gradient : together) {
    if (gradient.factors) {
      // sum += left right^T
      const ConstMatrixMap<T>& left = gradient.factors->left;
      const ConstMatrixMap<T>& right = gradient.factors->right;
      products_->gemm(Transpose::no, Transpose::yes, left.rows(), right.rows(), left.cols(),
                      left.data(), left.rows(), right.data(), right.rows(), Onto::itself,
                      sum(gradient.id).data(), left.rows());
    }
    set_every_sample(gradient.id, gradient.every_sample);
  }
}

template <class T>
void GradientBuffer<T>::set_every_sample(ParameterId id, const PerSampleTerm<T>& term) {
  value_factor_[id] = term.value_factor;
  if (term.matrix != nullptr) {
    matrix_[id].resize(parameters_->info(id).size());
    std::transform(term.matrix, term.matrix + matrix_[id].size(), matrix_[id].begin(),
                   [&](T value) { return term.matrix_factor * value; });
  }
  if (term.row_factor != nullptr) {
    row_factor_[id].assign(term.row_factor, term.row_factor + parameters_->info(id).rows);
  }
}

template <class T>
std::span<T> GradientBuffer<T>::statistics(ParameterId id, std::size_t size) {
  statistics_[id].resize(size);
  return statistics_[id];
}

template <class T>
void GradientBuffer<T>::add_per_sample_terms(double samples) {
  const T count = static_cast<T>(samples);
  for (ParameterId id = 0; id < parameters_->count(); ++id) {
    const std::span<T> gradient = sum(id);
    const std::span<const T> values = parameters_->values(id);
    const auto rows = static_cast<std::size_t>(parameters_->info(id).rows);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      const T row = row_factor_[id].empty() ? T{1} : row_factor_[id][i % rows];
      gradient[i] += count * value_factor_[id] * row * values[i];
      if (!matrix_[id].empty()) gradient[i] += count * matrix_[id][i];
    }
  }
}

template <class T>
ConstMatrixMap<T> GradientBuffer<T>::matrix(ParameterId id) const {
  const ParameterInfo& info = parameters_->info(id);
  return {flat_.data() + info.offset, info.rows, info.col_end - info.col_begin};
}

template class GradientBuffer<float>;
template class GradientBuffer<double>;

}  // namespace relgrad
