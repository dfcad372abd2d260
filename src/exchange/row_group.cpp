#include "relgrad/exchange/row_group.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "core/stopwatch.hpp"
#include "linalg/factor_error.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

namespace {

int checked(int row_groups, int world_size) {
  if (row_groups >= 1 && world_size % row_groups == 0) return row_groups;
  std::vector<int> divisors;
  for (int d = 1; d <= world_size; ++d) {
    if (world_size % d == 0) divisors.push_back(d);
  }
  mpi::throw_on_all_ranks(UsageError(
      fmt::format("--row-groups: {} does not divide {} rank{}; use one of {}", row_groups,
                  world_size, world_size == 1 ? "" : "s", fmt::join(divisors, ", "))));
}

template <class T>
std::span<const T> span_of(const ConstMatrixMap<T>& matrix) {
  return {matrix.data(), static_cast<std::size_t>(matrix.size())};
}
template <class T>
std::span<T> span_of(MatrixMap<T>& matrix) {
  return {matrix.data(), static_cast<std::size_t>(matrix.size())};
}

/// A D x n matrix as one piece for each of `ranks` ranks, its rows of all columns. Returns the
/// pieces.
template <class T>
std::span<const T> in_pieces(const ConstMatrixMap<T>& whole, int ranks, std::vector<T>& pieces) {
  pieces.resize(std::max(pieces.size(), static_cast<std::size_t>(whole.size())));
  Index filled = 0;
  for (int r = 0; r < ranks; ++r) {
    const Range rows = part_of(whole.rows(), r, ranks);
    MatrixMap<T>(pieces.data() + filled, rows.size(), whole.cols()) =
        whole.middleRows(rows.begin, rows.size());
    filled += rows.size() * whole.cols();
  }
  return {pieces.data(), static_cast<std::size_t>(filled)};
}

}  // namespace

template <class T>
MpiRowGroup<T>::MpiRowGroup(const mpi::Communicator& world, int row_groups)
    : row_(world.split(world.rank() / checked(row_groups, world.world_size()), world.rank())),
      data_(world.split(world.rank() % row_groups, world.rank())),
      grid_(row_.blacs_handle(), row_.rank(), row_.world_size()) {}

template <class T>
std::optional<typename RowGroup<T>::Samples> MpiRowGroup<T>::begin_batch(Index count) {
  const TimedScope timed(cost_.seconds);
  counts_.clear();
  Index total = 0;
  Index before = 0;
  for (const double value : row_.allgather(static_cast<double>(count))) {
    if (value < 0) return {};
    if (static_cast<int>(counts_.size()) < rank()) before += static_cast<Index>(value);
    total += static_cast<Index>(value);
    counts_.push_back(static_cast<Index>(value));
  }
  return typename RowGroup<T>::Samples{total, {before, before + count}};
}

template <class T>
std::vector<std::int64_t> MpiRowGroup<T>::row_counts(Index dimension, Index columns) const {
  std::vector<std::int64_t> counts;
  for (int r = 0; r < size(); ++r) counts.push_back(part_of(dimension, r, size()).size() * columns);
  return counts;
}

template <class T>
void MpiRowGroup<T>::spread(const ConstMatrixMap<T>& samples, MatrixMap<T> own) {
  const TimedScope timed(cost_.seconds);
  const std::vector<std::int64_t> send_counts = row_counts(samples.rows(), samples.cols());
  std::vector<std::int64_t> receive_counts;
  for (const Index count : counts_) receive_counts.push_back(own.rows() * count);
  row_.alltoall(in_pieces(samples, size(), sent_), send_counts, span_of(own), receive_counts);
  cost_.bytes_sent += static_cast<std::int64_t>(sizeof(T)) *
                      (samples.size() - send_counts[static_cast<std::size_t>(rank())]);
}

template <class T>
void MpiRowGroup<T>::reduce_scatter(const ConstMatrixMap<T>& partial, MatrixMap<T> own) {
  if (partial.cols() == 0) return;  // of the whole group
  const TimedScope timed(cost_.seconds);
  row_.reduce_scatter_sum(in_pieces(partial, size(), pieces_),
                          row_counts(partial.rows(), partial.cols()), span_of(own));
  cost_.bytes_sent += static_cast<std::int64_t>(sizeof(T)) * (partial.size() - own.size());
}

template <class T>
void MpiRowGroup<T>::allgather(const ConstMatrixMap<T>& own, MatrixMap<T> all) {
  if (all.cols() == 0) return;
  const TimedScope timed(cost_.seconds);
  pieces_.resize(static_cast<std::size_t>(all.size()));
  row_.allgather(span_of(own), std::span(pieces_.data(), static_cast<std::size_t>(all.size())),
                 row_counts(all.rows(), all.cols()));
  Index filled = 0;
  for (int r = 0; r < size(); ++r) {
    const Range rows = part_of(all.rows(), r, size());
    all.middleRows(rows.begin, rows.size()) =
        ConstMatrixMap<T>(pieces_.data() + filled, rows.size(), all.cols());
    filled += rows.size() * all.cols();
  }
  cost_.bytes_sent += static_cast<std::int64_t>(sizeof(T)) * own.size() * (size() - 1);
}

template <class T>
typename RowGroup<T>::Columns MpiRowGroup<T>::allgather_columns(
    const ConstMatrixMap<T>& own, std::span<const Index> coordinates) {
  const TimedScope timed(cost_.seconds);
  std::vector<std::int64_t> ones;  // one number a column
  std::vector<std::int64_t> counts;
  Range mine{0, 0};
  Index total = 0;
  for (const double n : row_.allgather(static_cast<double>(own.cols()))) {
    if (static_cast<int>(ones.size()) == rank()) mine = {total, total + own.cols()};
    ones.push_back(static_cast<std::int64_t>(n));
    counts.push_back(ones.back() * own.rows());
    total += ones.back();
  }
  columns_.resize(static_cast<std::size_t>(total * own.rows()));
  std::vector<double> all(static_cast<std::size_t>(total));
  if (total > 0) {
    const std::vector<double> of_mine(coordinates.begin(), coordinates.end());
    row_.allgather(std::span<const double>(of_mine), std::span(all), ones);
    row_.allgather(span_of(own), std::span(columns_), counts);
    cost_.bytes_sent += static_cast<std::int64_t>(sizeof(T)) * own.size() * (size() - 1);
  }
  return {MatrixMap<T>(columns_.data(), own.rows(), total),
          std::vector<Index>(all.begin(), all.end()), mine};
}

template <class T>
void MpiRowGroup<T>::sum(std::span<double> values) {
  if (values.empty()) return;
  const TimedScope timed(cost_.seconds);
  row_.allreduce_sum(values);
  cost_.bytes_sent += static_cast<std::int64_t>(values.size_bytes());
}

template <class T>
void MpiRowGroup<T>::check_finite(std::string_view where,
                                  const ConstMatrixMap<T>& own_columns) const {
  std::int64_t finite = own_columns.allFinite() ? 1 : 0;
  row_.allreduce_min(std::span(&finite, 1));
  if (finite == 0) throw_not_finite(where);
}

template <class T>
double MpiRowGroup<T>::log_abs_det(std::string_view where, const ConstMatrixMap<T>& own_columns) {
  check_finite(where, own_columns);
  double value = DistributedLu<T>(grid_, where, own_columns).log_abs_det_part();
  row_.allreduce_sum(std::span(&value, 1));
  return value;
}

template <class T>
void MpiRowGroup<T>::solve(std::string_view where, const ConstMatrixMap<T>& own_columns,
                           MatrixMap<T> own_rows) {
  check_finite(where, own_columns);
  Matrix<double> right = own_rows.template cast<double>();
  DistributedLu<double>(grid_, where, own_columns)
      .solve(MatrixMap<double>(right.data(), right.rows(), right.cols()));
  own_rows = right.template cast<T>();
}

template <class T>
ExchangeCost MpiRowGroup<T>::take_cost() {
  return std::exchange(cost_, {});
}

template <class T>
std::unique_ptr<MpiRowGroup<T>> make_row_group(const mpi::Communicator& world,
                                               std::int64_t row_groups) {
  const std::int64_t ranks = row_groups == 0 ? world.world_size() : row_groups;
  if (ranks == 1) return nullptr;
  return std::make_unique<MpiRowGroup<T>>(world, static_cast<int>(ranks));
}

template std::unique_ptr<MpiRowGroup<float>> make_row_group(const mpi::Communicator&, std::int64_t);
template std::unique_ptr<MpiRowGroup<double>> make_row_group(const mpi::Communicator&,
                                                             std::int64_t);
template class MpiRowGroup<float>;
template class MpiRowGroup<double>;

}  // namespace relgrad
