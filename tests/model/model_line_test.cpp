#include "relgrad/model/model_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relgrad/core/error.hpp"
#include "relgrad/model/flow.hpp"

namespace relgrad {
namespace {

using testing::HasSubstr;

std::vector<std::string> kinds_of(const std::string& line) {
  std::vector<std::string> kinds;
  for (const LayerSpec& layer : parse_model_line(line)) kinds.push_back(layer.kind);
  return kinds;
}

std::string refusal(const std::string& line) {
  try {
    parse_model_line(line);
    return "accepted";
  } catch (const UsageError& error) {
    return error.what();
  }
}

TEST(ModelLine, RepeatsWordsAndParentheses) {
  EXPECT_EQ(kinds_of("2*(linear 2*spline) squeeze"),
            (std::vector<std::string>{"linear", "spline", "spline", "linear", "spline", "spline",
                                      "squeeze"}));
}

TEST(ModelLine, ReadsNumbersAndWords) {
  const LayerSpec conv = parse_model_line("conv:5:circular")[0];
  EXPECT_EQ(conv.settings.at("taps"), 5);
  EXPECT_EQ(conv.settings.at("circular"), 1);
  const LayerSpec spline = parse_model_line("spline:8:channel")[0];
  EXPECT_EQ(spline.settings.at("bins"), 8);
  EXPECT_EQ(spline.settings.at("shared"), 1);
  EXPECT_EQ(parse_model_line("spline", {{"spline", {{"bins", 7}}}})[0].settings.at("bins"), 7);
}

TEST(ModelLine, WritesALineThatReadsBack) {
  for (const char* line :
       {"3*(linear spline:5:6)", "squeeze 16*(actnorm conv:1 coupling:512) split:512",
        "spectral:frequencies spline:8:6:ring conv:3:circular", "linear",
        "smooth-leaky-relu:0.01 leaky-tanh:1:0.5"}) {
    const std::string again = model_line(parse_model_line(line));
    EXPECT_EQ(again, line);
  }
  EXPECT_EQ(model_line(parse_model_line("conv conv conv spline")), "3*conv:3 spline:12:6");
}

TEST(ModelLine, KnowsThePublishedNets) {
  EXPECT_EQ(model_line(parse_model_line("snf-conv")),
            "3*(conv:3 spline:5:10) squeeze 3*(conv:3 spline:5:10) squeeze 2*(conv:3 spline:5:10) "
            "conv:3");
  EXPECT_EQ(model_line(parse_model_line("glow:2x16")),
            "squeeze 16*(actnorm conv:1 coupling:512) split:512 squeeze 16*(actnorm conv:1 "
            "coupling:512)");
}

TEST(ModelLine, KnowsItsOwnNetForImages) {
  EXPECT_EQ(model_line(parse_model_line("conv-coupling:2x4")),
            "spectral spline:8:6 squeeze 4*(conv:3:circular coupling:32 spline:8:6) "
            "squeeze 4*(conv:3:circular coupling:32 spline:8:6)");
}

TEST(ModelLine, NamesThePlaceOfWhatIsWrong) {
  EXPECT_THAT(refusal("conv:3 splin:5"), HasSubstr("--model: at character 8: 'splin' is no layer"));
  EXPECT_THAT(refusal("conv:3:cirular"), HasSubstr("write conv[:taps][:zero|circular]"));
  EXPECT_THAT(refusal("2*(conv"), HasSubstr("at character 3: '(' without ')'"));
  EXPECT_THAT(refusal("conv) spline"), HasSubstr("at character 5: ')' without '('"));
  EXPECT_THAT(refusal("0*conv"), HasSubstr("a count must be 1 to 1000"));
  EXPECT_THAT(refusal("1000*(1000*conv)"), HasSubstr("more than 10000 layers"));
  EXPECT_THAT(refusal(std::string(100, '(')), HasSubstr("parentheses inside one another"));
  EXPECT_THAT(refusal("  "), HasSubstr("no layer"));
  EXPECT_THAT(refusal("glow:3"), HasSubstr("glow:LEVELSxSTEPS"));
  EXPECT_THAT(refusal("glow:0x4"), HasSubstr("'0' must be a whole number"));
  EXPECT_THAT(refusal("conv-coupling"), HasSubstr("write conv-coupling:LEVELSxSTEPS[:HIDDEN]"));
}

TEST(ModelLine, ShapesThatDoNotFitNameTheLayer) {
  const Products products(ProductBackend::openblas);
  const auto refused = [&](const SampleShape& shape, const std::string& line) {
    try {
      Flow<double>({shape, Latent::normal, parse_model_line(line)}, products);
      return std::string("accepted");
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
  };
  EXPECT_THAT(refused({1, 7, 4}, "conv squeeze"), HasSubstr("layer/1: squeeze halves"));
  EXPECT_THAT(refused({3, 4, 4}, "coupling"), HasSubstr("layer/0: coupling and split halve"));
  EXPECT_THAT(refused({1, 4, 4}, "conv:4"), HasSubstr("layer/0: kernel size 4"));
  EXPECT_THAT(refused({1, 4, 4}, "spline:0"), HasSubstr("layer/0"));
}

}  // namespace
}  // namespace relgrad
