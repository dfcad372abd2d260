#include "relgrad/model/workspace.hpp"

#include <fmt/format.h>

#include "relgrad/core/error.hpp"

namespace relgrad {

template <class T>
Workspace<T>::Workspace(const Flow<T>& flow, Index capacity)
    : dimension_(flow.dimension()),
      capacity_(capacity),
      batch_(capacity),
      pairs_(flow.layer_count()),
      input_(dimension_, capacity),
      scratch_(dimension_, 2 * capacity),
      log_likelihood_(static_cast<std::size_t>(capacity)) {
  for (auto& pair : pairs_) pair.resize(dimension_, 2 * capacity);
}

template <class T>
void Workspace<T>::set_batch(Index batch) {
  if (batch > capacity_) {
    throw ShapeError(
        fmt::format("Workspace::set_batch: batch is {}, at most {}", batch, capacity_));
  }
  batch_ = batch;
}

template <class T>
MatrixMap<T> Workspace<T>::input() {
  return {input_.data(), dimension_, batch_};
}
// A batch smaller than the capacity uses the front of the memory, so that delta and value stay
// neighbours: [delta | value] is one D x 2B matrix for every B.
template <class T>
MatrixMap<T> Workspace<T>::value(std::size_t i) {
  return {pairs_[i].data() + dimension_ * batch_, dimension_, batch_};
}
template <class T>
MatrixMap<T> Workspace<T>::delta(std::size_t i) {
  return {pairs_[i].data(), dimension_, batch_};
}
template <class T>
MatrixMap<T> Workspace<T>::pair(std::size_t i) {
  return {pairs_[i].data(), dimension_, 2 * batch_};
}
template <class T>
MatrixMap<T> Workspace<T>::scratch_pair() {
  return {scratch_.data(), dimension_, 2 * batch_};
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

template class Workspace<float>;
template class Workspace<double>;

}  // namespace relgrad
