#include "spectral/spectral.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <Eigen/LU>

#include "relgrad/core/error.hpp"
#include "spectral/spectral_case.hpp"

namespace relgrad {
namespace {

using test::const_view;
using test::normal_matrix;
using test::SpectralCase;
using test::view;

constexpr SpectralOutput outputs[] = {SpectralOutput::frequencies, SpectralOutput::positions};

/// What every one of `samples` samples contributes alike.
void add(double samples, const std::vector<double>& term, std::vector<double>& gradient) {
  for (std::size_t i = 0; i < term.size(); ++i) gradient[i] += samples * term[i];
}

// 5 x 7: a whole tile of 32 frequencies and 3 more.
TEST(SpectralMap, IsTheDenseMatrixWrittenOut) {
  for (const SpectralOutput output : outputs) {
    const SpectralCase<double> test(3, 5, 7, output);
    Matrix<double> dense = test.blocks() * test.cosine;
    Vector<double> offset = test.bias();
    if (output == SpectralOutput::positions) {
      dense = test.cosine.transpose() * dense;
      offset = test.cosine.transpose() * offset;
    }
    const Matrix<double> x = normal_matrix<double>(test.map.size(), 4, /*seed=*/1);
    Matrix<double> y = x;  // in place
    std::vector<double> kept(static_cast<std::size_t>(4 * test.map.kept_size()));

    test.map.forward(test.parameters(), const_view(y), view(y), kept);

    const Matrix<double> expected = (dense * x).colwise() + offset;
    EXPECT_LT((y - expected).cwiseAbs().maxCoeff(), 1e-13);  // sums of 105 terms of size 1
    Matrix<double> without_kept(x.rows(), x.cols());
    test.map.forward(test.parameters(), const_view(x), view(without_kept), {});
    EXPECT_EQ(without_kept, y);
    const double log_abs_det =
        dense.partialPivLu().matrixLU().diagonal().cwiseAbs().array().log().sum();
    EXPECT_NEAR(test.map.log_abs_det("K", test.parameters().weight), log_abs_det, 1e-11);
  }
}

TEST(SpectralMap, InverseUndoesForward) {
  for (const SpectralOutput output : outputs) {
    for (const Index channels : {1, 3, 12}) {
      const SpectralCase<double> test(channels, 4, 6, output);
      const Matrix<double> x = normal_matrix<double>(test.map.size(), 4, /*seed=*/1);
      Matrix<double> y = x;
      test.map.forward(test.parameters(), const_view(y), view(y), {});
      test.map.inverse("K", test.parameters(), const_view(y), view(y));
      // rounding of 1e-15 times the condition of the worst of 24 matrices
      EXPECT_LT((y - x).cwiseAbs().maxCoeff(), 1e-11) << channels << " channels";
    }
  }
}

TEST(SpectralMap, StartsAsTheTransformAlone) {
  SpectralCase<double> test(2, 4, 6, SpectralOutput::positions);
  test.map.initialize(test.spans<double>(test.flat));
  const Matrix<double> x = normal_matrix<double>(test.map.size(), 4, /*seed=*/1);
  Matrix<double> y(x.rows(), x.cols());
  test.map.forward(test.parameters(), const_view(x), view(y), {});
  EXPECT_LT((y - x).cwiseAbs().maxCoeff(), 1e-14);
  EXPECT_EQ(test.map.log_abs_det("K", test.parameters().weight), 0.0);
}

/// L = sum of c y + B log|det|.
TEST(SpectralMap, PlainGradientAgreesWithCentralDifferences) {
  for (const SpectralOutput output : outputs) {
    SpectralCase<double> test(2, 5, 7, output);
    const Index batch = 3;
    Matrix<double> x = normal_matrix<double>(test.map.size(), batch, /*seed=*/1);
    const Matrix<double> c = normal_matrix<double>(test.map.size(), batch, /*seed=*/2);
    Matrix<double> y(x.rows(), batch);
    const auto objective = [&] {
      test.map.forward(test.parameters(), const_view(x), view(y), {});
      return y.cwiseProduct(c).sum() +
             double(batch) * test.map.log_abs_det("K", test.parameters().weight);
    };
    Matrix<double> delta = c;
    std::vector<double> gradient(test.flat.size(), 0.5);  // it adds

    test.map.backward_plain(test.parameters(), const_view(x), const_view(delta), view(delta),
                            test.spans<double>(gradient));
    add(3.0, test.map.inverse_transposed("K", test.parameters().weight), gradient);

    for (Index i = 0; i < x.size(); i += 5) {
      const auto expected = test::central_difference(objective, x.data()[i]);
      EXPECT_NEAR(delta.data()[i], expected.value, expected.error) << "input " << i;
    }
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      const auto expected = test::central_difference(objective, test.flat[i]);
      EXPECT_NEAR(gradient[i] - 0.5, expected.value, expected.error) << "parameter " << i;
    }
  }
}

// [dK db] of the plain gradient times M^T M with M = [K b; 0 1].
TEST(SpectralMap, RelativeGradientIsThePlainOneTransformed) {
  for (const SpectralOutput output : outputs) {
    const SpectralCase<double> test(3, 5, 7, output);
    const Index batch = 6;
    const Index size = test.map.size();
    const Matrix<double> x = normal_matrix<double>(size, batch, /*seed=*/1);
    const Matrix<double> c = normal_matrix<double>(size, batch, /*seed=*/2);
    Matrix<double> y(size, batch);
    Matrix<double> delta_plain(size, batch);
    Matrix<double> delta(size, batch);
    std::vector<double> kept(static_cast<std::size_t>(batch * test.map.kept_size()));
    std::vector<double> plain(test.flat.size());
    std::vector<double> relative(test.flat.size(), 0.5);  // it adds
    test.map.forward(test.parameters(), const_view(x), view(y), kept);
    test.map.backward_plain(test.parameters(), const_view(x), const_view(c), view(delta_plain),
                            test.spans<double>(plain));
    add(6.0, test.map.inverse_transposed("K", test.parameters().weight), plain);

    test.map.backward(test.parameters(), const_view(y), kept, const_view(c), view(delta),
                      test.spans<double>(relative));
    add(6.0, test.flat, relative);

    EXPECT_LT((delta - delta_plain).cwiseAbs().maxCoeff(), 1e-13);
    const Vector<double> bias = test.bias();
    for (Index f = 0; f < test.frequencies; ++f) {
      Matrix<double> m = Matrix<double>::Identity(4, 4);
      Matrix<double> g(3, 4);
      Matrix<double> found(3, 4);
      m.topLeftCorner(3, 3) = test.block(f);
      for (Index k = 0; k < 3; ++k) {
        m(k, 3) = bias(k * test.frequencies + f);
        for (Index d = 0; d < 4; ++d) {
          const auto at = static_cast<std::size_t>(d < 3 ? (k * 3 + d) * test.frequencies + f
                                                         : Index(test.map.weight_size()) +
                                                               k * test.frequencies + f);
          g(k, d) = plain[at];
          found(k, d) = relative[at] - 0.5;
        }
      }
      // sums of 6 terms of size 10 in another order, and the inverse
      EXPECT_LT((found - g * m.transpose() * m).cwiseAbs().maxCoeff(), 1e-11) << "frequency " << f;
    }
  }
}

TEST(SpectralMap, ExactSumsAreTheSameHoweverSamplesAreSplit) {
  for (const SpectralOutput output : outputs) {
    const SpectralCase<float> test(3, 5, 7, output);
    const Index size = test.map.size();
    const Index batch = 11;
    const Matrix<float> x = normal_matrix<float>(size, batch, /*seed=*/1);
    const Matrix<float> c = normal_matrix<float>(size, batch, /*seed=*/2);
    const ExactGrid grid(14, batch);
    const auto sums_of = [&](std::vector<Index> ends) {
      std::vector<double> sums(test.flat.size());
      Index begin = 0;
      for (const Index end : ends) {
        const Index count = end - begin;
        Matrix<float> y(size, count);
        Matrix<float> delta(size, count);
        std::vector<float> kept(static_cast<std::size_t>(count * test.map.kept_size()));
        test.map.forward(test.parameters(), {x.col(begin).data(), size, count}, view(y), kept);
        test.map.backward_exact(test.parameters(), const_view(y), kept,
                                {c.col(begin).data(), size, count}, view(delta), grid,
                                test.spans<double>(sums));
        begin = end;
      }
      return sums;
    };
    const std::vector<double> whole = sums_of({batch});

    EXPECT_EQ(sums_of({1, 7, batch}), whole);

    std::vector<float> plain(test.flat.size());
    Matrix<float> y(size, batch);
    Matrix<float> delta(size, batch);
    std::vector<float> kept(static_cast<std::size_t>(batch * test.map.kept_size()));
    test.map.forward(test.parameters(), const_view(x), view(y), kept);
    test.map.backward(test.parameters(), const_view(y), kept, const_view(c), view(delta),
                      test.spans<float>(plain));
    // 11 terms of size 10 in float
    for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(plain[i], whole[i], 1e-4);
  }
}

TEST(SpectralMap, DoesNotDependOnTheNumberOfThreads) {
  const SpectralCase<float> test(3, 16, 16, SpectralOutput::positions);
  const Index size = test.map.size();
  const Matrix<float> x = normal_matrix<float>(size, 40, /*seed=*/1);
  const int threads_before = omp_get_max_threads();
  std::vector<Matrix<float>> results;
  for (const int threads : {1, 3}) {
    omp_set_num_threads(threads);
    Matrix<float> y(size, 40);
    Matrix<float> delta(size, 40);
    std::vector<float> kept(static_cast<std::size_t>(x.size()));
    std::vector<float> gradient(test.flat.size());
    test.map.forward(test.parameters(), const_view(x), view(y), kept);
    test.map.backward(test.parameters(), const_view(y), kept, const_view(x), view(delta),
                      test.spans<float>(gradient));
    results.push_back(y);
    results.push_back(delta);
    results.emplace_back(ConstMatrixMap<float>(gradient.data(), Index(gradient.size()), 1));
  }
  omp_set_num_threads(threads_before);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(results[i], results[3 + i]);
}

TEST(SpectralMap, NamesTheFrequencyOfASingularMatrix) {
  SpectralCase<float> test(2, 4, 6, SpectralOutput::positions);
  for (Index k = 0; k < 4; ++k) test.flat[static_cast<std::size_t>(k * 24 + 2 * 6 + 5)] = 0.0F;
  try {
    test.map.log_abs_det("layer/0/K", test.parameters().weight);
    FAIL();
  } catch (const DivergedError& error) {
    EXPECT_NE(std::string(error.what()).find("layer/0/K, frequency (2, 5)"), std::string::npos);
  }
}

TEST(SpectralMap, RefusesSizesThatAreNotPositive) {
  EXPECT_THROW(SpectralMap<float>(0, 4, 4, SpectralOutput::positions), UsageError);
  EXPECT_THROW(SpectralMap<float>(1, 4, 0, SpectralOutput::positions), UsageError);
}

}  // namespace
}  // namespace relgrad
