#pragma once
/// A run directory that all ranks share, and a small state that every rank can make any part of.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <random>
#include <set>

#include "checkpoint/save.hpp"
#include "relgrad/checkpoint/checkpoint.hpp"
#include "relgrad/core/error.hpp"
#include "support/temporary_directory.hpp"

namespace relgrad::checkpoint {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr Index dimension = 7;

/// W (7 x 7 double), its moment (7 x 7 double), b (7 x 1 double) and a table (5 x 9 float): made of
/// their indices, so that every rank can make any part of them.
struct State {
  Matrix<double> weight, moment, bias;
  Matrix<float> table;

  explicit State(double scale)
      : weight(dimension, dimension),
        moment(dimension, dimension),
        bias(dimension, 1),
        table(5, 9) {
    const auto number = [scale](Index i, Index j) {
      return scale * (static_cast<double>(i) - 0.3 * static_cast<double>(j)) + 1e-3;
    };
    weight = Matrix<double>::NullaryExpr(dimension, dimension, number);
    moment = Matrix<double>::NullaryExpr(dimension, dimension,
                                         [&](Index i, Index j) { return number(j, i) - 1; });
    bias = Matrix<double>::NullaryExpr(dimension, 1, number);
    table = Matrix<double>::NullaryExpr(5, 9, number).cast<float>();
  }
  bool operator==(const State& other) const {
    return weight == other.weight && moment == other.moment && bias == other.bias &&
           table == other.table;
  }
};

template <class Pointer, class M>
Block<Pointer> columns_of(const std::string& name, M& matrix, Index begin, Index end) {
  using T = typename std::remove_const_t<M>::Scalar;
  const auto type = std::is_same_v<T, float> ? TensorType::float32 : TensorType::float64;
  return {
      name, type, matrix.rows(), matrix.cols(), begin, end, matrix.data() + begin * matrix.rows()};
}

/// Which columns a rank holds of the moment: all, a balanced share, or a lopsided one.
enum class Partition { whole, balanced, lopsided };

inline std::pair<Index, Index> range_of(Partition partition, const mpi::Communicator& comm,
                                        Index cols) {
  const Index rank = comm.rank();
  const Index size = comm.world_size();
  if (partition == Partition::whole) return {0, cols};
  if (partition == Partition::balanced) return {cols * rank / size, cols * (rank + 1) / size};
  // The last rank holds all but one column per rank before it; in reverse order of the ranks.
  const Index from_last = size - 1 - rank;
  return {from_last, from_last == size - 1 ? cols : from_last + 1};
}

template <class Pointer, class S>
inline std::vector<Block<Pointer>> blocks_of(S& state, Partition partition,
                                             const mpi::Communicator& comm) {
  const auto [begin, end] = range_of(partition, comm, dimension);
  return {columns_of<Pointer>("layer/0/W", state.weight, 0, dimension),
          columns_of<Pointer>("layer/0/W.adam_m", state.moment, begin, end),
          columns_of<Pointer>("layer/0/b", state.bias, 0, 1),
          columns_of<Pointer>("latent/table", state.table, 0, 9)};
}

class Checkpoint : public testing::Test {
 protected:
  void SetUp() override {
    if (comm_.is_root()) own_.emplace();
    run_ = comm_.broadcast_string(own_ ? own_->path().string() : "");
  }
  void TearDown() override { comm_.barrier(); }

  SaveResult save_step(std::int64_t step, const State& state,
                       Partition partition = Partition::whole, const json& metrics = {},
                       const Retention& retention = {}) {
    return save(comm_, run_, step, {{"step", step}, {"metrics", metrics}},
                blocks_of<const void*>(state, partition, comm_), retention);
  }

  State loaded(const Found& found, Partition partition = Partition::whole) {
    State state(0);
    load(comm_, found, blocks_of<void*>(state, partition, comm_));
    return state;
  }

  std::string message_of_load(const Found& found, const std::vector<MutableBlock>& blocks) {
    try {
      load(comm_, found, blocks);
    } catch (const CheckpointError& error) {
      return error.what();
    }
    ADD_FAILURE() << "no CheckpointError was thrown";
    return "";
  }

  std::set<std::int64_t> steps() const {
    std::set<std::int64_t> found;
    for (const Found& one : list(run_)) found.insert(one.manifest.at("step").get<std::int64_t>());
    return found;
  }

  std::set<std::string> names_in(const fs::path& directory) const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory)) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }

  /// Rank 0 changes something on disk; the others see it afterwards.
  void on_root(const std::function<void()>& work) {
    comm_.barrier();
    if (comm_.is_root()) work();
    comm_.barrier();
  }

  mpi::Communicator comm_ = mpi::Communicator::world();
  std::optional<test::TemporaryDirectory> own_;
  fs::path run_;
};

}  // namespace relgrad::checkpoint
