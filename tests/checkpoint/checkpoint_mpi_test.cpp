// Every rank runs every test; run with 1, 2 and 4 ranks.
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
namespace {

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

std::pair<Index, Index> range_of(Partition partition, const mpi::Communicator& comm, Index cols) {
  const Index rank = comm.rank();
  const Index size = comm.world_size();
  if (partition == Partition::whole) return {0, cols};
  if (partition == Partition::balanced) return {cols * rank / size, cols * (rank + 1) / size};
  // The last rank holds all but one column per rank before it; in reverse order of the ranks.
  const Index from_last = size - 1 - rank;
  return {from_last, from_last == size - 1 ? cols : from_last + 1};
}

template <class Pointer, class S>
std::vector<Block<Pointer>> blocks_of(S& state, Partition partition,
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

TEST_F(Checkpoint, WhatOnePartitionSavesEveryPartitionLoads) {
  const std::vector<Partition> partitions = {Partition::whole, Partition::balanced,
                                             Partition::lopsided};
  const State state(1.7);
  for (const Partition saved : partitions) {
    const SaveResult result = save_step(12, state, saved);
    ASSERT_TRUE(result.saved) << result.trouble;
    EXPECT_EQ(result.trouble, "");
    const Found found = open(result.directory);

    for (const Partition wanted : partitions) {
      const State back = loaded(found, wanted);

      const auto [begin, end] = range_of(wanted, comm_, dimension);
      EXPECT_EQ(back.weight, state.weight);
      EXPECT_EQ(back.bias, state.bias);
      EXPECT_EQ(back.table, state.table);
      EXPECT_EQ(back.moment.middleCols(begin, end - begin),
                state.moment.middleCols(begin, end - begin));
    }
    EXPECT_EQ(read_tensor(found, "layer/0/W.adam_m"), state.moment);
    EXPECT_EQ(read_tensor(found, "latent/table"), state.table.cast<double>());
    EXPECT_EQ(verify(found), std::vector<std::string>{});
    comm_.barrier();
  }
}

TEST_F(Checkpoint, TheHashOfATensorDoesNotDependOnHowItIsSplit) {
  const State state(0.9);
  std::set<std::string> hashes;
  for (const Partition partition : {Partition::whole, Partition::balanced, Partition::lopsided}) {
    const Found found = open(save_step(1, state, partition).directory);
    hashes.insert(found.manifest.at("tensors").dump().find("layer/0/W.adam_m") == std::string::npos
                      ? "missing"
                      : "present");
    for (const json& tensor : found.manifest.at("tensors")) {
      if (tensor.at("name") == "layer/0/W.adam_m") hashes.insert(tensor.at("hash"));
    }
    comm_.barrier();
  }

  EXPECT_EQ(hashes.size(), 2U);  // "present" and one hash
}

TEST_F(Checkpoint, TensorsHeldWholeAreSplitOverTheWritersWhenTheyAreLarge) {
  const State state(2.2);
  const WriterPolicy split_all{1, 1};

  const SaveResult result = save(
      comm_, run_, 5, {}, blocks_of<const void*>(state, Partition::whole, comm_), {}, split_all);

  ASSERT_TRUE(result.saved) << result.trouble;
  const Found found = open(result.directory);
  EXPECT_EQ(found.manifest.at("files").size(), static_cast<std::size_t>(comm_.world_size()));
  EXPECT_EQ(loaded(found), state);
  EXPECT_EQ(loaded(found, Partition::whole), state);
  EXPECT_EQ(verify(found), std::vector<std::string>{});
}

TEST_F(Checkpoint, TheStateIsInTheManifestAndLatestNamesTheNewest) {
  const State state(1);
  const json given = {{"step", 40}, {"seed", 18446744073709551615ULL}, {"lr", 0.1}};

  save_step(39, state);
  const SaveResult result =
      save(comm_, run_, 40, given, blocks_of<const void*>(state, Partition::whole, comm_), {});

  EXPECT_EQ(list(run_).front().manifest.at("state"), given);
  EXPECT_EQ(result.directory, run_ / "ckpt" / "step-000000040");
  std::string latest;
  std::ifstream(run_ / "LATEST") >> latest;
  EXPECT_EQ(latest, "step-000000040");
  EXPECT_GT(result.bytes, 0U);
}

TEST_F(Checkpoint, SavingAStepAgainReplacesItAndLeavesNothingBehind) {
  save_step(8, State(1));
  const SaveResult again = save_step(8, State(2));

  ASSERT_TRUE(again.saved) << again.trouble;
  EXPECT_EQ(loaded(open(again.directory)), State(2));
  EXPECT_EQ(names_in(run_ / "ckpt"), std::set<std::string>{"step-000000008"});
}

TEST_F(Checkpoint, RetentionKeepsTheLastTheBestAndEveryNth) {
  const Retention retention{/*keep_last=*/2, /*keep_best=*/1, /*keep_every=*/4};
  for (std::int64_t step = 1; step <= 11; ++step) {
    // Best at step 3; NaN (null in JSON) never counts; step 6 was not evaluated.
    json metrics = {{"val_bits_per_dim", 3.0 + 0.1 * static_cast<double>(std::abs(step - 3))}};
    if (step == 2) metrics["val_bits_per_dim"] = std::nan("");
    if (step == 6) metrics = json::object();
    const SaveResult result = save_step(step, State(1), Partition::balanced, metrics, retention);
    ASSERT_TRUE(result.saved && result.trouble.empty()) << result.trouble;
    EXPECT_TRUE(step < 3 || steps().contains(3)) << "the best is gone at step " << step;
    EXPECT_GE(steps().size(), std::min<std::size_t>(2, static_cast<std::size_t>(step)));
    comm_.barrier();
  }

  EXPECT_EQ(steps(), (std::set<std::int64_t>{3, 4, 8, 10, 11}));
  EXPECT_EQ(best(run_)->manifest.at("step"), 3);
  EXPECT_EQ(names_in(run_ / "ckpt").size(), 5U);
}

TEST_F(Checkpoint, RetentionNeverKeepsFewerThanTwoNorTouchesWhatItDidNotMake) {
  save_step(1, State(1));
  on_root([&] {
    fs::create_directories(run_ / "ckpt" / "my-notes");
    fs::create_directories(run_ / "ckpt" / "step-3-backup");
    fs::create_directories(run_ / "ckpt" / ".tmp-step-000000099-1-dead");
    fs::create_directories(run_ / "ckpt" / ".trash-step-000000098-1-dead");
  });
  for (std::int64_t step = 2; step <= 5; ++step) {
    save_step(step, State(1), Partition::whole, {}, {/*keep_last=*/0, 0, 0});
  }

  EXPECT_EQ(names_in(run_ / "ckpt"), (std::set<std::string>{"my-notes", "step-3-backup",
                                                            "step-000000004", "step-000000005"}));
}

TEST_F(Checkpoint, RetentionLeavesCheckpointsOfLaterStepsAlone) {
  for (const std::int64_t step : {10, 20, 30}) save_step(step, State(1));

  save_step(15, State(1), Partition::whole, {}, {2, 0, 0});

  EXPECT_EQ(steps(), (std::set<std::int64_t>{10, 15, 20, 30}));
}

TEST_F(Checkpoint, ATensorOfAnotherShapeIsNamedWithBothShapes) {
  const Found found = open(save_step(1, State(1)).directory);
  Matrix<double> small(3, 3);

  const std::string message = message_of_load(found, {columns_of<void*>("layer/0/W", small, 0, 3)});

  EXPECT_NE(message.find("layer/0/W is 7 x 7 in the checkpoint, 3 x 3 here"), std::string::npos)
      << message;
}

TEST_F(Checkpoint, AnotherPrecisionIsNamedWithTheRemedy) {
  const Found found = open(save_step(1, State(1)).directory);
  Matrix<float> weight(dimension, dimension);

  const std::string message =
      message_of_load(found, {columns_of<void*>("layer/0/W", weight, 0, dimension)});

  EXPECT_NE(message.find("--precision float64"), std::string::npos) << message;
}

TEST_F(Checkpoint, AMissingTensorIsNamed) {
  const Found found = open(save_step(1, State(1)).directory);
  Matrix<double> weight(dimension, dimension);

  const std::string message =
      message_of_load(found, {columns_of<void*>("layer/1/W", weight, 0, dimension)});

  EXPECT_NE(message.find("holds no layer/1/W"), std::string::npos) << message;
  EXPECT_NE(message.find("layer/0/W.adam_m"), std::string::npos) << message;
}

TEST_F(Checkpoint, TroubleOnOneRankIsTroubleOnAll) {
  const Found found = open(save_step(1, State(1)).directory);
  State state(0);
  std::vector<MutableBlock> blocks = blocks_of<void*>(state, Partition::whole, comm_);
  const int last = comm_.world_size() - 1;
  if (comm_.rank() == last) blocks[0].name = "layer/9/W";

  const std::string message = message_of_load(found, blocks);

  EXPECT_NE(message.find("layer/9/W"), std::string::npos) << message;
}

TEST_F(Checkpoint, BlocksThatDoNotFitAreABugOnEveryRank) {
  const State state(1);
  std::vector<ConstBlock> blocks = blocks_of<const void*>(state, Partition::whole, comm_);
  blocks[0].col_end = dimension - 1;

  EXPECT_THROW(save(comm_, run_, 1, {}, blocks, {}), ShapeError);
  EXPECT_FALSE(fs::exists(run_ / "ckpt"));
}

TEST_F(Checkpoint, ADiskThatFillsUpKeepsTheOldCheckpointAndIsReportedOnEveryRank) {
  save_step(1, State(1));
  struct rlimit before = {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  // Only the last rank's disk is full; it writes because the partition gives it a block. In between
  // files fail at their structure, at their bytes, or not at all but for the manifest.
  for (const rlim_t limit : {rlim_t{1}, rlim_t{1000}, rlim_t{2300}}) {
    const struct rlimit small = {limit, before.rlim_max};
    if (comm_.rank() == comm_.world_size() - 1) ::setrlimit(RLIMIT_FSIZE, &small);

    const SaveResult result = save_step(2, State(2), Partition::balanced);

    ::setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_FALSE(result.saved) << "limit " << limit;
    EXPECT_NE(result.trouble.find("File too large"), std::string::npos) << result.trouble;
    EXPECT_EQ(result.trouble.find('\n'), std::string::npos) << result.trouble;
    EXPECT_EQ(names_in(run_ / "ckpt"), std::set<std::string>{"step-000000001"});
    EXPECT_EQ(loaded(list(run_).front()), State(1));
  }
  std::signal(SIGXFSZ, handler);

  EXPECT_TRUE(save_step(2, State(2), Partition::balanced).saved);
}

TEST_F(Checkpoint, AFailureAfterAnyPhaseLeavesTheOldOrTheNewCheckpointWhole) {
  const std::vector<std::pair<std::string, bool>> phases = {
      {"staged", false}, {"created", false}, {"written", false},
      {"synced", false}, {"agreed", false},  {"manifest", false},
      {"renamed", true}, {"latest", true},   {"trashed", true}};
  const Retention retention{2, 0, 0};
  save_step(1, State(1), Partition::whole, {}, retention);
  save_step(2, State(2), Partition::whole, {}, retention);
  std::int64_t newest = 2;
  for (const auto& [phase, saved] : phases) {
    ::setenv("RELGRAD_FAULT", ("checkpoint:" + phase + ":fail").c_str(), 1);
    const auto step = newest + 1;

    const SaveResult result =
        save_step(step, State(static_cast<double>(step)), Partition::balanced, {}, retention);

    ::unsetenv("RELGRAD_FAULT");
    EXPECT_EQ(result.saved, saved) << phase;
    EXPECT_NE(result.trouble.find("RELGRAD_FAULT"), std::string::npos) << result.trouble;
    if (saved) newest = step;
    EXPECT_EQ(steps().contains(step), saved) << phase;
    EXPECT_EQ(loaded(list(run_).front()), State(static_cast<double>(newest))) << phase;
  }

  const SaveResult after = save_step(100, State(100), Partition::balanced, {}, retention);

  EXPECT_TRUE(after.saved && after.trouble.empty()) << after.trouble;
  EXPECT_EQ(steps().size(), 2U);
  EXPECT_EQ(names_in(run_ / "ckpt").size(), 2U);  // no leftovers
}

/// Flips one bit of a byte of the file, and back at the end of the scope.
class FlippedBit {
 public:
  FlippedBit(fs::path path, std::uint64_t at, int bit)
      : path_(std::move(path)), at_(at), bit_(bit) {
    flip();
  }
  ~FlippedBit() { flip(); }
  FlippedBit(const FlippedBit&) = delete;
  FlippedBit& operator=(const FlippedBit&) = delete;

 private:
  void flip() const {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at_));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(at_));
    file.put(static_cast<char>(byte ^ (1 << bit_)));
  }
  fs::path path_;
  std::uint64_t at_;
  int bit_;
};

TEST_F(Checkpoint, AFlippedBitAnywhereIsDetectedOrHarmless) {
  const State state(1.1);
  const Found found = open(save_step(7, state, Partition::balanced).directory);
  const std::vector<std::string> files = [&] {
    const auto names = names_in(found.directory);
    return std::vector<std::string>(names.begin(), names.end());
  }();
  const unsigned seed = 20240607;
  std::mt19937_64 random(seed);
  int detected = 0;
  for (int trial = 0; trial < 120; ++trial) {
    const fs::path file = found.directory / files[random() % files.size()];
    const std::uint64_t at = random() % fs::file_size(file);
    const int bit = static_cast<int>(random() % 8);
    std::optional<FlippedBit> flipped;
    on_root([&] { flipped.emplace(file, at, bit); });

    bool refused = true;
    State back(0);
    // Rank 0 finds, as a resume does; trouble of opening is a refusal too.
    std::string trouble;
    if (comm_.is_root()) {
      try {
        open(found.directory);
      } catch (const CheckpointError& error) {
        trouble = error.what();
      }
    }
    trouble = comm_.broadcast_string(trouble);
    if (trouble.empty()) {
      try {
        load(comm_, open(found.directory), blocks_of<void*>(back, Partition::whole, comm_));
        refused = false;
      } catch (const CheckpointError&) {
      }
    }
    const bool verified = verify(found).empty();
    on_root([&] { flipped.reset(); });

    const std::string where = file.filename().string() + " byte " + std::to_string(at) + " bit " +
                              std::to_string(bit) + " seed " + std::to_string(seed);
    EXPECT_TRUE(refused || back == state) << where;
    EXPECT_EQ(refused, !verified) << where;
    detected += refused ? 1 : 0;
  }
  EXPECT_GT(detected, 60);  // a good part of the manifest is white space
}

TEST_F(Checkpoint, DamagedCheckpointsAreNamedAndTheOlderOneIsFound) {
  save_step(1, State(1));
  const std::vector<std::pair<std::string, std::function<void(const fs::path&)>>> damages = {
      {"shard-0000.h5: has",
       [](const fs::path& newest) { fs::resize_file(newest / "shard-0000.h5", 100); }},
      {"shard-0000.h5: No such file",
       [](const fs::path& newest) { fs::remove(newest / "shard-0000.h5"); }},
      {"manifest.json: cannot read: No such file",
       [](const fs::path& newest) { fs::remove(newest / "manifest.json"); }},
      {"manifest.json: cannot be read",
       [](const fs::path& newest) { fs::resize_file(newest / "manifest.json", 300); }},
      {"holds no format_version",
       [](const fs::path& newest) { std::ofstream(newest / "manifest.json") << "[]"; }},
      {"is newer than this program reads",
       [](const fs::path& newest) {
         std::ofstream(newest / "manifest.json") << R"({"format_version": 99})";
       }},
      {"its checksum does not hold",
       [](const fs::path& newest) {
         std::ofstream(newest / "manifest.json") << R"({"format_version": 1})";
       }},
  };
  for (const auto& [expected, damage] : damages) {
    const SaveResult result = save_step(2, State(2));
    ASSERT_TRUE(result.saved && result.trouble.empty()) << result.trouble;
    on_root([&] { damage(result.directory); });

    std::vector<std::string> rejected;
    const std::vector<Found> found = list(run_, &rejected);

    ASSERT_EQ(found.size(), 1U) << expected;
    EXPECT_EQ(found.front().manifest.at("step"), 1);
    ASSERT_EQ(rejected.size(), 1U);
    EXPECT_NE(rejected.front().find(expected), std::string::npos) << rejected.front();
    comm_.barrier();
  }
}

TEST_F(Checkpoint, VerifyNamesFilesThatDoNotBelong) {
  const Found found = open(save_step(1, State(1)).directory);
  on_root([&] { std::ofstream(found.directory / "shard-0007.h5") << "x"; });

  const std::vector<std::string> problems = verify(found);

  ASSERT_EQ(problems.size(), 1U);
  EXPECT_NE(problems.front().find("shard-0007.h5: is not part"), std::string::npos);
}

TEST_F(Checkpoint, NothingSavedMeansNothingFoundWithoutTrouble) {
  std::vector<std::string> rejected;

  EXPECT_TRUE(list(run_, &rejected).empty());
  EXPECT_TRUE(rejected.empty());
  EXPECT_FALSE(best(run_).has_value());
}

TEST_F(Checkpoint, ACopySetAsideCountsUntilTheNewOneHasItsName) {
  save_step(3, State(3));
  on_root([&] {
    fs::rename(run_ / "ckpt" / "step-000000003", run_ / "ckpt" / ".aside-step-000000003-1-ab");
  });
  EXPECT_EQ(loaded(list(run_).front()), State(3));

  save_step(4, State(4));

  EXPECT_EQ(names_in(run_ / "ckpt"), (std::set<std::string>{"step-000000003", "step-000000004"}));
}

}  // namespace
}  // namespace relgrad::checkpoint
