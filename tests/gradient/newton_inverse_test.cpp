// Self-normalizing layers whose R follows W by Newton's iteration
// (src/gradient/newton_inverse.cpp).
#include <gtest/gtest.h>

#include <Eigen/LU>

#include "gradient/gradient_sum.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

constexpr std::uint64_t seed = 11;
constexpr Index dimension = 5;
constexpr Index samples = 4;

Flow<double> make_flow() {
  Flow<double> flow(make_flow_spec(dimension, 2, {"smooth-leaky-relu", {{"slope", 0.3}}},
                                   {"none", {}}, Latent::normal, /*keeps_inverse=*/true),
                    Products(ProductBackend::openblas));
  flow.initialize(Initialization::identity, 0.5, seed);
  return flow;
}

const LinearLayer<double>& last(const Flow<double>& flow) {
  return dynamic_cast<const LinearLayer<double>&>(flow.layer(2));
}

/// Moves W, R stays: I - R W is of a norm of some tenths.
void move_weight(Flow<double>& flow) {
  const Matrix<double> shift = test::normal_matrix<double>(dimension, dimension, seed + 1, 0.05);
  flow.parameters().matrix(last(flow).weight_id()) += shift;
}

/// I - R W
Matrix<double> missing(const Flow<double>& flow) {
  return Matrix<double>::Identity(dimension, dimension) -
         last(flow).inverse_transposed().transpose() * last(flow).weight();
}

GradientOptions newton(std::int64_t rows) {
  GradientOptions options(GradientKind::self_normalizing);
  options.newton_rows = rows;
  return options;
}

TEST(NewtonInverse, ErrorOfTheRowsWhoseTurnItIsBecomesItsProductWithTheErrorOfAll) {
  Flow<double> flow = make_flow();
  move_weight(flow);
  FlowGradient<double> gradient(flow, newton(2));
  // 5 rows by 2: turns of every third row
  for (const std::int64_t step : {0, 1, 2, 3}) {
    const Matrix<double> before = missing(flow);
    ASSERT_GT(before.norm(), 1e-4);

    gradient.begin({step, 1, 0, 0});

    const Matrix<double> after = missing(flow);
    for (Index i = 0; i < dimension; ++i) {
      const bool has_turn = i % 3 == step % 3;
      Matrix<double> expected = before.row(i);
      if (has_turn) expected = before.row(i) * before;
      EXPECT_LT((after.row(i) - expected).norm(), 1e-13) << "step " << step << ", row " << i;
    }
  }
}

TEST(NewtonInverse, ComesToTheInverseOfAWeightThatRests) {
  Flow<double> flow = make_flow();
  move_weight(flow);
  FlowGradient<double> gradient(flow, newton(2));
  for (std::int64_t step = 0; step < 30; ++step) gradient.begin({step, 1, 0, 0});
  EXPECT_LT(missing(flow).norm(), 1e-13);
}

TEST(NewtonInverse, RefinesTheColumnsOfItsShareAlone) {
  Flow<double> flow = make_flow();
  move_weight(flow);
  const Matrix<double> before = last(flow).inverse_transposed();
  int published = 0;
  const ColumnShare<double> share{[](Index) {
                                    return Range{1, 3};
                                  },
                                  [&](MatrixMap<double>) { ++published; }};

  FlowGradient<double>(flow, newton(dimension)).begin({}, share);

  const Matrix<double> after = last(flow).inverse_transposed();
  EXPECT_EQ(published, 2);  // once a linear layer
  for (Index j = 0; j < dimension; ++j) {
    EXPECT_EQ(after.col(j) == before.col(j), j < 1 || j >= 3) << "column " << j;
  }
}

TEST(NewtonInverse, GivesThePlainGradientWhereRIsTheInverse) {
  Flow<double> flow = make_flow();
  const Matrix<double> x = test::normal_matrix<double>(dimension, samples, seed + 2);
  GradientBuffer<double> found = test::gradient_sum(flow, x, newton(2));
  GradientBuffer<double> plain = test::gradient_sum(flow, x, GradientKind::plain);
  for (GradientBuffer<double>* gradient : {&found, &plain}) gradient->add_per_sample_terms(samples);
  for (ParameterId id = 0; id < flow.parameters().count(); ++id) {
    const ParameterInfo& info = flow.parameters().info(id);
    for (std::size_t k = 0; k < info.size(); ++k) {
      const bool moves = info.name.ends_with("/W") || info.name.ends_with("/b");
      EXPECT_NEAR(found.sum(id)[k], moves ? plain.sum(id)[k] : 0.0, 1e-11) << info.name;
    }
  }
}

}  // namespace
}  // namespace relgrad
