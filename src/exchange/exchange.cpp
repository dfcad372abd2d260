#include "relgrad/exchange/exchange.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "relgrad/core/error.hpp"

namespace relgrad {

template <class T>
ExchangeCost Exchange<T>::take_cost() {
  return std::exchange(cost_, {});
}

namespace {

/// Allreduce of left right^T, tile by tile: 2 (P - 1) / P * rows * cols elements each way per rank.
template <class T>
class DenseExchange final : public Exchange<T> {
 public:
  DenseExchange(const mpi::Communicator& comm, const Products& products)
      : comm_(&comm), products_(&products) {}

  std::string_view name() const override { return "dense"; }

  void outer_product(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& right,
                     const typename Exchange<T>::Apply& apply) override {
    const Index width = tile_columns(left.rows());
    tile_.resize(static_cast<std::size_t>(left.rows() * width));
    for (Index begin = 0; begin < right.rows(); begin += width) {
      const Index columns = std::min(width, right.rows() - begin);
      // tile = left right[begin : begin + columns, :]^T
      products_->gemm(Transpose::no, Transpose::yes, left.rows(), columns, left.cols(), T{1},
                      left.data(), left.rows(), right.data() + begin, right.rows(), T{0},
                      tile_.data(), left.rows());
      if (left.cols() == 0) std::ranges::fill(tile_, T{0});
      sum(std::span(tile_.data(), static_cast<std::size_t>(left.rows() * columns)));
      apply(begin, ConstMatrixMap<T>(tile_.data(), left.rows(), columns));
    }
  }

  void sum(std::span<T> values) override {
    if (comm_->world_size() == 1 || values.empty()) return;
    const auto start = std::chrono::steady_clock::now();
    comm_->allreduce_sum(values);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    this->cost_.seconds += spent.count();
    this->cost_.bytes_sent += static_cast<std::int64_t>(values.size_bytes());
  }

 private:
  // Alone, a tile stays in the L2 cache for the optimizer; between ranks it is long enough for
  // bandwidth to outweigh latency, and short enough that no dense gradient exists.
  Index tile_columns(Index rows) const {
    constexpr Index cache_tile_bytes = Index{512} << 10;
    constexpr Index message_bytes = Index{4} << 20;
    const Index bytes = comm_->world_size() == 1 ? cache_tile_bytes : message_bytes;
    return std::max<Index>(16, bytes / (rows * static_cast<Index>(sizeof(T))) / 16 * 16);
  }

  const mpi::Communicator* comm_;
  const Products* products_;
  std::vector<T> tile_;
};

}  // namespace

template <class T>
std::unique_ptr<Exchange<T>> make_exchange(std::string_view name, const mpi::Communicator& comm,
                                           const Products& products) {
  if (name == "auto" || name == "dense") return std::make_unique<DenseExchange<T>>(comm, products);
  throw UsageError(fmt::format("--exchange: '{}' is not available; use dense or auto", name));
}

template class Exchange<float>;
template class Exchange<double>;
template std::unique_ptr<Exchange<float>> make_exchange(std::string_view, const mpi::Communicator&,
                                                        const Products&);
template std::unique_ptr<Exchange<double>> make_exchange(std::string_view, const mpi::Communicator&,
                                                         const Products&);

}  // namespace relgrad
