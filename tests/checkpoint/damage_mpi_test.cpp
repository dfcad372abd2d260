// Full disks, failures in the middle, flipped bits, missing files. Every rank runs every test; run
// with 1, 2 and 4 ranks.
#include "checkpoint/checkpoint_fixture.hpp"

namespace relgrad::checkpoint {
namespace {

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
    on_root([&result, &change = damage] { change(result.directory); });

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
