#pragma once
/// Ranks that share every W by columns (ARCHITECTURE section 3, "row"): rank r of R holds
/// W[:, I_r], I_r the coordinates of a layer's input that are its own, and computes the
/// element-wise layers on I_r. All of them work on the same samples. What the model needs of the
/// others is this interface; exchange/row_group.hpp has it over MPI. Every method but own() and
/// whole() is collective over the group.
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "relgrad/core/partition.hpp"
#include "relgrad/core/types.hpp"

namespace relgrad {

template <class T>
class RowGroup {
 public:
  struct Samples {
    Index total;  // of the group
    Range own;
  };
  /// Columns of all ranks, in the order of ranks; valid until the next call.
  struct Columns {
    MatrixMap<T> all;
    std::vector<Index> coordinates;
    Range own;  // of `all`
  };
  virtual ~RowGroup() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// I_r: coordinates [begin, end) of this rank.
  Range own(Index dimension) const { return part_of(dimension, rank(), size()); }
  /// rows x cols numbers to work in, valid until the next call.
  MatrixMap<T> whole(Index rows, Index cols) {
    const auto size = static_cast<std::size_t>(rows * cols);
    if (whole_.size() < size) whole_.resize(size);
    return {whole_.data(), rows, cols};
  }

  /// Begins a batch to which every rank brings `count` samples, or -1 if it has none to bring for
  /// trouble of its own. Returns where this rank's samples stand among those of the group, which
  /// follow one another in the order of ranks; nothing, on every rank, if one has trouble.
  virtual std::optional<Samples> begin_batch(Index count) = 0;
  /// own (|I_r| x n) = this rank's coordinates of all samples; `samples` (D x count) are its own.
  virtual void spread(const ConstMatrixMap<T>& samples, MatrixMap<T> own) = 0;

  /// own (|I_r| x n) = rows I_r of the sum of the ranks' `partial` (D x n).
  virtual void reduce_scatter(const ConstMatrixMap<T>& partial, MatrixMap<T> own) = 0;
  /// all (D x n) = every rank's `own` (|I_r| x n), in the order of coordinates.
  virtual void allgather(const ConstMatrixMap<T>& own, MatrixMap<T> all) = 0;
  /// @param own  D x n_r, which may differ from rank to rank. @param coordinates  of these columns
  virtual Columns allgather_columns(const ConstMatrixMap<T>& own,
                                    std::span<const Index> coordinates) = 0;
  /// In-place sum over the ranks of what each knows of its own coordinates.
  virtual void sum(std::span<double> values) = 0;

  /// log|det W| in nats, of a W whose columns the ranks hold. Cost: 2/3 D^3 / R flops and D^2 / R
  /// numbers of type T. @param where  names W in errors. @throws DivergedError on every rank.
  virtual double log_abs_det(std::string_view where, const ConstMatrixMap<T>& own_columns) = 0;
  /// own_rows (|I_r| x n) <- rows I_r of W^{-1} B, B held by rows likewise. In double precision.
  /// @throws DivergedError on every rank.
  virtual void solve(std::string_view where, const ConstMatrixMap<T>& own_columns,
                     MatrixMap<T> own_rows) = 0;

 private:
  std::vector<T> whole_;
};

}  // namespace relgrad
