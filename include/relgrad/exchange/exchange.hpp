#pragma once
/// How the sums of the ranks become one update (ARCHITECTURE: dense, sharded, factor). Every
/// method is collective: all ranks call it in the same order.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "relgrad/core/partition.hpp"
#include "relgrad/core/types.hpp"
#include "relgrad/linalg/products.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

/// Bytes and seconds this rank spent, since they were last taken.
struct ExchangeCost {
  double seconds = 0;
  std::int64_t bytes_sent = 0;  // payload this rank hands to collectives
};

/// One D x D matrix, N samples in all, P ranks; elements each rank sends and receives per step:
///   dense    allreduce of left right^T                                        2 D^2 (P - 1)/P
///   sharded  reduce-scatter, each rank updates its columns, allgather of W    2 D^2 (P - 1)/P
///   factor   left to all, right by blocks, own columns updated, allgather of W
///                                                  N D (1 + 1/P) (P - 1)/P + D^2 (P - 1)/P
/// Sharded and factor do 1/P of the optimizer's work and keep 1/P of its moments up to date.
///   gathered  left and right to all, everything updated everywhere
///                                                  2 N D (P - 1)/P
/// Gathered can take the factors of all layers, and the sums of small parameters, in one message at
/// the end of a step: each meeting of ranks costs a latency, and on a machine that other programs
/// share a turn of theirs.
/// Factor and gathered sum over all samples in the order of the global batch, in one product: with
/// the ordered back end, to the same bits for every P.
template <class T>
class Exchange {
 public:
  /// Called with columns [col_begin, col_begin + tile.cols()) of the sum over all ranks and
  /// samples.
  using Apply = std::function<void(Index col_begin, const ConstMatrixMap<T>& tile)>;
  virtual ~Exchange() = default;
  virtual std::string_view name() const = 0;
  /// Among the `cols` columns of a matrix on this rank, those that it updates and whose moments it
  /// holds.
  virtual Range own_columns(Index cols) const = 0;
  /// Sum over ranks of left right^T (left rows x b, right cols x b; b may differ, even be zero),
  /// handed to `apply` tile by tile for this rank's own columns; each tile is in cache when it
  /// comes.
  /// @param beside  matrices of the product's shape that `apply` reads at each tile's columns;
  ///                null: none
  virtual void outer_product(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& right,
                             const Apply& apply, const ReadNext<T>& beside = {}) = 0;
  /// Whether inner_product is available: every rank has `left` for the samples of all ranks.
  virtual bool has_inner_product() const = 0;
  /// After outer_product(left, ...): the sum over `coordinates` of left[i, m] outputs[i, n], N x N
  /// for the samples of all ranks in the order of the global batch. Cost: 2 N b |coordinates|.
  /// @param left, outputs  D x b, of this rank's samples
  virtual void inner_product(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& outputs,
                             const Range& coordinates, Matrix<double>& inner) = 0;
  /// After outer_product: every rank's own columns of the updated matrix go to all ranks.
  virtual void publish(MatrixMap<T> updated) = 0;
  /// In-place sum over ranks of small parameters' gradients: one message.
  virtual void sum(std::span<T> values) = 0;
  /// The same for sums that are exact in double (core/exact_sum.hpp), in any order of ranks.
  virtual void sum_exact(std::span<double> values) = 0;
  /// Sum over all columns of a number that every rank knows for its own columns of the weights.
  virtual double sum_over_columns(double value) { return value; }
  virtual ExchangeCost take_cost();
  /// Where no other rank has samples or columns of W: products = W^T factors (columns of W x n),
  /// and `apply` gets left right^T a few columns at a time, right the last columns of `products`,
  /// as many as `left` has. `apply` may change those columns of W: they have been read. False, and
  /// nothing done, where ranks must sum or separate products are faster (linalg/column_pass).
  virtual bool column_pass(const ConstMatrixMap<T>& /*w*/, const ConstMatrixMap<T>& /*left*/,
                           const ConstMatrixMap<T>& /*factors*/, MatrixMap<T> /*products*/,
                           const Apply& /*apply*/) {
    return false;
  }
  /// Where the factors of all layers may travel in one message (gather): what a rank then does by
  /// itself with the samples of all. Null: they are summed layer by layer.
  virtual Exchange* alone() { return nullptr; }
  /// Among those that share the samples of a batch. Only where alone() is not null.
  virtual int rank() const { return 0; }
  virtual int world_size() const { return 1; }
  /// Every rank's `mine`, counts[rank] numbers, to all ranks in their order.
  virtual void gather(std::span<const T> /*mine*/, std::span<T> /*all*/,
                      std::span<const std::int64_t> /*counts*/) {}

 protected:
  ExchangeCost cost_;
};

/// Number of columns in a tile of an outer product with `rows` rows and all of its columns. A tile
/// stays in cache (for large D, in the last level) until the optimizer has read it.
Index tile_columns(Index rows, std::size_t element_bytes);

/// The numbers that decide which scheme is chosen.
struct ExchangeSetting {
  Index dimension = 0;
  std::int64_t batch_size = 0;  // global
  int world_size = 1;
};

/// "dense", "sharded", "factor", "gathered" or "row", or for "auto" the one that sends least: dense
/// alone, factor while N (1 + 1/P) < D, else sharded. @throws UsageError naming all schemes.
std::string choose_exchange(std::string_view name, const ExchangeSetting& setting);

/// Collective. @param name  as choose_exchange gives it
template <class T>
std::unique_ptr<Exchange<T>> make_exchange(std::string_view name, const mpi::Communicator& comm,
                                           const Products& products);

}  // namespace relgrad
