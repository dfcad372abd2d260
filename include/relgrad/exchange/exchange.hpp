#pragma once
/// How rank-local sums become one global update (ARCHITECTURE: dense, sharded, factor, row). Every
/// method is collective: all ranks call it in the same order.
#include <functional>
#include <memory>
#include <string_view>

#include "relgrad/core/types.hpp"
#include "relgrad/linalg/products.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

/// Bytes and seconds this rank spent, since they were last taken.
struct ExchangeCost {
  double seconds = 0;
  std::int64_t bytes_sent = 0;  // payload of collectives, counted once
};

template <class T>
class Exchange {
 public:
  /// Called with columns [col_begin, col_begin + tile.cols()) of the sum over all ranks and
  /// samples.
  using Apply = std::function<void(Index col_begin, const ConstMatrixMap<T>& tile)>;
  virtual ~Exchange() = default;
  virtual std::string_view name() const = 0;
  /// Sum over ranks of left right^T (left rows x b, right cols x b; b may differ, even be zero),
  /// handed to `apply` tile by tile for the columns this rank updates; each tile is in cache when
  /// it comes.
  virtual void outer_product(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& right,
                             const Apply& apply) = 0;
  /// In-place sum over ranks of small parameters' gradients: one message.
  virtual void sum(std::span<T> values) = 0;
  ExchangeCost take_cost();

 protected:
  ExchangeCost cost_;
};

/// "auto" or "dense". @throws UsageError naming the schemes there are.
template <class T>
std::unique_ptr<Exchange<T>> make_exchange(std::string_view name, const mpi::Communicator& comm,
                                           const Products& products);

}  // namespace relgrad
