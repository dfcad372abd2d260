// Every rank runs every test; run with 1, 2 and 4 ranks.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <new>
#include <thread>

#include "relgrad/core/error.hpp"
#include "relgrad/mpi/session.hpp"
#include "step/step.hpp"
#include "step/update_runs.hpp"
#include "tuning/overlap.hpp"

namespace relgrad {
namespace {

using test::dimension;
using test::distance;
using test::End;
using test::HookedExchange;
using test::self_normalizing;
using test::Setting;
using test::train_tracked;

constexpr int steps = 3;

/// The end with overlap, the exchange so late that the backward pass is far ahead of it.
End overlapped(Setting setting) {
  setting.overlaps = true;
  setting.before_product = [] { std::this_thread::sleep_for(std::chrono::milliseconds(3)); };
  return train_tracked(setting, steps);
}

std::vector<GradientOptions> all_gradients() {
  GradientOptions plain(GradientKind::plain);
  GradientOptions plain_rarely(GradientKind::plain);
  plain_rarely.inverse_every = 2;
  GradientOptions newton = self_normalizing(false);
  newton.newton_rows = 4;
  return {GradientOptions(GradientKind::relative),
          self_normalizing(false),
          self_normalizing(true),
          newton,
          plain,
          plain_rarely};
}

std::string name_of_setting(const Setting& setting) {
  return fmt::format("{}, {}, {}", setting.exchange, name_of(setting.gradient.kind),
                     name_of(setting.optimizer.kind));
}

void expect_no_difference(const Setting& setting) {
  const End without = train_tracked(setting, steps);
  const End with = overlapped(setting);
  EXPECT_GT(
      distance(without.values, test::whole_values(test::start(setting.gradient, nullptr,
                                                              setting.layers, setting.products))),
      1e-3);
  if (setting.exact_terms > 0) {
    EXPECT_EQ(with.values, without.values) << name_of_setting(setting);
  }
  EXPECT_LT(distance(with.values, without.values), 1e-12) << name_of_setting(setting);
  if (setting.tracks) {
    EXPECT_NEAR(with.tracked, without.tracked, 1e-12) << name_of_setting(setting);
  }
  EXPECT_EQ(without.waited, 0);
  EXPECT_GT(with.waited, 0) << name_of_setting(setting);
}

TEST(Overlap, EndsWithTheSameParametersUnderEveryExchangeAndEstimator) {
  for (const char* exchange : {"dense", "sharded", "factor", "gathered"}) {
    for (const GradientOptions& gradient : all_gradients()) {
      Setting setting;
      setting.exchange = exchange;
      setting.gradient = gradient;
      setting.layers = 3;
      setting.optimizer.weight_decay = 0.1;
      expect_no_difference(setting);
    }
  }
}

TEST(Overlap, EndsWithTheSameBitsWhereSumsHaveAnOrder) {
  for (const GradientOptions& gradient : all_gradients()) {
    Setting setting;
    setting.exchange = "factor";
    setting.gradient = gradient;
    setting.layers = 3;
    setting.products = ProductBackend::ordered;
    setting.exact_terms = 64;
    expect_no_difference(setting);
  }
}

TEST(Overlap, TracksTheSameLogAbsDet) {
  for (const OptimizerKind kind : {OptimizerKind::sgd, OptimizerKind::natural}) {
    Setting setting;
    setting.exchange = "factor";
    setting.optimizer.kind = kind;
    setting.samples = 10;
    setting.layers = 3;
    setting.tracks = true;
    expect_no_difference(setting);
  }
}

mpi::Communicator alone() {
  const auto world = mpi::Communicator::world();
  return world.split(world.rank(), 0);
}

/// A model whose exchange, dense between the ranks of `comm`, calls `before` before every of its
/// three outer products.
class OneStep {
 public:
  OneStep(mpi::Communicator comm, std::function<void()> before, bool overlaps = true)
      : comm_(std::move(comm)),
        exchange_(make_exchange<double>("dense", comm_, products_), std::move(before)),
        update_(make_update<double>(flow_, exchange_, products_, OptimizerOptions{}, 0, 0, false,
                                    overlaps)),
        step_(flow_, samples, GradientKind::relative, exchange_, *update_, comm_) {
    batch_.x = test::normal_matrix<double>(dimension, samples, 5);
    batch_.log_slope.assign(samples, 0.0);
    batch_.count = samples;
    batch_.global_count = samples * comm_.world_size();
  }

  void begin_and_backward() {
    status_ = step_.look(&batch_, {});
    update_->begin(numbers());
    backward(flow_, step_.workspace(), *make_linear_gradient<double>(GradientKind::relative),
             *update_);
  }
  void finish() { update_->finish(); }
  /// A whole step. Returns the seconds of its second half as it counts them.
  StepSeconds seconds() {
    status_ = step_.look(&batch_, {});
    step_.take_seconds();
    step_.move(numbers());
    return step_.take_seconds();
  }
  std::int64_t bytes_sent() { return step_.take_bytes_sent(); }
  std::vector<double> values() const { return test::whole_values(flow_); }

 private:
  StepNumbers numbers() const { return {0, status_.samples, 0.01, 0.01}; }

  static constexpr Index samples = 4;
  mpi::Communicator comm_;
  Products products_{ProductBackend::openblas};
  Flow<double> flow_ = test::start({}, nullptr, 3);
  HookedExchange exchange_;
  std::unique_ptr<Update<double>> update_;
  TrainStep<double> step_;
  PreparedBatch<double> batch_;
  StepStatus status_;
};

TEST(Overlap, TheBackwardPassEndsWhileTheFirstExchangeIsHeldUp) {
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  OneStep step(mpi::Communicator::world(), [&] { released.wait_for(std::chrono::seconds(100)); });
  const std::vector<double> before = step.values();

  step.begin_and_backward();

  EXPECT_EQ(step.values(), before);
  release.set_value();
  step.finish();
  EXPECT_GT(distance(step.values(), before), 1e-3);
}

TEST(Overlap, OfAStepTheWaitForItIsExposedAndThePartsAddUp) {
  constexpr double late = 0.02;  // seconds
  std::int64_t bytes_sent = 0;
  for (const bool overlaps : {false, true}) {
    OneStep step(
        mpi::Communicator::world(),
        [&] { std::this_thread::sleep_for(std::chrono::duration<double>(late)); }, overlaps);

    const auto start = std::chrono::steady_clock::now();
    const StepSeconds seconds = step.seconds();
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;

    // The step begins before the first of its three waits and ends after the last.
    const double sum = seconds.backward + seconds.exposed + seconds.optimizer;
    EXPECT_GE(sum, 3 * late);
    EXPECT_LE(sum, wall.count());
    EXPECT_GE(seconds.backward, 0);
    if (!overlaps) {
      EXPECT_GE(seconds.backward, 3 * late);
      EXPECT_EQ(seconds.exposed, seconds.exchange);
      bytes_sent = step.bytes_sent();
    } else {
      EXPECT_GT(seconds.exposed, 0);
      EXPECT_EQ(step.bytes_sent(), bytes_sent);
    }
  }
}

TEST(Overlap, AnErrorOfTheThreadComesOutOfFinishOnEveryRank) {
  int calls = 0;
  OneStep step(mpi::Communicator::world(), [&] {
    if (++calls == 2) throw Error(ExitCode::disk, "the second").set_agreed();
  });

  EXPECT_NO_THROW(step.begin_and_backward());

  try {
    step.finish();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "the second");
    EXPECT_TRUE(error.agreed());
  }
  EXPECT_EQ(calls, 2);  // no outer product after it
  const std::vector<double> before = step.values();
  step.begin_and_backward();
  step.finish();  // a step after it is a step like any other
  EXPECT_EQ(calls, 5);
  EXPECT_GT(distance(step.values(), before), 1e-3);
}

TEST(Overlap, AnErrorThatOneRankIsAloneWithComesOutThere) {
  const bool fails = mpi::Communicator::world().is_root();
  OneStep step(alone(), [&] {
    if (fails) throw std::bad_alloc();
  });
  step.begin_and_backward();
  if (fails) {
    EXPECT_THROW(step.finish(), std::bad_alloc);
  } else {
    EXPECT_NO_THROW(step.finish());
  }
}

TEST(Overlap, LeavesOutWhatIsNotBegunWhenTheUpdateIsGivenUp) {
  // On a busy machine the thread may do all before this one gives up: then it is held up for
  // longer.
  int fewest = 3;
  for (int milliseconds = 100; fewest == 3 && milliseconds < 10000; milliseconds *= 4) {
    std::atomic<int> calls = 0;
    {
      OneStep step(alone(), [&] {
        ++calls;
        std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      });
      step.begin_and_backward();
    }
    fewest = calls;
  }
  EXPECT_LT(fewest, 3);
}

TEST(Overlap, OfClippingAndOfTheRowExchangeIsRefused) {
  Setting setting;
  setting.overlaps = true;
  setting.clip_norm = 1;
  EXPECT_THROW(train_tracked(setting, 1), UsageError);
  setting.clip_norm = 0;
  setting.row_groups = mpi::Communicator::world().world_size();
  if (setting.row_groups > 1) {
    EXPECT_THROW(train_tracked(setting, 1), UsageError);
  }
}

TEST(OverlapChoice, ThisMpiServesTheThread) { EXPECT_TRUE(mpi::serves_every_thread()); }

TEST(OverlapChoice, OwnCpusAreSharedByTheRanksThatMayRunOnThem) {
  const std::vector<std::string> places{"a 1111", "a 1111", "a 0011", "b 0011", "c 0000"};
  EXPECT_DOUBLE_EQ(own_cpus(places, 0), 2 * 1.0 / 2 + 2 * 1.0 / 3);
  EXPECT_DOUBLE_EQ(own_cpus(places, 2), 2 * 1.0 / 3);
  EXPECT_DOUBLE_EQ(own_cpus(places, 3), 2);
  EXPECT_DOUBLE_EQ(own_cpus(places, 4), 0);
}

class OverlapChoiceOf : public testing::Test {
 protected:
  OverlapChoice choice(const std::string& exchange) const {
    return choose_overlap(options_, exchange, comm_);
  }
  mpi::Communicator comm_ = mpi::Communicator::world();
  TrainOptions options_;
};

TEST_F(OverlapChoiceOf, AutoIsOffWithAReason) {
  EXPECT_EQ(choice("row").is_on, false);
  options_.threads = 1024;  // more than there are CPUs
  const OverlapChoice of_threads = choice("sharded");
  EXPECT_EQ(of_threads.is_on, false);
  EXPECT_NE(of_threads.reason.find(comm_.world_size() == 1 ? "one rank" : ", 1025 wanted"),
            std::string::npos)
      << of_threads.reason;
  options_.threads = 1;
  options_.layers = 1;
  EXPECT_EQ(choice("sharded").is_on, false);
  options_.layers = 2;
  options_.clip_norm = 1;
  EXPECT_EQ(choice("dense").is_on, false);
}

TEST_F(OverlapChoiceOf, OnAndOffAreTakenAtTheirWordOrRefused) {
  options_.overlap = "off";
  EXPECT_FALSE(choice("sharded").is_on);
  options_.overlap = "on";
  EXPECT_TRUE(choice("sharded").is_on);
  EXPECT_THROW(choice("row"), UsageError);
  options_.clip_norm = 1;
  EXPECT_THROW(choice("dense"), UsageError);
}

}  // namespace
}  // namespace relgrad
