#include "model/flow_work.hpp"

#include <gtest/gtest.h>

#include "relgrad/model/model_line.hpp"

namespace relgrad {
namespace {

FlowWork work_of_line(const std::string& line, const SampleShape& shape) {
  return work_of({shape, Latent::normal, parse_model_line(line)});
}

TEST(FlowWork, FullLayersAreCountedByTheirMatrices) {
  const FlowWork work = work_of_line("2*(linear spline:5:3)", {6});
  EXPECT_EQ(work.matrices, 2);
  EXPECT_EQ(work.matrix_size, 6);
  EXPECT_EQ(work.other_flops, 0);
  EXPECT_EQ(work.whole_parameters, 2 * 6 * (1 + 3 * 5 + 1));  // biases; widths, heights, slopes
  EXPECT_EQ(work.elements, 2 * 6);
  EXPECT_EQ(work.elementwise.kind, "spline");
  EXPECT_TRUE(work.splits_by_coordinates);
}

TEST(FlowWork, OtherLayersAreCountedByTheirOperations) {
  const FlowWork work = work_of_line("actnorm conv:3 squeeze leaky-tanh coupling:5", {2, 4, 6});
  EXPECT_EQ(work.matrices, 0);
  EXPECT_EQ(work.matrix_size, 0);
  const double convolution = 2 * 24 * 4 * 9;                   // 2 H W C^2 9
  const double net = 2 * 6 * (9 * 4 * 5 + 5 * 5 + 9 * 5 * 8);  // of the coupling, at 8 x 2 x 3
  const double scales = (2 + 4) * 48;                          // of actnorm and the coupling
  EXPECT_EQ(work.other_flops, convolution + net + scales);
  EXPECT_EQ(work.elements, 48);
  EXPECT_EQ(work.elementwise.kind, "leaky-tanh");
  EXPECT_FALSE(work.splits_by_coordinates);
}

TEST(FlowWork, ParametersAreThoseOfTheFlow) {
  for (const std::string line : {"glow:2x2:8", "conv:3 linear split:4 spectral spline:4:3:ring"}) {
    const SampleShape shape{4, 8, 8};
    const Products products(ProductBackend::openblas);
    const Flow<float> flow({shape, Latent::normal, parse_model_line(line)}, products);
    std::int64_t whole = 0;
    for (ParameterId id = 0; id < flow.parameters().count(); ++id) {
      const ParameterInfo& info = flow.parameters().info(id);
      if (!info.use.by_columns) whole += static_cast<std::int64_t>(info.size());
    }
    EXPECT_EQ(work_of_line(line, shape).whole_parameters, whole) << line;
  }
}

}  // namespace
}  // namespace relgrad
