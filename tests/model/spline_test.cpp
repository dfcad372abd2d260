#include "model/spline.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include "relgrad/core/error.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

using test::const_view;
using test::far_out;
using test::normal_matrix;
using test::view;

/// A spline layer with its store; raw parameters are normal draws times `scale`.
template <class T>
struct SplineCase {
  SplineCase(Index dimension, Index bins, double bound, double scale, std::uint64_t seed = 9)
      : layer(store, "spline", dimension, {0, dimension}, bins, bound) {
    store.allocate();
    for (ParameterId id = 0; id < store.count(); ++id) {
      const std::span<T> values = store.values(id);
      const Matrix<double> raw =
          normal_matrix<double>(static_cast<Index>(values.size()), 1, seed + id, scale);
      std::transform(raw.data(), raw.data() + raw.size(), values.begin(),
                     [](double value) { return static_cast<T>(value); });
    }
    layer.prepare();
  }
  ParameterStore<T> store;
  SplineLayer<T> layer;
};

TEST(Spline, IsTheIdentityWhereParametersAreZero) {
  const SplineCase<double> test(35, 12, 4.0, /*scale=*/0.0);
  const Matrix<double> y = normal_matrix<double>(35, 9, /*seed=*/1, /*scale=*/4.0);
  Matrix<double> z(35, 9);
  std::vector<double> log_abs_det(9);

  test::forward_of(test.layer, const_view(y), view(z), log_abs_det);

  EXPECT_LT((z - y).cwiseAbs().maxCoeff(), 1e-14);
  for (const double value : log_abs_det) EXPECT_NEAR(value, 0.0, 1e-13);
}

TEST(Spline, SlopesAgreeWithCentralDifferences) {
  const SplineCase<double> test(3, 5, 2.0, /*scale=*/1.0);
  test::SumBuffer<double> sums(test.store);

  // About every third number lies in a tail.
  test::expect_slopes_agree_with_differences(test.layer, normal_matrix<double>(3, 12, 4, 2.0),
                                             sums);
}

// 35 dimensions: one whole tile and a part of one.
TEST(Spline, ParameterSumsAgreeWithCentralDifferences) {
  SplineCase<double> test(35, 4, 2.0, /*scale=*/1.0);
  const Matrix<double> y = normal_matrix<double>(35, 6, /*seed=*/4, /*scale=*/2.0);
  const Matrix<double> c = normal_matrix<double>(35, 6, /*seed=*/6);
  Matrix<double> delta_in(35, 6);
  test::SumBuffer<double> sums(test.store);

  test::backward_of(test.layer, const_view(y), const_view(c), view(delta_in), sums);

  for (ParameterId id = 0; id < test.store.count(); ++id) {
    const std::span<double> raw = test.store.values(id);
    for (std::size_t i = 0; i < raw.size(); ++i) {
      const auto objective = [&] {
        test.layer.prepare();
        return test::weighted_objective(test.layer, y, c);
      };
      const auto expected = test::central_difference(objective, raw[i], 1e-4);
      EXPECT_NEAR(sums.sum(id)[i], expected.value, expected.error + 1e-7)
          << test.store.info(id).name << " " << i;
    }
  }
}

TEST(Spline, BackwardAddsToWhatIsThere) {
  const SplineCase<double> test(2, 3, 2.0, /*scale=*/1.0);
  const Matrix<double> y = normal_matrix<double>(2, 5, /*seed=*/4);
  Matrix<double> delta_in(2, 5);
  test::SumBuffer<double> once(test.store);
  test::SumBuffer<double> twice(test.store);

  test::backward_of(test.layer, const_view(y), const_view(y), view(delta_in), once);
  test::backward_of(test.layer, const_view(y), const_view(y), view(delta_in), twice);
  test::backward_of(test.layer, const_view(y), const_view(y), view(delta_in), twice);

  for (ParameterId id = 0; id < test.store.count(); ++id) {
    for (std::size_t i = 0; i < once.sum(id).size(); ++i) {
      EXPECT_DOUBLE_EQ(twice.sum(id)[i], 2.0 * once.sum(id)[i]);
    }
  }
}

TEST(Spline, InverseUndoesForwardFarOut) {
  const SplineCase<double> precise(35, 12, 4.0, /*scale=*/1.5);
  const SplineCase<float> single(35, 12, 4.0, /*scale=*/1.0);

  test::expect_inverse_undoes_forward<double>(precise.layer, far_out<double>(35), 1e-10);
  test::expect_inverse_undoes_forward<float>(single.layer, far_out<float>(35), 1e-4);
  test::expect_inverse_undoes_forward<double>(
      precise.layer, normal_matrix<double>(35, 200, /*seed=*/8, /*scale=*/2.0), 1e-10);
}

TEST(Spline, IsContinuousWithItsSlopeAtEveryOuterKnot) {
  const SplineCase<double> test(4, 6, 3.0, /*scale=*/1.0);
  for (const double knot : {-3.0, 3.0}) {
    Matrix<double> y(4, 2);
    y.col(0).setConstant(knot * (1.0 - 1e-9));
    y.col(1).setConstant(knot * (1.0 + 1e-9));
    Matrix<double> z(4, 2);
    std::vector<double> log_abs_det(2);

    test::forward_of(test.layer, const_view(y), view(z), log_abs_det);

    EXPECT_LT((z.col(0) - z.col(1)).cwiseAbs().maxCoeff(), 1e-7);
    EXPECT_NEAR(log_abs_det[0], log_abs_det[1], 1e-6);
    EXPECT_NEAR(z(0, 0), knot, 1e-7);
  }
}

TEST(Spline, FloatAgreesWithDouble) {
  const SplineCase<double> precise(50, 12, 4.0, /*scale=*/0.7);
  const SplineCase<float> single(50, 12, 4.0, /*scale=*/0.7);
  const Matrix<float> y = normal_matrix<float>(50, 20, /*seed=*/3, /*scale=*/2.0);
  const Matrix<double> y_double = y.cast<double>();
  Matrix<float> z(50, 20);
  Matrix<double> z_double(50, 20);
  std::vector<double> log_abs_det(20);
  std::vector<double> log_abs_det_double(20);

  test::forward_of(single.layer, const_view(y), view(z), log_abs_det);
  test::forward_of(precise.layer, const_view(y_double), view(z_double), log_abs_det_double);

  EXPECT_LT((z.cast<double>() - z_double).cwiseAbs().maxCoeff(), 2e-5);
  for (std::size_t n = 0; n < 20; ++n) EXPECT_NEAR(log_abs_det[n], log_abs_det_double[n], 5e-4);
}

TEST(Spline, DoesNotDependOnTheNumberOfThreads) {
  const SplineCase<float> test(700, 12, 4.0, /*scale=*/0.7);
  const Matrix<float> y = normal_matrix<float>(700, 37, /*seed=*/3, /*scale=*/2.0);
  const int threads_before = omp_get_max_threads();
  std::vector<Matrix<float>> results;
  for (const int threads : {1, 3}) {
    omp_set_num_threads(threads);
    Matrix<float> z(700, 37);
    Matrix<float> delta(700, 37);
    std::vector<double> log_abs_det(37);
    test::SumBuffer<float> sums(test.store);
    test::forward_of(test.layer, const_view(y), view(z), log_abs_det);
    test::backward_of(test.layer, const_view(y), const_view(z), view(delta), sums);
    Matrix<float> all(700, 37 + 37 + 1 + 12);
    Vector<float> log_slopes = Vector<float>::Zero(700);
    for (Index n = 0; n < 37; ++n) {
      log_slopes(n) = static_cast<float>(log_abs_det[static_cast<std::size_t>(n)]);
    }
    const std::span<float> widths = sums.sum(test.store.id_of("spline/widths"));
    all << z, delta, log_slopes, ConstMatrixMap<float>(widths.data(), 700, 12);
    results.push_back(all);
  }
  omp_set_num_threads(threads_before);

  EXPECT_EQ(results[0], results[1]);
}

TEST(Spline, RefusesBinsAndBoundsThatMakeNoSpline) {
  ParameterStore<float> store;
  EXPECT_THROW(SplineLayer<float>(store, "a", 2, {0, 2}, 0, 4.0), UsageError);
  EXPECT_THROW(SplineLayer<float>(store, "b", 2, {0, 2}, 12, 0.0), UsageError);
}

}  // namespace
}  // namespace relgrad
