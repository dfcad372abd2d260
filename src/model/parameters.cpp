#include "relgrad/model/parameters.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {
// Every parameter begins on a cache line, so that vector loads are aligned and tiles do not share
// one.
constexpr std::size_t alignment = 64;
}  // namespace

template <class T>
ParameterId ParameterStore<T>::add(std::string name, const ParameterUse& use, Index rows,
                                   Index cols) {
  return add(std::move(name), use, rows, cols, {0, cols});
}

template <class T>
ParameterId ParameterStore<T>::add(std::string name, const ParameterUse& use, Index rows,
                                   Index cols, const Range& columns) {
  if (values_.get() != nullptr)
    throw ShapeError(fmt::format("{}: declared after the store was allocated", name));
  infos_.push_back({std::move(name), use, rows, cols, columns.begin, columns.end, flat_size_});
  constexpr std::size_t line = alignment / sizeof(T);
  flat_size_ += (infos_.back().size() + line - 1) / line * line;
  return infos_.size() - 1;
}

template <class T>
void ParameterStore<T>::allocate(int moments) {
  values_ = HugePageBuffer<T>(flat_size_);
  allocate_moments(moments);
}

template <class T>
void ParameterStore<T>::allocate_moments(int moments, bool of_matrices) {
  matrices_have_moments_ = of_matrices;
  moments_.clear();
  for (int i = 0; i < moments; ++i) moments_.emplace_back(flat_size_);
}

template <class T>
ParameterId ParameterStore<T>::id_of(const std::string& name) const {
  const auto found = std::ranges::find(infos_, name, &ParameterInfo::name);
  if (found == infos_.end()) throw ShapeError(fmt::format("no parameter named '{}'", name));
  return static_cast<ParameterId>(found - infos_.begin());
}

template <class T>
std::span<T> ParameterStore<T>::values(ParameterId id) {
  return {values_.get() + infos_[id].offset, infos_[id].size()};
}
template <class T>
std::span<const T> ParameterStore<T>::values(ParameterId id) const {
  return {values_.get() + infos_[id].offset, infos_[id].size()};
}
template <class T>
MatrixMap<T> ParameterStore<T>::matrix(ParameterId id) {
  const ParameterInfo& info = infos_[id];
  return {values_.get() + info.offset, info.rows, info.col_end - info.col_begin};
}
template <class T>
ConstMatrixMap<T> ParameterStore<T>::matrix(ParameterId id) const {
  const ParameterInfo& info = infos_[id];
  return {values_.get() + info.offset, info.rows, info.col_end - info.col_begin};
}
template <class T>
std::span<T> ParameterStore<T>::moment(int which, ParameterId id) {
  return {moments_[static_cast<std::size_t>(which)].get() + infos_[id].offset, infos_[id].size()};
}
template <class T>
std::span<const T> ParameterStore<T>::moment(int which, ParameterId id) const {
  return {moments_[static_cast<std::size_t>(which)].get() + infos_[id].offset, infos_[id].size()};
}

template class ParameterStore<float>;
template class ParameterStore<double>;

}  // namespace relgrad
