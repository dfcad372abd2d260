#include "coupling/net.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include "coupling/net_case.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {
namespace {

using test::net_parameter_count;
using test::net_spans;
using test::normal_matrix;
using test::normal_numbers;
using test::random_net;

/// y of one sample by the definition: sums over channels and taps, zero outside the plane.
std::vector<double> output_by_definition(const NetShape& s, const NetSpans<const double>& p,
                                         const double* x) {
  const auto at = [&](const auto& planes, Index c, Index y, Index x_) {
    const bool inside = y >= 0 && y < s.height && x_ >= 0 && x_ < s.width;
    return inside ? planes[c * s.plane() + y * s.width + x_] : 0.0;
  };
  std::vector<double> h1(static_cast<std::size_t>(s.hidden * s.plane()));
  std::vector<double> h2 = h1;
  std::vector<double> out(static_cast<std::size_t>(s.channels_out * s.plane()));
  for (Index y = 0; y < s.height; ++y) {
    for (Index x_ = 0; x_ < s.width; ++x_) {
      const Index here = y * s.width + x_;
      for (Index o = 0; o < s.hidden; ++o) {
        double sum = p[first_bias][o];
        for (Index c = 0; c < s.channels_in; ++c) {
          for (Index t = 0; t < 9; ++t) {
            sum += p[first_weight][o * 9 * s.channels_in + c * 9 + t] *
                   at(x, c, y + t / 3 - 1, x_ + t % 3 - 1);
          }
        }
        h1[o * s.plane() + here] = std::max(sum, 0.0);
      }
      for (Index o = 0; o < s.hidden; ++o) {
        double sum = p[middle_bias][o];
        for (Index c = 0; c < s.hidden; ++c) {
          sum += p[middle_weight][o * s.hidden + c] * h1[c * s.plane() + here];
        }
        h2[o * s.plane() + here] = std::max(sum, 0.0);
      }
    }
  }
  for (Index o = 0; o < s.channels_out; ++o) {
    for (Index y = 0; y < s.height; ++y) {
      for (Index x_ = 0; x_ < s.width; ++x_) {
        double sum = p[last_bias][o];
        for (Index c = 0; c < s.hidden; ++c) {
          for (Index t = 0; t < 9; ++t) {
            sum += p[last_weight][(o * 9 + t) * s.hidden + c] *
                   at(h2, c, y + t / 3 - 1, x_ + t % 3 - 1);
          }
        }
        out[o * s.plane() + y * s.width + x_] = std::exp(3.0 * p[last_log_scale][o]) * sum;
      }
    }
  }
  return out;
}

// 5 x 3 planes: 17 samples per block, so 40 samples are two blocks and a part of one. 17 x 19: one
// sample per block, more rows than one product takes.
TEST(CouplingNet, ForwardIsTheDefinition) {
  const Products products(ProductBackend::openblas);
  for (const auto& [shape, batch] : {std::pair{NetShape{3, 4, 5, 3, 7}, Index{40}},
                                     std::pair{NetShape{1, 2, 17, 19, 3}, Index{2}},
                                     std::pair{NetShape{2, 4, 1, 1, 5}, Index{3}}}) {
    const std::vector<double> flat = random_net<double>(shape, /*seed=*/3);
    const auto parameters = net_spans<const double>(shape, flat);
    for (const NetMemory memory : {NetMemory::output, NetMemory::hidden}) {
      const CouplingNet<double> net(shape, products, memory);
      // samples lie further apart than they are long
      const Matrix<double> x = normal_matrix<double>(net.input_size() + 5, batch, /*seed=*/4);
      std::vector<double> kept(static_cast<std::size_t>(batch * net.kept_size()));

      net.forward(parameters, {x.data(), x.rows()}, batch, kept);

      for (Index n = 0; n < batch; ++n) {
        const std::vector<double> expected =
            output_by_definition(shape, parameters, x.col(n).data());
        for (std::size_t i = 0; i < expected.size(); ++i) {
          // sums of at most 63 terms of size 1, in another order
          EXPECT_NEAR(kept[static_cast<std::size_t>(n * net.output_size()) + i], expected[i], 1e-13)
              << "sample " << n << " output " << i;
        }
      }
    }
  }
}

TEST(CouplingNet, BackwardAgreesWithCentralDifferences) {
  const Products products(ProductBackend::openblas);
  const NetShape shape{2, 4, 4, 3, 5};
  const Index batch = 25;  // 21 samples per block
  for (const NetMemory memory : {NetMemory::output, NetMemory::hidden}) {
    const CouplingNet<double> net(shape, products, memory);
    std::vector<double> flat = random_net<double>(shape, /*seed=*/5);
    const auto parameters = net_spans<const double>(shape, flat);
    Matrix<double> x = normal_matrix<double>(net.input_size(), batch, /*seed=*/6);
    const Matrix<double> weights = normal_matrix<double>(net.output_size(), batch, /*seed=*/7);
    std::vector<double> kept(static_cast<std::size_t>(batch * net.kept_size()));
    const auto objective = [&] {
      net.forward(parameters, {x.data(), x.rows()}, batch, kept);
      return std::inner_product(weights.data(), weights.data() + weights.size(), kept.begin(), 0.0);
    };
    objective();
    Matrix<double> delta_x = Matrix<double>::Constant(x.rows(), batch, 2.0);  // it adds
    std::vector<double> gradient(flat.size(), -1.0);

    net.backward(parameters, {x.data(), x.rows()}, batch, kept, {weights.data(), weights.rows()},
                 {delta_x.data(), delta_x.rows()}, net_spans<double>(shape, gradient));

    for (Index i = 0; i < x.size(); i += 7) {
      const auto expected = test::central_difference(objective, x.data()[i], 1e-5);
      EXPECT_NEAR(delta_x.data()[i] - 2.0, expected.value, expected.error + 1e-9) << "input " << i;
    }
    for (std::size_t i = 0; i < flat.size(); ++i) {
      const auto expected = test::central_difference(objective, flat[i], 1e-5);
      EXPECT_NEAR(gradient[i] + 1.0, expected.value, expected.error + 1e-9) << "parameter " << i;
    }
  }
}

TEST(CouplingNet, StartsAsZeroWithHiddenLayersDrawnUniformly) {
  const NetShape shape{3, 6, 4, 4, 16};
  const Products products(ProductBackend::openblas);
  const CouplingNet<float> net(shape, products);
  std::vector<float> flat(net_parameter_count(shape), 9.0F);
  const auto parameters = net_spans<float>(shape, flat);

  initialize_net(shape, /*seed=*/1, /*item=*/2, parameters);

  const float bound = 1.0F / std::sqrt(27.0F);
  const auto [least, most] = std::ranges::minmax(parameters[first_weight]);
  EXPECT_GE(least, -bound);
  EXPECT_LE(most, bound);
  EXPECT_GT(most - least, 1.8F * bound);  // 432 draws: all within 90 % has probability 1e-18
  const Matrix<float> x = normal_matrix<float>(net.input_size(), 3, /*seed=*/4);
  std::vector<float> kept(static_cast<std::size_t>(3 * net.kept_size()), 1.0F);
  net.forward(net_spans<const float>(shape, flat), {x.data(), x.rows()}, 3, kept);
  for (const float value : kept) EXPECT_EQ(value, 0.0F);
}

/// Everything one backward pass gives, for a number of threads.
struct Results {
  std::vector<float> kept, gradient;
  Matrix<float> delta_x;
  bool operator==(const Results&) const = default;
};
Results run(const NetShape& shape, NetMemory memory) {
  const Products products(ProductBackend::openblas);
  const CouplingNet<float> net(shape, products, memory);
  const Index batch = 50;
  const std::vector<float> flat = random_net<float>(shape, /*seed=*/5);
  const auto parameters = net_spans<const float>(shape, flat);
  const Matrix<float> x = normal_matrix<float>(net.input_size(), batch, /*seed=*/6);
  const Matrix<float> delta = normal_matrix<float>(net.output_size(), batch, /*seed=*/7);
  Results r{std::vector<float>(static_cast<std::size_t>(batch * net.kept_size())),
            std::vector<float>(flat.size()), Matrix<float>::Zero(x.rows(), batch)};
  net.forward(parameters, {x.data(), x.rows()}, batch, r.kept);
  net.backward(parameters, {x.data(), x.rows()}, batch, r.kept, {delta.data(), delta.rows()},
               {r.delta_x.data(), r.delta_x.rows()}, net_spans<float>(shape, r.gradient));
  return r;
}

TEST(CouplingNet, DoesNotDependOnTheNumberOfThreads) {
  const int threads_before = omp_get_max_threads();
  const NetShape shape{3, 6, 8, 8, 16};
  for (const NetMemory memory : {NetMemory::output, NetMemory::hidden}) {
    omp_set_num_threads(1);
    const Results one = run(shape, memory);
    omp_set_num_threads(3);
    EXPECT_EQ(run(shape, memory), one);
  }
  omp_set_num_threads(threads_before);
}

TEST(CouplingNet, FloatAgreesWithDouble) {
  const NetShape shape{3, 6, 8, 8, 16};
  const Products products(ProductBackend::openblas);
  const CouplingNet<float> single(shape, products);
  const CouplingNet<double> precise(shape, products);
  const std::vector<float> flat = random_net<float>(shape, /*seed=*/5);
  const std::vector<double> flat_double(flat.begin(), flat.end());
  const Matrix<float> x = normal_matrix<float>(single.input_size(), 6, /*seed=*/6);
  const Matrix<double> x_double = x.cast<double>();
  std::vector<float> y(static_cast<std::size_t>(6 * single.kept_size()));
  std::vector<double> y_double(y.size());

  single.forward(net_spans<const float>(shape, flat), {x.data(), x.rows()}, 6, y);
  precise.forward(net_spans<const double>(shape, flat_double), {x_double.data(), x.rows()}, 6,
                  y_double);

  // three sums of up to 144 terms of size 1: 6e-8 * 144 at worst, times e^{3 g}
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], y_double[i], 1e-4);
}

TEST(CouplingNet, ExactSumsAreTheSameHoweverSamplesAreSplit) {
  const NetShape shape{2, 4, 4, 4, 8};
  const Products products(ProductBackend::ordered);
  const Index batch = 37;  // 16 samples per block
  const std::vector<float> flat = random_net<float>(shape, /*seed=*/5);
  const auto parameters = net_spans<const float>(shape, flat);
  const ExactGrid grid(14, batch);
  for (const NetMemory memory : {NetMemory::output, NetMemory::hidden}) {
    const CouplingNet<float> net(shape, products, memory);
    const Matrix<float> x = normal_matrix<float>(net.input_size(), batch, /*seed=*/6);
    const Matrix<float> delta = normal_matrix<float>(net.output_size(), batch, /*seed=*/7);
    const auto sums_of = [&](std::vector<Index> ends) {
      std::vector<double> sums(flat.size(), 0.0);
      Matrix<float> delta_x = Matrix<float>::Zero(x.rows(), batch);
      Index begin = 0;
      for (const Index end : ends) {
        const Index count = end - begin;
        std::vector<float> kept(static_cast<std::size_t>(count * net.kept_size()));
        net.forward(parameters, {x.col(begin).data(), x.rows()}, count, kept);
        net.backward_exact(parameters, {x.col(begin).data(), x.rows()}, count, kept,
                           {delta.col(begin).data(), delta.rows()},
                           {delta_x.col(begin).data(), x.rows()}, grid,
                           net_spans<double>(shape, sums));
        begin = end;
      }
      return std::pair{sums, delta_x};
    };
    const auto whole = sums_of({batch});

    EXPECT_EQ(sums_of({1, 20, 22, batch}), whole);

    std::vector<float> plain(flat.size());
    Matrix<float> delta_x = Matrix<float>::Zero(x.rows(), batch);
    std::vector<float> kept(static_cast<std::size_t>(batch * net.kept_size()));
    net.forward(parameters, {x.data(), x.rows()}, batch, kept);
    net.backward(parameters, {x.data(), x.rows()}, batch, kept, {delta.data(), delta.rows()},
                 {delta_x.data(), x.rows()}, net_spans<float>(shape, plain));
    EXPECT_EQ(delta_x, whole.second);
    // 592 terms of size 1 in float, half of them rounded to a grid of 2^-31
    for (std::size_t i = 0; i < plain.size(); ++i) {
      EXPECT_NEAR(plain[i], whole.first[i], 2e-4) << "parameter " << i;
    }
  }
}

// 17 x 19 planes: 40 samples are 40 blocks, more than the parts in which sums are added up.
TEST(CouplingNet, SumsOverManyBlocksAreThoseOfTheirSamples) {
  const NetShape shape{1, 2, 17, 19, 3};
  const Products products(ProductBackend::openblas);
  const CouplingNet<double> net(shape, products);
  const Index batch = 40;
  const std::vector<double> flat = random_net<double>(shape, /*seed=*/5);
  const auto parameters = net_spans<const double>(shape, flat);
  const Matrix<double> x = normal_matrix<double>(net.input_size(), batch, /*seed=*/6);
  const Matrix<double> delta = normal_matrix<double>(net.output_size(), batch, /*seed=*/7);
  const auto gradient_of = [&](Index begin, Index count, std::vector<double>& gradient) {
    Matrix<double> delta_x = Matrix<double>::Zero(x.rows(), count);
    std::vector<double> kept(static_cast<std::size_t>(count * net.kept_size()));
    net.forward(parameters, {x.col(begin).data(), x.rows()}, count, kept);
    net.backward(parameters, {x.col(begin).data(), x.rows()}, count, kept,
                 {delta.col(begin).data(), delta.rows()}, {delta_x.data(), x.rows()},
                 net_spans<double>(shape, gradient));
  };
  std::vector<double> whole(flat.size());
  std::vector<double> by_sample(flat.size());

  gradient_of(0, batch, whole);

  for (Index n = 0; n < batch; ++n) gradient_of(n, 1, by_sample);
  // 13,000 terms of size 1 in another order
  for (std::size_t i = 0; i < flat.size(); ++i) EXPECT_NEAR(whole[i], by_sample[i], 1e-10);
}

TEST(CouplingNet, RefusesSizesThatAreNotPositive) {
  const Products products(ProductBackend::openblas);
  EXPECT_THROW(CouplingNet<float>({0, 2, 4, 4, 8}, products), UsageError);
  EXPECT_THROW(CouplingNet<float>({1, 2, 4, 4, 0}, products), UsageError);
}

}  // namespace
}  // namespace relgrad
