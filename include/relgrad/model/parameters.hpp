#pragma once
/// The one store of parameters: name, global shape, the block held here, values, moments.
/// Reduction, optimizer, checkpoint and export are loops over it.
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "relgrad/core/huge_page_buffer.hpp"
#include "relgrad/core/partition.hpp"
#include "relgrad/core/types.hpp"

namespace relgrad {

/// What is done with a parameter.
struct ParameterUse {
  enum class Rate { linear, elementwise };  // --lr, --spline-lr

  bool by_columns = false;  // a matrix whose gradient comes as factors; in a row group, ranks hold
                            // its columns
  bool decays = false;      // --weight-decay
  bool moves = true;        // false: a layer's own numbers, which no gradient moves
  Rate rate = Rate::linear;
};

using ParameterId = std::size_t;

/// A rows x cols matrix (a vector has cols = 1), of which the columns [col_begin, col_end) are
/// here.
struct ParameterInfo {
  std::string name;  // "layer/0/W": also its name in checkpoints
  ParameterUse use;
  Index rows;
  Index cols;
  Index col_begin;
  Index col_end;
  std::size_t offset;  // of its first value in the flat buffers
  /// Numbers here.
  std::size_t size() const { return static_cast<std::size_t>(rows * (col_end - col_begin)); }
};

template <class T>
class ParameterStore {
 public:
  /// Declares a parameter, whole; only before `allocate`.
  ParameterId add(std::string name, const ParameterUse& use, Index rows, Index cols);
  /// Declares one of which only `columns` are here.
  ParameterId add(std::string name, const ParameterUse& use, Index rows, Index cols,
                  const Range& columns);
  /// Reserves values (zero) and `moments` further buffers of the same layout (zero), 64-byte
  /// aligned.
  void allocate(int moments = 0);
  /// @param of_matrices  false: parameters used by columns have no moments
  void allocate_moments(int moments, bool of_matrices = true);

  std::size_t count() const { return infos_.size(); }
  std::size_t flat_size() const { return flat_size_; }
  const ParameterInfo& info(ParameterId id) const { return infos_[id]; }
  ParameterId id_of(const std::string& name) const;

  std::span<T> values(ParameterId id);
  std::span<const T> values(ParameterId id) const;
  MatrixMap<T> matrix(ParameterId id);
  ConstMatrixMap<T> matrix(ParameterId id) const;
  bool has_moments(ParameterId id) const {
    return moment_count() > 0 && (matrices_have_moments_ || !infos_[id].use.by_columns);
  }
  int moment_count() const { return static_cast<int>(moments_.size()); }
  std::span<T> moment(int which, ParameterId id);
  std::span<const T> moment(int which, ParameterId id) const;
  std::span<T> flat() { return {values_.get(), flat_size_}; }
  std::span<const T> flat() const { return {values_.get(), flat_size_}; }

 private:
  std::vector<ParameterInfo> infos_;
  std::size_t flat_size_ = 0;
  HugePageBuffer<T> values_;
  std::vector<HugePageBuffer<T>> moments_;
  bool matrices_have_moments_ = true;
};

}  // namespace relgrad
