// What a save keeps and a load brings back. Every rank runs every test; run with 1, 2 and 4 ranks.
#include "checkpoint/checkpoint_fixture.hpp"

namespace relgrad::checkpoint {
namespace {

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

// What training does to the tensors while the thread writes must not reach the file.
TEST_F(Checkpoint, WrittenInBackgroundHoldsWhatWasThereWhenItBegan) {
  State state(3);
  const State as_begun = state;
  Save save(comm_, run_, 40, {{"step", 40}},
            blocks_of<const void*>(state, Partition::balanced, comm_), {}, Writing::in_background);
  state = State(-8);
  EXPECT_EQ(save.step(), 40);
  const SaveResult result = save.finish();
  EXPECT_TRUE(save.is_written());

  ASSERT_TRUE(result.saved) << result.trouble;
  EXPECT_TRUE(loaded(open(result.directory)) == as_begun);
  EXPECT_EQ(verify(open(result.directory)), std::vector<std::string>{});
}

TEST_F(Checkpoint, ThatIsNotFinishedDoesNotExistAndTheNextSaveTidiesUp) {
  const State state(3);
  ASSERT_TRUE(save_step(1, state).saved);
  {
    const Save save(comm_, run_, 2, {{"step", 2}},
                    blocks_of<const void*>(state, Partition::whole, comm_), {},
                    Writing::in_background);
  }
  comm_.barrier();
  EXPECT_EQ(steps(), std::set<std::int64_t>{1});
  ASSERT_TRUE(save_step(3, state).saved);
  EXPECT_EQ(names_in(run_ / "ckpt"), (std::set<std::string>{"step-000000001", "step-000000003"}));
}

}  // namespace
}  // namespace relgrad::checkpoint
