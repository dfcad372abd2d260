// Every rank runs every test; run with 1, 2 and 4 ranks.
#include <gtest/gtest.h>

#include "relgrad/core/error.hpp"
#include "relgrad/data/prepare.hpp"
#include "start/model.hpp"
#include "support/temporary_directory.hpp"

namespace relgrad {
namespace {

namespace fs = std::filesystem;

/// A data set whose training split can be made unreadable: its shards are cut to nothing while they
/// are open, and whoever reads a row fails.
class UnreadableTraining {
 public:
  UnreadableTraining() {
    PrepareOptions options;
    options.synthetic = "images";
    options.size = ImageSize{4, 4};
    options.rows = 40;
    options.output = path();
    prepare(options);
    dataset_ = read_dataset_info(path());
    train_ = std::make_unique<SplitReader>(path(), dataset_, "train");
  }
  const DatasetInfo& dataset() const { return dataset_; }
  const SplitReader& train() const { return *train_; }
  void cut() {
    train_ = std::make_unique<SplitReader>(path(), dataset_, "train");  // has read no row yet
    for (const auto& entry : fs::directory_iterator(path())) {
      if (entry.path().filename().string().starts_with("train-")) fs::resize_file(entry.path(), 1);
    }
  }

 private:
  fs::path path() const { return directory_.path() / "data"; }
  test::TemporaryDirectory directory_;
  DatasetInfo dataset_;
  std::unique_ptr<SplitReader> train_;
};

class ModelOfARun : public testing::Test {
 protected:
  Model<float> built(const std::vector<checkpoint::Found>& resumed) const {
    return build_model<float>(options_, data_.dataset(), data_.train(), products_, comm_, nullptr,
                              resumed);
  }
  /// A checkpoint of `model`, as a run saves it.
  std::vector<checkpoint::Found> saved(const Model<float>& model) const {
    const fs::path run = comm_.broadcast_string(run_.path().string());
    const nlohmann::json state = {{"step", 1},
                                  {"model", describe(model.flow->spec(), model.transform_options,
                                                     data_.dataset(), "float32")}};
    auto blocks = as_const_blocks(parameter_blocks(model.flow->parameters()));
    const std::vector<TransformTable> tables = model.transform->tables();
    for (const auto& block : table_blocks(tables)) blocks.push_back(block);
    EXPECT_TRUE(checkpoint::save(comm_, run, 1, state, blocks, {}).saved);
    return checkpoint::list(run);
  }
  void expect_resumed_without_training_samples() {
    const Model<float> fresh = built({});
    const std::vector<checkpoint::Found> checkpoints = saved(fresh);
    ASSERT_EQ(checkpoints.size(), 1U);
    data_.cut();
    EXPECT_THROW(built({}), Error);  // a fit needs the samples

    const Model<float> resumed = built(checkpoints);

    const auto expected = fresh.transform->tables();
    const auto tables = resumed.transform->tables();
    ASSERT_EQ(tables.size(), expected.size());
    ASSERT_FALSE(tables.empty());
    for (std::size_t i = 0; i < tables.size(); ++i) {
      EXPECT_EQ(tables[i].name, expected[i].name);
      EXPECT_EQ(tables[i].values, expected[i].values) << tables[i].name;
    }
  }

  mpi::Communicator comm_ = mpi::Communicator::world();
  Products products_{ProductBackend::openblas};
  UnreadableTraining data_;
  test::TemporaryDirectory run_;
  TrainOptions options_;
};

TEST_F(ModelOfARun, TakesItsMarginalFromTheCheckpointWithoutATrainingSample) {
  options_.marginal = true;
  expect_resumed_without_training_samples();
}

TEST_F(ModelOfARun, TakesItsMomentsFromTheCheckpointWithoutATrainingSample) {
  options_.marginal = false;
  options_.transform = "standardize";
  expect_resumed_without_training_samples();
}

TEST_F(ModelOfARun, HasALogitWithoutATrainingSample) {
  options_.marginal = false;
  options_.transform = "logit";
  data_.cut();
  EXPECT_EQ(built({}).transform->kind(), TransformKind::logit);
}

}  // namespace
}  // namespace relgrad
