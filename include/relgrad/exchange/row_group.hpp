#pragma once
/// A row group over MPI. World = data groups x row groups: ranks g R, ..., g R + R - 1 share every
/// W by columns and work on the same samples; the ranks that hold the same columns, one of each
/// such group, have different samples and sum their gradients (Exchange).
#include <memory>

#include "relgrad/exchange/exchange.hpp"
#include "relgrad/linalg/distributed_lu.hpp"
#include "relgrad/model/row_group.hpp"

namespace relgrad {

template <class T>
class MpiRowGroup final : public RowGroup<T> {
 public:
  /// Collective. @param row_groups  R, ranks that share a W; must divide the number of ranks.
  /// @throws UsageError naming the numbers that do.
  MpiRowGroup(const mpi::Communicator& world, int row_groups);

  int rank() const override { return row_.rank(); }
  int size() const override { return row_.world_size(); }
  /// The ranks that hold the same columns.
  const mpi::Communicator& same_columns() const { return data_; }
  /// The ranks of this group.
  const mpi::Communicator& same_samples() const { return row_; }
  /// The same for ScaLAPACK.
  const ProcessGrid& grid() const { return grid_; }

  std::optional<typename RowGroup<T>::Samples> begin_batch(Index count) override;
  void spread(const ConstMatrixMap<T>& samples, MatrixMap<T> own) override;
  void reduce_scatter(const ConstMatrixMap<T>& partial, MatrixMap<T> own) override;
  void allgather(const ConstMatrixMap<T>& own, MatrixMap<T> all) override;
  typename RowGroup<T>::Columns allgather_columns(const ConstMatrixMap<T>& own,
                                                  std::span<const Index> coordinates) override;
  void sum(std::span<double> values) override;
  double log_abs_det(std::string_view where, const ConstMatrixMap<T>& own_columns) override;
  void solve(std::string_view where, const ConstMatrixMap<T>& own_columns,
             MatrixMap<T> own_rows) override;

  ExchangeCost take_cost();

 private:
  /// count[r] = |I_r| n numbers of rank r's rows of a D x n matrix.
  std::vector<std::int64_t> row_counts(Index dimension, Index columns) const;
  /// @throws DivergedError on every rank if one's numbers are not finite.
  void check_finite(std::string_view where, const ConstMatrixMap<T>& own_columns) const;

  mpi::Communicator row_;
  mpi::Communicator data_;
  ProcessGrid grid_;
  std::vector<Index> counts_;  // samples of each rank in this batch
  std::vector<T> pieces_;      // a D x n matrix as one piece per rank
  std::vector<T> sent_;
  std::vector<T> columns_;  // of all ranks
  ExchangeCost cost_;
};

/// Collective. Null for R = 1, where every rank has W whole. @param row_groups  0: all ranks.
/// @throws UsageError on every rank.
template <class T>
std::unique_ptr<MpiRowGroup<T>> make_row_group(const mpi::Communicator& world,
                                               std::int64_t row_groups);

/// Numbers each rank sends per layer and step, with N samples per rank: 3 N R D (R - 1) / R. A rank
/// holds 1/R of weights, moments and gradient. `inner` sums the gradient over `same_columns`.
template <class T>
std::unique_ptr<Exchange<T>> make_row_exchange(std::string_view inner,
                                               const mpi::Communicator& world,
                                               MpiRowGroup<T>& group, const Products& products);

}  // namespace relgrad
