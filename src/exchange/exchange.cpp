#include "relgrad/exchange/exchange.hpp"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "core/stopwatch.hpp"
#include "linalg/column_pass.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

template <class T>
ExchangeCost Exchange<T>::take_cost() {
  return std::exchange(cost_, {});
}

namespace {

// Between ranks a piece is long enough for bandwidth to outweigh latency, and short enough that no
// dense gradient exists.
constexpr Index message_bytes = Index{4} << 20;

Index columns_in(Index bytes, Index rows, std::size_t element) {
  return std::max<Index>(16, bytes / (rows * static_cast<Index>(element)) / 16 * 16);
}

/// What the schemes share: ranks, products, the clock around collectives.
template <class T>
class ExchangeBase : public Exchange<T> {
 public:
  ExchangeBase(const mpi::Communicator& comm, const Products& products)
      : comm_(&comm), products_(&products) {}

  void sum(std::span<T> values) override {
    if (ranks() == 1 || values.empty()) return;
    timed(values.size(), [&] { comm_->allreduce_sum(values); });
  }

  void sum_exact(std::span<double> values) override {
    if (ranks() == 1 || values.empty()) return;
    timed(values.size() * sizeof(double) / sizeof(T), [&] { comm_->allreduce_sum(values); });
  }

  bool column_pass(const ConstMatrixMap<T>& w, const ConstMatrixMap<T>& left,
                   const ConstMatrixMap<T>& factors, MatrixMap<T> products,
                   const typename Exchange<T>::Apply& apply) override {
    const ProductShape shape{Transpose::yes, Transpose::no, w.cols(), factors.cols(), w.rows()};
    if (ranks() > 1 || !products_->in_one_pass(shape)) return false;
    if (!ColumnPass<T>::is_available(factors.cols())) return false;
    column_pass_.run(w, left, factors, products, apply);
    return true;
  }

 protected:
  int ranks() const { return comm_->world_size(); }

  template <class Work>
  void timed(std::size_t elements, const Work& work) {
    const TimedScope timed(this->cost_.seconds);
    work();
    this->cost_.bytes_sent += static_cast<std::int64_t>(elements * sizeof(T));
  }

  /// tile = left right[begin : begin + columns, :]^T, zero where there are no samples. `beside` is
  /// brought near at columns from `first`.
  void product(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& right, Index begin,
               Index columns, T* tile, ReadNext<T> beside = {}, Index first = 0) const {
    for (const T*& matrix : beside) matrix += matrix == nullptr ? 0 : left.rows() * first;
    if (left.cols() == 0) {
      std::fill_n(tile, left.rows() * columns, T{0});
      return;
    }
    products_->gemm(Transpose::no, Transpose::yes, left.rows(), columns, left.cols(), left.data(),
                    left.rows(), right.data() + begin, right.rows(), Onto::zero, tile, left.rows(),
                    beside);
  }

  std::vector<std::int64_t> own_counts(Index rows, Index cols) const {
    std::vector<std::int64_t> counts;
    for (int r = 0; r < ranks(); ++r) counts.push_back(rows * part_of(cols, r, ranks()).size());
    return counts;
  }

  /// N x b: left of `samples` (D x N) against this rank's outputs, over `coordinates`.
  void inner_with_own(const T* left, Index samples, const ConstMatrixMap<T>& outputs,
                      const Range& coordinates) {
    inner_.assign(static_cast<std::size_t>(samples * outputs.cols()), T{0});
    if (inner_.empty() || coordinates.size() == 0) return;
    products_->gemm(Transpose::yes, Transpose::no, samples, outputs.cols(), coordinates.size(),
                    left + coordinates.begin, outputs.rows(), outputs.data() + coordinates.begin,
                    outputs.rows(), Onto::zero, inner_.data(), samples);
  }

  void allgather_columns(MatrixMap<T> updated) {
    const Range own = part_of(updated.cols(), comm_->rank(), ranks());
    const std::span<T> all(updated.data(), static_cast<std::size_t>(updated.size()));
    const auto mine = all.subspan(static_cast<std::size_t>(updated.rows() * own.begin),
                                  static_cast<std::size_t>(updated.rows() * own.size()));
    timed(mine.size(),
          [&] { comm_->allgather(mine, all, own_counts(updated.rows(), updated.cols())); });
  }

  /// The same as a matrix in double, of samples that are all here.
  void inner_of_all(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& outputs,
                    const Range& coordinates, Matrix<double>& inner) {
    inner_with_own(left.data(), left.cols(), outputs, coordinates);
    inner = ConstMatrixMap<T>(inner_.data(), left.cols(), outputs.cols()).template cast<double>();
  }

  const mpi::Communicator* comm_;
  const Products* products_;
  std::vector<T> inner_;

 private:
  ColumnPass<T> column_pass_;
};

/// No rank has the factors of another rank's samples.
template <class T>
class WithoutFactors : public ExchangeBase<T> {
 public:
  using ExchangeBase<T>::ExchangeBase;
  bool has_inner_product() const override { return this->ranks() == 1; }
  void inner_product(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& outputs,
                     const Range& coordinates, Matrix<double>& inner) override {
    this->inner_of_all(left, outputs, coordinates, inner);
  }
};

/// Every rank sums everything and updates everything.
template <class T>
class DenseExchange final : public WithoutFactors<T> {
 public:
  using WithoutFactors<T>::WithoutFactors;
  std::string_view name() const override { return "dense"; }
  Range own_columns(Index cols) const override { return {0, cols}; }

  void outer_product(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& right,
                     const typename Exchange<T>::Apply& apply, const ReadNext<T>& beside) override {
    const Index width = this->ranks() == 1 ? tile_columns(left.rows(), sizeof(T))
                                           : columns_in(message_bytes, left.rows(), sizeof(T));
    tile_.resize(static_cast<std::size_t>(left.rows() * width));
    for (Index begin = 0; begin < right.rows(); begin += width) {
      const Index columns = std::min(width, right.rows() - begin);
      this->product(left, right, begin, columns, tile_.data(), beside, begin);
      this->sum(std::span(tile_.data(), static_cast<std::size_t>(left.rows() * columns)));
      apply(begin, ConstMatrixMap<T>(tile_.data(), left.rows(), columns));
    }
  }

  void publish(MatrixMap<T> /*updated*/) override {}

 private:
  std::vector<T> tile_;
};

/// Reduce-scatter: each rank gets the sum for its own columns.
template <class T>
class ShardedExchange final : public WithoutFactors<T> {
 public:
  using WithoutFactors<T>::WithoutFactors;
  std::string_view name() const override { return "sharded"; }
  Range own_columns(Index cols) const override {
    return part_of(cols, this->comm_->rank(), this->ranks());
  }

  void outer_product(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& right,
                     const typename Exchange<T>::Apply& apply,
                     const ReadNext<T>& /*beside*/) override {
    // Round k takes the k-th piece of every rank's columns, so that all ranks reduce and update in
    // each round. The first rank has the most columns (part_of).
    const Index rows = left.rows();
    const Index cols = right.rows();
    const Index width = columns_in(message_bytes / this->ranks(), rows, sizeof(T));
    const Index most = part_of(cols, 0, this->ranks()).size();
    pieces_.resize(static_cast<std::size_t>(rows * width * this->ranks()));
    mine_.resize(static_cast<std::size_t>(rows * width));
    for (Index offset = 0; offset < most; offset += width) {
      std::vector<std::int64_t> counts;
      Index filled = 0;
      for (int r = 0; r < this->ranks(); ++r) {
        const Range part = part_of(cols, r, this->ranks());
        const Index columns = std::clamp<Index>(part.size() - offset, 0, width);
        this->product(left, right, part.begin + offset, columns, pieces_.data() + filled);
        counts.push_back(rows * columns);
        filled += rows * columns;
      }
      const std::int64_t my_count = counts[static_cast<std::size_t>(this->comm_->rank())];
      this->timed(static_cast<std::size_t>(filled - my_count), [&] {
        this->comm_->reduce_scatter_sum(
            std::span<const T>(pieces_.data(), static_cast<std::size_t>(filled)), counts,
            std::span<T>(mine_.data(), static_cast<std::size_t>(my_count)));
      });
      if (my_count > 0) {
        apply(own_columns(cols).begin + offset,
              ConstMatrixMap<T>(mine_.data(), rows, my_count / rows));
      }
    }
  }

  void publish(MatrixMap<T> updated) override { this->allgather_columns(updated); }

 private:
  std::vector<T> pieces_;
  std::vector<T> mine_;
};

/// The factors travel, not the product: its rank is at most the number of samples.
template <class T>
class FactorExchange final : public ExchangeBase<T> {
 public:
  enum class Columns { own, all };  // what each rank updates
  FactorExchange(const mpi::Communicator& comm, const Products& products, Columns columns)
      : ExchangeBase<T>(comm, products), columns_(columns) {
    if (columns == Columns::own || comm.world_size() == 1) return;
    itself_.emplace(comm.split(comm.rank(), 0));
    alone_ = std::make_unique<DenseExchange<T>>(*itself_, products);
  }
  std::string_view name() const override {
    return columns_ == Columns::own ? "factor" : "gathered";
  }
  Range own_columns(Index cols) const override { return columns_of(this->comm_->rank(), cols); }

  void outer_product(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& right,
                     const typename Exchange<T>::Apply& apply, const ReadNext<T>& beside) override {
    const Index rows = left.rows();
    const Range own = own_columns(right.rows());
    const Index samples = gather(left, right, own);
    const ConstMatrixMap<T> all_left(left_.data(), rows, samples);
    const ConstMatrixMap<T> own_right(right_.data(), own.size(), samples);
    const Index width = tile_columns(rows, sizeof(T));
    tile_.resize(static_cast<std::size_t>(rows * width));
    for (Index begin = 0; begin < own.size(); begin += width) {
      const Index columns = std::min<Index>(width, own.size() - begin);
      this->product(all_left, own_right, begin, columns, tile_.data(), beside, own.begin + begin);
      apply(own.begin + begin, ConstMatrixMap<T>(tile_.data(), rows, columns));
    }
  }

  void publish(MatrixMap<T> updated) override {
    if (columns_ == Columns::own) this->allgather_columns(updated);
  }

  Exchange<T>* alone() override { return alone_.get(); }
  int rank() const override { return this->comm_->rank(); }
  int world_size() const override { return this->ranks(); }
  void gather(std::span<const T> mine, std::span<T> all,
              std::span<const std::int64_t> counts) override {
    this->timed(mine.size(), [&] { this->comm_->allgather(mine, all, counts); });
  }

  bool has_inner_product() const override { return true; }
  void inner_product(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& outputs,
                     const Range& coordinates, Matrix<double>& inner) override {
    if (this->ranks() == 1) return this->inner_of_all(left, outputs, coordinates, inner);
    const Index samples = static_cast<Index>(left_.size()) / left.rows();  // left_: gather()
    this->inner_with_own(left_.data(), samples, outputs, coordinates);
    all_inner_.resize(static_cast<std::size_t>(samples * samples));
    const std::vector<std::int64_t> counts = counts_of(samples);
    this->timed(this->inner_.size(), [&] {
      this->comm_->allgather(std::span<const T>(this->inner_), std::span<T>(all_inner_), counts);
    });
    inner = ConstMatrixMap<T>(all_inner_.data(), samples, samples).template cast<double>();
  }

 private:
  /// `rows` numbers for every sample of each rank.
  std::vector<std::int64_t> counts_of(Index rows) const {
    std::vector<std::int64_t> counts;
    for (const Index here : samples_) counts.push_back(rows * here);
    return counts;
  }

  Range columns_of(int rank, Index cols) const {
    return columns_ == Columns::all ? Range{0, cols} : part_of(cols, rank, this->ranks());
  }

  /// left_ = every rank's left, side by side; right_ = the own rows of every rank's right,
  /// likewise: both in the order of the global batch. Returns the number of samples.
  Index gather(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& right, const Range& own) {
    samples_.clear();
    Index total = 0;
    for (const double count : this->comm_->allgather(static_cast<double>(left.cols()))) {
      samples_.push_back(static_cast<Index>(count));
      total += samples_.back();
    }
    std::vector<std::int64_t> send_counts;
    std::vector<std::int64_t> receive_counts;
    const Index copies = columns_ == Columns::all ? this->ranks() : 1;
    send_.resize(static_cast<std::size_t>(right.size() * copies));
    Index filled = 0;
    for (int r = 0; r < this->ranks(); ++r) {
      const Range part = columns_of(r, right.rows());
      const Index here = samples_[static_cast<std::size_t>(r)];
      send_counts.push_back(part.size() * right.cols());
      receive_counts.push_back(own.size() * here);
      MatrixMap<T>(send_.data() + filled, part.size(), right.cols()) =
          right.middleRows(part.begin, part.size());
      filled += send_counts.back();
    }
    left_.resize(static_cast<std::size_t>(left.rows() * total));
    right_.resize(static_cast<std::size_t>(own.size() * total));
    this->timed(static_cast<std::size_t>(left.size() + right.size()), [&] {
      this->comm_->allgather(std::span<const T>(left.data(), static_cast<std::size_t>(left.size())),
                             std::span<T>(left_), counts_of(left.rows()));
      this->comm_->alltoall(std::span<const T>(send_), send_counts, std::span<T>(right_),
                            receive_counts);
    });
    return total;
  }

  std::vector<Index> samples_;  // of each rank in this batch
  std::vector<T> left_, right_, send_, tile_, all_inner_;
  Columns columns_;
  std::optional<mpi::Communicator> itself_;  // this rank alone
  std::unique_ptr<Exchange<T>> alone_;
};

}  // namespace

Index tile_columns(Index rows, std::size_t element_bytes) {
  constexpr Index bytes = Index{256} << 10U;  // of the tile; with its neighbours four times that
  constexpr Index multiple = 24;              // of the columns of the ordered products' tiles
  constexpr Index least = 192;                // fewer do not repay packing the left factor anew
  const Index columns = bytes * omp_get_max_threads() / (rows * static_cast<Index>(element_bytes));
  return std::max(least, columns / multiple * multiple);
}

std::string choose_exchange(std::string_view name, const ExchangeSetting& setting) {
  if (name == "dense" || name == "sharded" || name == "factor" || name == "gathered" ||
      name == "row") {
    return std::string(name);
  }
  if (name != "auto") {
    throw UsageError(fmt::format(
        "--exchange: '{}' is not available; use auto, dense, sharded, factor, gathered or row",
        name));
  }
  if (setting.world_size == 1) return "dense";
  const double ranks = setting.world_size;
  const double factor_elements = static_cast<double>(setting.batch_size) * (1.0 + 1.0 / ranks);
  return factor_elements < static_cast<double>(setting.dimension) ? "factor" : "sharded";
}

template <class T>
std::unique_ptr<Exchange<T>> make_exchange(std::string_view name, const mpi::Communicator& comm,
                                           const Products& products) {
  if (name == "dense") return std::make_unique<DenseExchange<T>>(comm, products);
  if (name == "sharded") return std::make_unique<ShardedExchange<T>>(comm, products);
  using Factor = FactorExchange<T>;
  if (name == "factor") return std::make_unique<Factor>(comm, products, Factor::Columns::own);
  if (name == "gathered") return std::make_unique<Factor>(comm, products, Factor::Columns::all);
  throw UsageError(fmt::format(
      "--exchange: '{}' is not available; use dense, sharded, factor or gathered", name));
}

template class Exchange<float>;
template class Exchange<double>;
template std::unique_ptr<Exchange<float>> make_exchange(std::string_view, const mpi::Communicator&,
                                                        const Products&);
template std::unique_ptr<Exchange<double>> make_exchange(std::string_view, const mpi::Communicator&,
                                                         const Products&);

}  // namespace relgrad
