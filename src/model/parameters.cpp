#include "relgrad/model/parameters.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {
/// A column of W may span several pages of 4 KiB: products that walk along rows then miss in the
/// page tables at every number. Only advice: where the kernel does not take it, nothing changes.
void ask_for_huge_pages(void* memory, std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr std::uintptr_t page = 4096;
  constexpr std::size_t worth_it = std::size_t{4} << 20;
  if (bytes < worth_it) return;
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  const auto first = (begin + page - 1) / page * page;
  madvise(reinterpret_cast<void*>(first), begin + bytes - first, MADV_HUGEPAGE);
#else
  static_cast<void>(memory);
  static_cast<void>(bytes);
#endif
}

// Every parameter begins on a cache line, so that vector loads are aligned and tiles do not share
// one.
constexpr std::size_t alignment = 64;
}  // namespace

template <class T>
ParameterStore<T>::Buffer::Buffer(std::size_t size)
    : memory_(std::calloc(size * sizeof(T) + alignment, 1)) {
  if (memory_ == nullptr) throw std::bad_alloc();
  void* start = memory_.get();
  std::size_t space = size * sizeof(T) + alignment;
  aligned_ = static_cast<T*>(std::align(alignment, size * sizeof(T), start, space));
  ask_for_huge_pages(memory_.get(), size * sizeof(T) + alignment);
}

template <class T>
ParameterId ParameterStore<T>::add(std::string name, ParameterGroup group, Index rows, Index cols) {
  return add(std::move(name), group, rows, cols, {0, cols});
}

template <class T>
ParameterId ParameterStore<T>::add(std::string name, ParameterGroup group, Index rows, Index cols,
                                   const Range& columns) {
  if (values_.get() != nullptr)
    throw ShapeError(fmt::format("{}: declared after the store was allocated", name));
  infos_.push_back({std::move(name), group, rows, cols, columns.begin, columns.end, flat_size_});
  constexpr std::size_t line = alignment / sizeof(T);
  flat_size_ += (infos_.back().size() + line - 1) / line * line;
  return infos_.size() - 1;
}

template <class T>
void ParameterStore<T>::allocate(int moments) {
  values_ = Buffer(flat_size_);
  allocate_moments(moments);
}

template <class T>
void ParameterStore<T>::allocate_moments(int moments) {
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
