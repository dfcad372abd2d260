#include "linalg/kernels/bf16.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "linalg/bf16_products.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

float rounded(float x) {
  kernels::round_to_bf16(&x, 1, &x);
  return x;
}

/// The bf16 number nearest to x by search among its neighbours, ties to the even one.
float nearest_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x) & 0xFFFF0000U;
  const float toward_zero = std::bit_cast<float>(bits);
  const float away = std::bit_cast<float>(bits + 0x10000U);
  const double down = std::abs(static_cast<double>(x) - static_cast<double>(toward_zero));
  const double up = std::abs(static_cast<double>(away) - static_cast<double>(x));
  if (down != up) return down < up ? toward_zero : away;
  return (bits & 0x10000U) == 0 ? toward_zero : away;
}

TEST(Bf16, RoundsToNearest) {
  const Matrix<float> x = test::normal_matrix<float>(1000, 1, 1);
  for (Index i = 0; i < x.size(); ++i) {
    for (const float scale : {1.0F, 1e-30F, 1e30F}) {
      EXPECT_EQ(rounded(scale * x(i)), nearest_bf16(scale * x(i)));
    }
  }
}

TEST(Bf16, RoundsTiesToEven) {
  // Numbers near 1 are 2^-7 apart.
  EXPECT_EQ(rounded(1.0F + 0x1p-8F), 1.0F);
  EXPECT_EQ(rounded(1.0F + 3 * 0x1p-8F), 1.0F + 2 * 0x1p-7F);
  EXPECT_EQ(rounded(-1.0F - 0x1p-8F), -1.0F);
  EXPECT_EQ(rounded(1.0F + 0x1p-8F + 0x1p-20F), 1.0F + 0x1p-7F);
}

TEST(Bf16, KeepsWhatHasNoNeighbour) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(rounded(0.0F), 0.0F);
  EXPECT_TRUE(std::signbit(rounded(-0.0F)));
  EXPECT_EQ(rounded(infinity), infinity);
  EXPECT_EQ(rounded(std::numeric_limits<float>::max()), infinity);
  EXPECT_EQ(rounded(-std::numeric_limits<float>::max()), -infinity);
  EXPECT_TRUE(std::isnan(rounded(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(
      std::isnan(rounded(std::bit_cast<float>(0x7F800001U))));  // its upper half is infinite
}

struct Forms {
  Transpose op_a, op_b;
};
constexpr Forms all_forms[] = {{Transpose::no, Transpose::no},
                               {Transpose::yes, Transpose::no},
                               {Transpose::no, Transpose::yes},
                               {Transpose::yes, Transpose::yes}};

/// C = op(A) op(B), both with leading dimensions of their own, and C's of 3 more than it has rows.
struct Operands {
  static constexpr Index gap = 3;
  Index m = 37, n = 35, k = 70;
  explicit Operands(const Forms& form) : Operands(form, 37, 35, 70) {}
  Operands(const Forms& form, Index rows, Index columns, Index depth)
      : m(rows),
        n(columns),
        k(depth),
        a(form.op_a == Transpose::yes ? test::normal_matrix<float>(k, m, 1)
                                      : test::normal_matrix<float>(m, k, 1)),
        b(form.op_b == Transpose::yes ? test::normal_matrix<float>(n, k, 2)
                                      : test::normal_matrix<float>(k, n, 2)),
        left(form.op_a == Transpose::yes ? Matrix<float>(a.transpose()) : a),
        right(form.op_b == Transpose::yes ? Matrix<float>(b.transpose()) : b) {}
  Matrix<float> a, b, left, right;
};

// With u = 2^-8 for each operand's rounding and K terms of float32, summed in any order:
//   |error| <= ((1 + u)^2 (1 + (K + 1) 2^-24) - 1) sum_k |a_ik| |b_kj|
TEST(Bf16Products, DifferFromExactOnesByNoMoreThanRoundingAllows) {
  const double u = 0x1p-8;
  for (const ProductBackend backend : product_backends<float>()) {
    const Products products(backend, Compute::bf16);
    for (const Forms& form : all_forms) {
      const Operands o(form);
      const double terms = static_cast<double>(o.k) + 2;
      const double bound = (1 + u) * (1 + u) * (1 + terms * 0x1p-24) - 1;
      const Index ldc = o.m + Operands::gap;
      for (const Onto onto : {Onto::zero, Onto::itself}) {
        Matrix<float> c = Matrix<float>::Constant(ldc, o.n, 2);
        products.gemm(form.op_a, form.op_b, o.m, o.n, o.k, o.a.data(), o.a.rows(), o.b.data(),
                      o.b.rows(), onto, c.data(), ldc);

        const Matrix<double> left = o.left.cast<double>();
        const Matrix<double> right = o.right.cast<double>();
        Matrix<double> exact = left * right;
        Matrix<double> magnitude = left.cwiseAbs() * right.cwiseAbs();
        if (onto == Onto::itself) {
          exact.array() += 2;
          magnitude.array() += 2;
        }
        const Matrix<double> error = (c.topRows(o.m).cast<double>() - exact).cwiseAbs();
        EXPECT_LE((error.array() / magnitude.array()).maxCoeff(), bound) << name_of(backend);
        EXPECT_GT((error.array() / magnitude.array()).maxCoeff(), 1e-5) << "nothing was rounded";
        EXPECT_TRUE((c.bottomRows(Operands::gap).array() == 2).all());
      }
    }
  }
}

TEST(Bf16Products, AreThoseOfRoundedOperands) {
  const Operands o(all_forms[0]);
  const Matrix<float> left = o.left.unaryExpr(&rounded);
  const Matrix<float> right = o.right.unaryExpr(&rounded);
  Matrix<float> expected(o.m, o.n);
  Products(ProductBackend::ordered)
      .gemm(Transpose::no, Transpose::no, o.m, o.n, o.k, left.data(), o.m, right.data(), o.k,
            Onto::zero, expected.data(), o.m);

  Matrix<float> actual(o.m, o.n);
  Products(ProductBackend::ordered, Compute::bf16)
      .gemm(Transpose::no, Transpose::no, o.m, o.n, o.k, o.a.data(), o.m, o.b.data(), o.k,
            Onto::zero, actual.data(), o.m);

  EXPECT_EQ(actual, expected);
}

// Of numbers that are bf16 already, products are exact in float32, and only their sums differ:
//   |error| <= (K + 2) 2^-24 sum_k |a_ik| |b_kj|, twice that where a unit rounds toward zero.
TEST(Bf16Products, ByTilesAreThoseOfRoundedOperands) {
  struct Size {
    Index m, n, k;
  };
  for (const Size& size :
       {Size{1, 1, 1}, Size{16, 16, 32}, Size{37, 11, 70}, Size{1100, 18, 1101}}) {
    for (const Forms& form : all_forms) {
      const Operands o(form, size.m, size.n, size.k);
      const Matrix<double> left = o.left.unaryExpr(&rounded).cast<double>();
      const Matrix<double> right = o.right.unaryExpr(&rounded).cast<double>();
      const Matrix<double> magnitude = left.cwiseAbs() * right.cwiseAbs();
      const double bound = 2 * (static_cast<double>(o.k) + 2) * 0x1p-24;
      const Index ldc = o.m + Operands::gap;
      for (const kernels::Bf16Units units :
           {kernels::Bf16Units::plain, kernels::Bf16Units::avx512_bf16, kernels::Bf16Units::amx}) {
        if (units > kernels::bf16_units()) continue;  // CPUs with AMX have the others
        for (const Onto onto : {Onto::zero, Onto::itself}) {
          const double before = onto == Onto::itself ? 2 : 0;
          Matrix<float> c = Matrix<float>::Constant(ldc, o.n, 2);
          tiled_gemm({form.op_a, form.op_b, o.m, o.n, o.k}, o.a.data(), o.a.rows(), o.b.data(),
                     o.b.rows(), onto, c.data(), ldc, units);

          const Matrix<double> exact = ((left * right).array() + before).matrix();
          const Matrix<double> error = (c.topRows(o.m).cast<double>() - exact).cwiseAbs();
          EXPECT_LE((error.array() / (magnitude.array() + before)).maxCoeff(), bound)
              << o.m << " x " << o.n << " x " << o.k << ", units " << static_cast<int>(units);
          EXPECT_TRUE((c.bottomRows(Operands::gap).array() == 2).all());
        }
      }
    }
  }
}

TEST(Bf16Products, OfFewSamplesAreThoseOfFloat32UnlessBitsMustNotDependOnTheirNumber) {
  for (const Forms& form : all_forms) {
    for (const Index samples : {Index{1}, least_rounded_samples - 1, least_rounded_samples}) {
      const bool sums_samples = form.op_b == Transpose::yes;  // they are k, else n
      const Operands o(form, 37, sums_samples ? 35 : samples, sums_samples ? samples : 70);
      const auto product = [&](ProductBackend backend, Compute compute) {
        Matrix<float> c(o.m, o.n);
        Products(backend, compute)
            .gemm(form.op_a, form.op_b, o.m, o.n, o.k, o.a.data(), o.a.rows(), o.b.data(),
                  o.b.rows(), Onto::zero, c.data(), o.m);
        return c;
      };
      using enum ProductBackend;
      using enum Compute;
      EXPECT_EQ(product(openblas, bf16) == product(openblas, float32),
                samples < least_rounded_samples)
          << samples << " samples";
      EXPECT_NE(product(ordered, bf16), product(ordered, float32)) << samples << " samples";
    }
  }
}

}  // namespace
}  // namespace relgrad
