#include "linalg/column_pass.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "linalg/kernels/ordered_gemm.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

/// Each element one chain of fused multiply-adds in the order of k, from 0.
template <class T>
Matrix<T> chains(const Matrix<T>& a, const Matrix<T>& b) {
  Matrix<T> c = Matrix<T>::Zero(a.rows(), b.cols());
  for (Index j = 0; j < c.cols(); ++j) {
    for (Index i = 0; i < c.rows(); ++i) {
      for (Index k = 0; k < a.cols(); ++k) c(i, j) = std::fma(a(i, k), b(k, j), c(i, j));
    }
  }
  return c;
}

/// rows, columns, columns of `factors`, columns of `left`: on both sides of every edge; columns a
/// multiple of 4096 bytes apart, where half of them follow the others.
constexpr std::array<std::array<Index, 4>, 11> shapes = {{{1, 1, 1, 1},
                                                          {1024, 29, 8, 4},
                                                          {1024, 29, 10, 5},
                                                          {2048, 29, 12, 6},
                                                          {1024, 29, 18, 9},
                                                          {70, 70, 20, 10},
                                                          {33, 17, 8, 8},
                                                          {48, 13, 24, 12},
                                                          {97, 40, 12, 6},
                                                          {300, 5, 24, 11},
                                                          {64, 30, 48, 24}}};

template <class T>
struct Pass {
  Matrix<T> w, left, factors, products, outer;

  explicit Pass(const std::array<Index, 4>& shape)
      : w(test::normal_matrix<T>(shape[0], shape[1], 1)),
        left(test::normal_matrix<T>(shape[0], shape[3], 2)),
        factors(test::normal_matrix<T>(shape[0], shape[2], 3)),
        products(Matrix<T>::Constant(shape[1], shape[2], T(NAN))),
        outer(Matrix<T>::Constant(shape[0], shape[1], T(NAN))) {}

  /// Columns from `begin`, which must be the next ones; W's are spoiled, as an update would.
  void move(Index begin, Index columns, const T* tile) {
    EXPECT_EQ(begin, moved_);
    moved_ = begin + columns;
    outer.middleCols(begin, columns) = ConstMatrixMap<T>(tile, w.rows(), columns);
    w.middleCols(begin, columns).setConstant(T(NAN));
  }
  void expect_chains() {
    const Pass fresh({w.rows(), w.cols(), factors.cols(), left.cols()});
    EXPECT_EQ(moved_, w.cols());
    EXPECT_EQ(products, chains<T>(fresh.w.transpose(), factors));
    EXPECT_EQ(outer, chains<T>(left, products.rightCols(left.cols()).transpose()));
  }

 private:
  Index moved_ = 0;
};

template <class T>
void expect_chains_of(kernels::Vectors widest) {
  for (const auto& shape : shapes) {
    if (shape[2] > kernels::widest_pass<T>(widest)) continue;
    SCOPED_TRACE(::testing::PrintToString(shape));
    Pass<T> pass(shape);
    HugePageBuffer<T> room(static_cast<std::size_t>(kernels::room_of_pass<T>(shape[0], widest)));
    kernels::ordered_pass(
        kernels::OrderedPass<T>{
            shape[0], shape[1], pass.w.data(), pass.left.data(), shape[3], pass.factors.data(),
            shape[2], pass.products.data(),
            [&](Index begin, Index columns, const T* tile) { pass.move(begin, columns, tile); }},
        room.get(), widest);
    pass.expect_chains();
  }
}

TEST(OrderedPass, IsChainsOfMultiplyAddsWhateverTheVectors) {
  if (kernels::widest_pass<float>() == 0) GTEST_SKIP() << "no kernel for this CPU";
  for (const kernels::Vectors widest : {kernels::Vectors::bits_256, kernels::Vectors::bits_512}) {
    expect_chains_of<float>(widest);
    expect_chains_of<double>(widest);
  }
}

TEST(ColumnPass, MultipliesEachColumnBeforeItMoves) {
  set_threads(1);
  if (!ColumnPass<float>::is_available(1)) GTEST_SKIP() << "no kernel for this CPU";
  ColumnPass<float> column_pass;
  for (const auto& shape : shapes) {  // of larger and smaller ones by turns: it keeps its memory
    if (!ColumnPass<float>::is_available(shape[2])) continue;
    SCOPED_TRACE(::testing::PrintToString(shape));
    Pass<float> pass(shape);
    const auto map = [](const Matrix<float>& of) {
      return ConstMatrixMap<float>(of.data(), of.rows(), of.cols());
    };
    column_pass.run(map(pass.w), map(pass.left), map(pass.factors),
                    MatrixMap<float>(pass.products.data(), shape[1], shape[2]),
                    [&](Index begin, const ConstMatrixMap<float>& tile) {
                      pass.move(begin, tile.cols(), tile.data());
                    });
    pass.expect_chains();
  }
}

TEST(ColumnPass, IsThereForAsManyColumnsAsThreeVectorsHold) {
  const Index most = kernels::widest_pass<float>();
  set_threads(1);
  EXPECT_FALSE(ColumnPass<float>::is_available(0));
  EXPECT_EQ(ColumnPass<float>::is_available(most), most > 0);
  EXPECT_FALSE(ColumnPass<float>::is_available(most + 1));
  set_threads(2);
  EXPECT_FALSE(ColumnPass<float>::is_available(1));
  set_threads(1);
}

}  // namespace
}  // namespace relgrad
