#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "relgrad/core/error.hpp"
#include "run/resume.hpp"

namespace relgrad {
namespace {

RunState some_state() {
  RunState state;
  state.step = 17;
  state.position = {123456789012ULL, 60000};
  state.last_val_bits_per_dim = 1.0 / 3;
  state.best_val_bits_per_dim = 0.1;
  state.best_step = 11;
  state.last_evaluated_step = 17;
  state.evaluations_without_best = 2;
  state.log_abs_det = -1e-17;
  state.log_abs_det_step = 17;
  state.log_abs_det_lu_step = 12;
  state.unlogged_log_likelihood = -12345.678901234567;
  state.unlogged_log_abs_det = 1.0 / 7;
  state.unlogged_transform_log_slope = -1.0 / 9;
  state.unlogged_samples = 300;
  state.updates = 13;
  state.skipped_steps = 4;
  state.rollbacks = 1;
  state.record({"lr: 0.001 -> 0.0005", "epochs: 10 -> 20"});
  return state;
}

TEST(RunState, ComesBackFromTextToTheLastBit) {
  const RunState state = some_state();

  const RunState again = run_state_from(nlohmann::json::parse(to_json(state).dump()));

  EXPECT_EQ(again.step, state.step);
  EXPECT_EQ(again.position.samples_consumed, state.position.samples_consumed);
  EXPECT_EQ(again.position.rows, state.position.rows);
  EXPECT_EQ(again.last_val_bits_per_dim, state.last_val_bits_per_dim);
  EXPECT_EQ(again.best_val_bits_per_dim, state.best_val_bits_per_dim);
  EXPECT_EQ(again.best_step, state.best_step);
  EXPECT_EQ(again.last_evaluated_step, state.last_evaluated_step);
  EXPECT_EQ(again.evaluations_without_best, state.evaluations_without_best);
  EXPECT_EQ(again.log_abs_det, state.log_abs_det);
  EXPECT_EQ(again.log_abs_det_step, state.log_abs_det_step);
  EXPECT_EQ(again.log_abs_det_lu_step, state.log_abs_det_lu_step);
  EXPECT_EQ(again.unlogged_log_likelihood, state.unlogged_log_likelihood);
  EXPECT_EQ(again.unlogged_log_abs_det, state.unlogged_log_abs_det);
  EXPECT_EQ(again.unlogged_transform_log_slope, state.unlogged_transform_log_slope);
  EXPECT_EQ(again.unlogged_samples, state.unlogged_samples);
  EXPECT_EQ(again.updates, state.updates);
  EXPECT_EQ(again.skipped_steps, state.skipped_steps);
  EXPECT_EQ(again.rollbacks, state.rollbacks);
  EXPECT_EQ(again.history, state.history);
  EXPECT_EQ(again.history.at(0).at("step"), 17);
  EXPECT_EQ(again.history.at(0).at("changes").at(1), "epochs: 10 -> 20");
}

TEST(RunState, OfACheckpointFromBeforeStepsCouldBeLeftOutHasMadeEveryUpdate) {
  nlohmann::json json = to_json(some_state());
  for (const char* key : {"updates", "skipped_steps", "rollbacks", "history"}) json.erase(key);

  const RunState again = run_state_from(json);

  EXPECT_EQ(again.updates, 17);
  EXPECT_EQ(again.skipped_steps, 0);
  EXPECT_TRUE(again.history.empty());
}

TEST(RunState, CountsAValidationThatIsNotFiniteAsNoBetter) {
  RunState state = some_state();
  state.record_validation(std::nan(""));
  EXPECT_EQ(state.best_val_bits_per_dim, 0.1);
  EXPECT_EQ(state.evaluations_without_best, 3);
  EXPECT_TRUE(std::isinf(state.last_val_bits_per_dim));
  state.record_validation(0.05);
  EXPECT_EQ(state.best_val_bits_per_dim, 0.05);
  EXPECT_EQ(state.best_step, 17);
  EXPECT_EQ(state.evaluations_without_best, 0);
}

TEST(RunState, BeforeTheFirstValidationComesBackAsThat) {
  RunState state;
  state.position.rows = 10;

  const RunState again = run_state_from(nlohmann::json::parse(to_json(state).dump()));

  EXPECT_TRUE(std::isnan(again.last_val_bits_per_dim));
  EXPECT_TRUE(std::isinf(again.best_val_bits_per_dim));
  EXPECT_TRUE(std::isnan(again.log_abs_det));
  EXPECT_EQ(again.last_evaluated_step, -1);
}

TEST(RunState, KnowsWhoseLogAbsDetItHas) {
  RunState state = some_state();
  state.step = 20;
  state.record_log_abs_det(2.5);
  EXPECT_EQ(state.log_abs_det, 2.5);
  EXPECT_EQ(state.log_abs_det_step, 20);
  EXPECT_EQ(state.log_abs_det_lu_step, 20);

  // a checkpoint from before it was kept apart has the log|det| of its last evaluation
  nlohmann::json json = to_json(state);
  for (const char* key : {"log_abs_det_step", "log_abs_det_lu_step", "unlogged_log_abs_det_nats"}) {
    json["metrics"].erase(key);
  }
  const RunState again = run_state_from(json);
  EXPECT_EQ(again.log_abs_det_step, 17);
  EXPECT_EQ(again.log_abs_det_lu_step, 17);
  EXPECT_TRUE(std::isnan(again.unlogged_log_abs_det));
}

TEST(RunState, TellsACheckpointsValidationOnlyIfItIsOfItsStep) {
  RunState state = some_state();
  EXPECT_EQ(to_json(state).at("metrics").at("val_bits_per_dim"), 1.0 / 3);
  state.step = 18;
  EXPECT_TRUE(to_json(state).at("metrics").at("val_bits_per_dim").is_null());
}

TEST(RunState, AValidationAtAStopIsOfThatCheckpointAlone) {
  RunState state = some_state();
  state.step = 18;
  state.val_bits_per_dim_at_stop = 0.05;
  EXPECT_EQ(to_json(state).at("metrics").at("val_bits_per_dim"), 0.05);
  EXPECT_EQ(state.best_known_bits_per_dim(), 0.05);

  const RunState again = run_state_from(to_json(state));

  EXPECT_FALSE(again.val_bits_per_dim().has_value());
  EXPECT_EQ(again.best_val_bits_per_dim, 0.1);
  EXPECT_EQ(again.last_val_bits_per_dim, 1.0 / 3);
}

checkpoint::Found sound_checkpoint() {
  nlohmann::json state = to_json(some_state());
  state["seed"] = 1;
  state["options"] = {{"batch-size", "100"}};
  state["model"] = {
      {"dimension", 4},
      {"precision", "float32"},
      {"layers", nlohmann::json::array()},
      {"data", {{"name", "a"}, {"type", "uint8"}, {"identity", "b"}, {"sample_shape", {4}}}}};
  return {"ckpt/step-000000017", {{"step", 17}, {"state", state}}};
}

TEST(CheckState, NamesWhatIsMissingOfAnotherTypeOrOutOfRange) {
  EXPECT_NO_THROW(check_state(sound_checkpoint()));
  const std::int64_t far_away = std::int64_t{1} << 62;
  for (const auto& [place, value] : std::vector<std::pair<std::string, nlohmann::json>>{
           {"/rows", 0},
           {"/rows", -1},
           {"/rows", far_away},
           {"/rows", nullptr},
           {"/step", far_away},
           {"/step", 18},
           {"/samples_consumed", far_away},
           {"/samples_consumed", 1.5},
           {"/seed", "x"},
           {"/options", {{"lr", 3}}},
           {"/history", {{{"step", 3}}}},
           {"/metrics", nullptr},
           {"/model/dimension", 0},
           {"/model/layers", 3},
           {"/model/data", nlohmann::json::array()}}) {
    checkpoint::Found found = sound_checkpoint();
    found.manifest["state"][nlohmann::json::json_pointer(place)] = value;
    EXPECT_THROW(check_state(found), CheckpointError) << place << " " << value;
  }
}

TEST(RunState, WithAFieldMissingIsACheckpointError) {
  nlohmann::json json = to_json(some_state());
  json.erase("samples_consumed");
  EXPECT_THROW(run_state_from(json), CheckpointError);
}

TEST(ConfigText, HoldsEveryOptionInLinesThatAreNoComments) {
  TrainOptions options;
  options.lr = 0.125;
  const std::string text = config_text(options);
  EXPECT_NE(text.find("\nlr = 0.125\n"), std::string::npos);
  EXPECT_NE(text.find("\nbatch-size = 100\n"), std::string::npos);
}

}  // namespace
}  // namespace relgrad
