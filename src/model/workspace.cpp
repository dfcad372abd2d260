#include "relgrad/model/workspace.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "relgrad/core/error.hpp"

namespace relgrad {

template <class T>
Workspace<T>::Workspace(const Flow<T>& flow, Index capacity)
    : dimension_(flow.dimension()),
      rows_(flow.own().size()),
      capacity_(flow.row_group() == nullptr ? capacity : capacity * flow.row_group()->size()),
      batch_(capacity_),
      row_group_(flow.row_group()),
      pairs_(flow.layer_count()),
      input_(rows_, capacity_),
      scratch_(rows_, 2 * capacity_),
      log_likelihood_(static_cast<std::size_t>(capacity_)) {
  for (auto& pair : pairs_) pair.resize(rows_, 2 * capacity_);
}

template <class T>
void Workspace<T>::set_batch(Index batch) {
  if (batch > capacity_) {
    throw ShapeError(
        fmt::format("Workspace::set_batch: batch is {}, at most {}", batch, capacity_));
  }
  batch_ = batch;
  own_samples_ = {0, batch};
}

template <class T>
bool Workspace<T>::load(const T* samples, Index count) {
  if (row_group_ == nullptr) {
    if (count < 0) return false;
    set_batch(count);
    std::copy_n(samples, input().size(), input_.data());
  } else {
    const auto shared = row_group_->begin_batch(count);
    if (!shared) return false;
    set_batch(shared->total);
    own_samples_ = shared->own;
    row_group_->spread(ConstMatrixMap<T>(samples, dimension_, count), input());
  }
  std::ranges::fill(log_likelihood(), 0.0);
  return true;
}

template <class T>
MatrixMap<T> Workspace<T>::input() {
  return {input_.data(), rows_, batch_};
}
// A batch smaller than the capacity uses the front of the memory, so that delta and value stay
// neighbours: [delta | value] is one D x 2B matrix for every B.
template <class T>
MatrixMap<T> Workspace<T>::value(std::size_t i) {
  return {pairs_[i].data() + rows_ * batch_, rows_, batch_};
}
template <class T>
MatrixMap<T> Workspace<T>::delta(std::size_t i) {
  return {pairs_[i].data(), rows_, batch_};
}
template <class T>
MatrixMap<T> Workspace<T>::pair(std::size_t i) {
  return {pairs_[i].data(), rows_, 2 * batch_};
}
template <class T>
MatrixMap<T> Workspace<T>::scratch_pair() {
  return {scratch_.data(), rows_, 2 * batch_};
}
template <class T>
ConstMatrixMap<T> Workspace<T>::input_of(std::size_t i) {
  const MatrixMap<T> source = i == 0 ? input() : value(i - 1);
  return {source.data(), source.rows(), source.cols()};
}
template <class T>
std::span<double> Workspace<T>::log_likelihood() {
  return {log_likelihood_.data(), static_cast<std::size_t>(batch_)};
}

template <class T>
std::span<double> Workspace<T>::own_log_likelihood() {
  return log_likelihood().subspan(static_cast<std::size_t>(own_samples_.begin),
                                  static_cast<std::size_t>(own_samples_.size()));
}

template class Workspace<float>;
template class Workspace<double>;

}  // namespace relgrad
