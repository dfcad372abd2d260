#include "relgrad/linalg/products.hpp"

#include <cblas.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "linalg/kernels/ordered_gemm.hpp"
#include "relgrad/core/error.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

template <class T>
Matrix<T> product(const Products& products, Transpose a_op, Transpose b_op, const Matrix<T>& a,
                  const Matrix<T>& b, Onto onto, const Matrix<T>& c) {
  Matrix<T> result = c;
  const Index inner = a_op == Transpose::yes ? a.rows() : a.cols();
  products.gemm(a_op, b_op, c.rows(), c.cols(), inner, a.data(), a.rows(), b.data(), b.rows(), onto,
                result.data(), c.rows());
  return result;
}

template <class T>
void expect_all_forms_agree(ProductBackend backend, double tolerance) {
  const Products products(backend);
  for (const Index m : {1, 7, 40}) {
    for (const Index k : {1, 13}) {
      const Index n = 5;
      const Matrix<T> a = test::normal_matrix<T>(m, k, 1);
      const Matrix<T> b = test::normal_matrix<T>(k, n, 2);
      const Matrix<T> c = test::normal_matrix<T>(m, n, 3);
      const Matrix<T> at = a.transpose();
      const Matrix<T> bt = b.transpose();
      for (const Onto onto : {Onto::zero, Onto::itself}) {
        Matrix<T> expected = a * b;
        if (onto == Onto::itself) expected += c;
        const auto close = [&](const Matrix<T>& actual) {
          return (actual - expected).cwiseAbs().maxCoeff() <= tolerance;
        };
        EXPECT_TRUE(close(product(products, Transpose::no, Transpose::no, a, b, onto, c)));
        EXPECT_TRUE(close(product(products, Transpose::yes, Transpose::no, at, b, onto, c)));
        EXPECT_TRUE(close(product(products, Transpose::no, Transpose::yes, a, bt, onto, c)));
        EXPECT_TRUE(close(product(products, Transpose::yes, Transpose::yes, at, bt, onto, c)));
      }
    }
  }
}

// Rounding of a sum of 13 products of size about 3: 13 * 2^-24 * 10 in float, 2^-53 in double.
TEST(Products, OfEveryBackEndAgreeWithEigen) {
  for (const char* name : {"openblas", "auto", "ordered"}) {
    SCOPED_TRACE(name);
    const ProductBackend backend = parse_product_backend(name);
    expect_all_forms_agree<float>(backend, 2e-5);
    expect_all_forms_agree<double>(backend, 5e-14);
  }
}

/// c <- fma(a_k, b_k, c) in the order of k: what the ordered back end promises, bit by bit.
template <class T>
Matrix<T> chains(const Matrix<T>& a, const Matrix<T>& b, Matrix<T> c) {
  for (Index j = 0; j < c.cols(); ++j) {
    for (Index i = 0; i < c.rows(); ++i) {
      for (Index k = 0; k < a.cols(); ++k) c(i, j) = std::fma(a(i, k), b(k, j), c(i, j));
    }
  }
  return c;
}

// Shapes on both sides of every edge: tiles of 16, 32 rows and 6, 12 columns, blocks of 128 and 256
// in depth and 240 columns, one and several threads; A B with few columns and A above 8 MiB: 8
// columns of A at a time, up to 61440 numbers of C; A^T B with few columns: one to three vectors of
// 8 to 16 columns, blocks of 2560 in depth.
template <class T>
void expect_chains() {
  const Products products(ProductBackend::ordered);
  for (const auto& [m, n, k] : {std::array<Index, 3>{1, 1, 1},
                                {33, 13, 7},
                                {64, 12, 256},
                                {97, 25, 300},
                                {300, 5, 259},
                                {40, 247, 130},
                                {130, 100, 64},
                                {7000, 11, 300},
                                {13, 10, 2600},
                                {13, 20, 2600},
                                {13, 40, 2600}}) {
    SCOPED_TRACE(::testing::Message() << m << " x " << n << " x " << k);
    const Matrix<T> a = test::normal_matrix<T>(m, k, 1);
    const Matrix<T> b = test::normal_matrix<T>(k, n, 2);
    const Matrix<T> c = test::normal_matrix<T>(m, n, 3);
    const Matrix<T> at = a.transpose();
    const Matrix<T> bt = b.transpose();
    const Matrix<T> fresh = chains(a, b, Matrix<T>(Matrix<T>::Zero(m, n)));
    const Matrix<T> added = chains(a, b, c);
    for (const int threads : {1, 3}) {
      set_threads(threads);
      EXPECT_EQ(product(products, Transpose::no, Transpose::no, a, b, Onto::zero, c), fresh);
      EXPECT_EQ(product(products, Transpose::no, Transpose::no, a, b, Onto::itself, c), added);
      EXPECT_EQ(product(products, Transpose::yes, Transpose::no, at, b, Onto::itself, c), added);
      EXPECT_EQ(product(products, Transpose::no, Transpose::yes, a, bt, Onto::itself, c), added);
      EXPECT_EQ(product(products, Transpose::yes, Transpose::yes, at, bt, Onto::zero, c), fresh);
    }
    set_threads(1);
    for (const kernels::Vectors widest : {kernels::Vectors::none, kernels::Vectors::bits_256}) {
      Matrix<T> result = c;
      kernels::ordered_gemm(kernels::OrderedProduct<T>{false, false, m, n, k, a.data(), m, b.data(),
                                                       k, true, result.data(), m},
                            widest);
      EXPECT_EQ(result, added);
      result = c;
      kernels::ordered_gemm(kernels::OrderedProduct<T>{true, false, m, n, k, at.data(), k, b.data(),
                                                       k, true, result.data(), m},
                            widest);
      EXPECT_EQ(result, added);
    }
  }
}

TEST(OrderedProducts, AreChainsOfFusedMultiplyAddsInTheOrderOfK) {
  expect_chains<float>();
  expect_chains<double>();
}

// Every number of columns of B has a kernel of its own: A B with A above 8 MiB, and A^T B, also
// with columns of A a multiple of 4096 bytes apart.
template <class T>
void expect_chains_for_every_width() {
  constexpr Index most = 49;
  for (const auto& [m, k] : {std::array<Index, 2>{2100, 1003}, {29, 70}, {29, 2048}}) {
    const Matrix<T> a = test::normal_matrix<T>(m, k, 1);
    const Matrix<T> b = test::normal_matrix<T>(k, most, 2);
    const Matrix<T> at = a.transpose();
    const Matrix<T> all = chains(a, b, Matrix<T>(Matrix<T>::Zero(m, most)));
    for (Index n = 1; n <= most; ++n) {
      SCOPED_TRACE(::testing::Message() << m << " x " << n << " x " << k);
      for (const kernels::Vectors widest :
           {kernels::Vectors::bits_256, kernels::Vectors::bits_512}) {
        for (const bool transposed : {false, true}) {
          Matrix<T> result(m, n);
          kernels::ordered_gemm(
              kernels::OrderedProduct<T>{transposed, false, m, n, k,
                                         transposed ? at.data() : a.data(), transposed ? k : m,
                                         b.data(), k, false, result.data(), m},
              widest);
          EXPECT_EQ(result, all.leftCols(n)) << (transposed ? "A^T B" : "A B");
        }
      }
    }
  }
}

TEST(OrderedProducts, AreTheSameChainsForEveryWidth) {
  set_threads(1);
  expect_chains_for_every_width<float>();
  expect_chains_for_every_width<double>();
}

TEST(Threads, AreThoseOfOpenBlasOnlyWhereItTakesThemFromOpenMP) {
  set_threads(3);
  EXPECT_EQ(openblas_get_num_threads(), openblas_get_parallel() == OPENBLAS_OPENMP ? 3 : 1);
  set_threads(1);
  EXPECT_EQ(openblas_get_num_threads(), 1);
}

TEST(Products, NameOfAnUnknownBackEndIsAnErrorThatListsThem) {
  try {
    parse_product_backend("mkl");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("openblas"), std::string::npos);
  }
}

}  // namespace
}  // namespace relgrad
