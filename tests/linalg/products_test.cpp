#include "relgrad/linalg/products.hpp"

#include <gtest/gtest.h>

#include "relgrad/core/error.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

template <class T>
Matrix<T> product(const Products& products, Transpose a_op, Transpose b_op, const Matrix<T>& a,
                  const Matrix<T>& b, T beta, const Matrix<T>& c) {
  Matrix<T> result = c;
  const Index inner = a_op == Transpose::yes ? a.rows() : a.cols();
  products.gemm(a_op, b_op, c.rows(), c.cols(), inner, T{2}, a.data(), a.rows(), b.data(), b.rows(),
                beta, result.data(), c.rows());
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
      const Matrix<T> expected = T{2} * a * b + T{3} * c;
      const Matrix<T> at = a.transpose();
      const Matrix<T> bt = b.transpose();
      const auto close = [&](const Matrix<T>& actual) {
        return (actual - expected).cwiseAbs().maxCoeff() <= tolerance;
      };
      EXPECT_TRUE(close(product(products, Transpose::no, Transpose::no, a, b, T{3}, c)));
      EXPECT_TRUE(close(product(products, Transpose::yes, Transpose::no, at, b, T{3}, c)));
      EXPECT_TRUE(close(product(products, Transpose::no, Transpose::yes, a, bt, T{3}, c)));
      EXPECT_TRUE(close(product(products, Transpose::yes, Transpose::yes, at, bt, T{3}, c)));
    }
  }
}

// Rounding of a sum of 13 products of size about 3: 13 * 2^-24 * 10 in float, 2^-53 in double.
TEST(Products, OfEveryBackEndAgreeWithEigen) {
  for (const char* name : {"openblas", "auto"}) {
    SCOPED_TRACE(name);
    const ProductBackend backend = parse_product_backend(name);
    expect_all_forms_agree<float>(backend, 2e-5);
    expect_all_forms_agree<double>(backend, 5e-14);
  }
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
