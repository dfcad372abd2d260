#include "options/option_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "options/option_value.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const OptionDescription& row(const std::string& name) {
  for (const OptionDescription& option : train_option_table()) {
    if (option.name == name) return option;
  }
  throw std::out_of_range("no option " + name);
}

/// What setting `name` to `text` says, or "accepted".
std::string answer(const std::string& name, const std::string& text) {
  TrainOptions options;
  try {
    row(name).set(options, text);
    return "accepted";
  } catch (const UsageError& error) {
    return error.what();
  }
}

/// A value of this option that is allowed and not the default.
std::string another_value(const OptionDescription& option) {
  const std::string standard = option.get(TrainOptions{});
  if (option.value == "DIR" || option.name == "resume") return "some/where";
  for (const char* text :
       {"true",       "false",  "7",     "0.125",     "relative",   "plain",   "sgd",
        "constant",   "dense",  "logit", "laplace",   "orthogonal", "float64", "openblas",
        "leaky-tanh", "linear", "skip",  "symmetric", "bf16",       "off"}) {
    if (text != standard && answer(option.name, text) == "accepted") return text;
  }
  return "";
}

TEST(OptionTable, EveryOptionReadsBackWhatItWrites) {
  for (const OptionDescription& option : train_option_table()) {
    if (option.is_retired) continue;
    const std::string text = another_value(option);
    TrainOptions options;

    option.set(options, text);

    EXPECT_EQ(option.get(options), text) << option.name;
    EXPECT_NE(option.get(TrainOptions{}), text) << option.name;
  }
}

TEST(OptionTable, EveryOptionWritesAFieldOfItsOwn) {
  for (const OptionDescription& option : train_option_table()) {
    if (option.is_retired) continue;
    TrainOptions options;
    option.set(options, another_value(option));

    int changed = 0;
    for (const auto& [name, text] : to_map(options)) {
      if (text != to_map(TrainOptions{}).at(name)) ++changed;
    }
    EXPECT_EQ(changed, 1) << option.name;
  }
}

TEST(OptionTable, AcceptsEveryDefaultAndDescribesEveryOptionOnce) {
  std::set<std::string> names;
  for (const OptionDescription& option : train_option_table()) {
    if (option.is_retired) continue;
    const std::string standard = option.get(TrainOptions{});
    if (!standard.empty()) {
      EXPECT_EQ(answer(option.name, standard), "accepted") << option.name;
    }
    EXPECT_FALSE(option.group.empty()) << option.name;
    EXPECT_FALSE(option.range.empty()) << option.name;
    EXPECT_FALSE(option.meaning.empty()) << option.name;
    EXPECT_EQ(option.meaning.find('\n'), std::string::npos) << option.name;
    EXPECT_TRUE(names.insert(option.name).second) << option.name << " is there twice";
  }
}

TEST(OptionTable, AcceptsRetiredOptionsAndWritesThemNoMore) {
  TrainOptions options;
  row("overlap").set(options, "auto");
  EXPECT_FALSE(to_map(options).contains("overlap"));
}

TEST(OptionTable, AcceptsEveryChoiceItsRangeNames) {
  for (const OptionDescription& option : train_option_table()) {
    if (option.value != "NAME") continue;
    std::string range = option.range + " | ";
    for (std::size_t end; (end = range.find(" | ")) != std::string::npos; range.erase(0, end + 3)) {
      EXPECT_EQ(answer(option.name, range.substr(0, end)), "accepted") << option.name;
    }
  }
}

TEST(OptionTable, NamesOptionValueLimitAndRemedyWhenOutOfRange) {
  EXPECT_EQ(answer("lr", "-1"), "--lr: -1 is out of range (> 0); try 0.001");
  EXPECT_EQ(answer("lr", "0"), "--lr: 0 is out of range (> 0); try 0.001");
  EXPECT_EQ(answer("layers", "0"), "--layers: 0 is out of range (1 ... 1000); try 2");
  EXPECT_EQ(answer("layers", "1001"), "--layers: 1001 is out of range (1 ... 1000); try 2");
  EXPECT_EQ(answer("beta1", "1"), "--beta1: 1 is out of range (>= 0 and < 1); try 0.9");
  EXPECT_EQ(answer("keep-last", "1"), "--keep-last: 1 is out of range (2 ... 1000000); try 3");
  EXPECT_EQ(answer("seed", "-1"), "--seed: -1 is out of range (0 ... 2^64 - 1); try 1");
  EXPECT_THAT(answer("seed", "18446744073709551616"), HasSubstr("is out of range"));
  EXPECT_EQ(answer("seed", "18446744073709551615"), "accepted");
}

TEST(OptionTable, RefusesWhatIsNoNumber) {
  EXPECT_EQ(answer("lr", "fast"), "--lr: 'fast' is not a number; try 0.001");
  EXPECT_EQ(answer("lr", "1e-3x"), "--lr: '1e-3x' is not a number; try 0.001");
  EXPECT_EQ(answer("lr", ""), "--lr: '' is not a number; try 0.001");
  EXPECT_EQ(answer("lr", "nan"), "--lr: 'nan' is not a number; try 0.001");
  EXPECT_EQ(answer("lr", "inf"), "--lr: inf is out of range (> 0); try 0.001");
  EXPECT_EQ(answer("layers", "2.5"), "--layers: '2.5' is not a whole number; try 2");
}

TEST(OptionTable, SuggestsTheNearestChoiceAndListsAllOfThem) {
  EXPECT_EQ(answer("activation", "splin"),
            "--activation: 'splin' is not one of spline, smooth-leaky-relu, leaky-tanh, none; did "
            "you mean spline?");
  EXPECT_EQ(answer("precision", "half"), "--precision: 'half' is not one of float32, float64");
}

TEST(OptionTable, ReadsBooleansInTheUsualSpellings) {
  for (const char* text : {"true", "on", "yes", "1"}) EXPECT_TRUE(read_boolean("marginal", text));
  for (const char* text : {"false", "off", "no", "0"}) EXPECT_FALSE(read_boolean("marginal", text));
  EXPECT_EQ(answer("marginal", "maybe"),
            "--marginal: 'maybe' is neither true nor false; write true or false");
}

TEST(OptionTable, WritesNumbersThatReadBackExactly) {
  for (const double value : {0.1, 1.0 / 3.0, 1e-300, std::nextafter(1.0, 2.0)}) {
    TrainOptions options;
    options.lr = value;

    TrainOptions copy;
    row("lr").set(copy, row("lr").get(options));

    EXPECT_EQ(copy.lr, value);
  }
}

TEST(CompareOnResume, ReportsChangedResumableOptionsAndIsSilentOnFreeOnes) {
  TrainOptions now;
  now.lr = 0.01;
  now.epochs = 20;
  now.threads = 8;
  now.data = "elsewhere";

  const auto changes = compare_on_resume(now, to_map(TrainOptions{}));

  EXPECT_THAT(changes, ElementsAre("lr: 0.001 -> 0.01", "epochs: 10 -> 20"));
}

TEST(CompareOnResume, RefusesAChangedFrozenOptionAndNamesBothValues) {
  TrainOptions now;
  now.layers = 3;

  try {
    compare_on_resume(now, to_map(TrainOptions{}));
    FAIL() << "a changed number of layers was accepted";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("--layers: 3 differs from 2"), HasSubstr("give --layers 2")));
  }
}

TEST(CompareOnResume, AcceptsACheckpointThatKnowsFewerOrMoreOptions) {
  auto saved = to_map(TrainOptions{});
  saved.erase("layers");
  saved["option-of-another-version"] = "3";

  EXPECT_TRUE(compare_on_resume(TrainOptions{}, saved).empty());
}

TEST(DidYouMean, FindsNamesTwoEditsAwayOrThatStartWithTheText) {
  const std::vector<std::string> names{"lr", "layers", "save-every-seconds"};

  EXPECT_EQ(did_you_mean("layer", names, "--"), "; did you mean --layers?");
  EXPECT_EQ(did_you_mean("lyaers", names), "; did you mean layers?");
  EXPECT_EQ(did_you_mean("save-every", names), "; did you mean save-every-seconds?");
  EXPECT_EQ(did_you_mean("momentum", names), "");
  EXPECT_EQ(did_you_mean("xy", names), "");
}

}  // namespace
}  // namespace relgrad
