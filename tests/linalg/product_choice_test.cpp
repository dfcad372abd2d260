#include <gtest/gtest.h>

#include "linalg/machine_speed.hpp"
#include "linalg/product_timing.hpp"

namespace relgrad {
namespace {

using enum Transpose;
using enum ProductBackend;

TEST(ProductChoice, IsThatOfTheSameOpsWithTheNearestFlops) {
  const Products products(openblas,
                          {{{no, no, 100, 10, 100}, ordered}, {{no, no, 100, 100, 100}, onednn}},
                          Compute::float32);

  EXPECT_EQ(products.backend_of({no, no, 100, 9, 100}), ordered);
  EXPECT_EQ(products.backend_of({no, no, 100, 1000, 100}), onednn);
  EXPECT_EQ(products.backend_of({yes, no, 100, 10, 100}), openblas);
}

TEST(ProductChoice, SaysWhichProductsGoWithTheUpdateInOnePass) {
  const std::vector<ProductChoice> choices{{{yes, no, 100, 20, 100}, openblas, true},
                                           {{yes, no, 100, 100, 100}, ordered, false}};
  const Products products(openblas, choices, Compute::float32);
  EXPECT_TRUE(products.in_one_pass({yes, no, 100, 10, 100}));
  EXPECT_FALSE(products.in_one_pass({yes, no, 100, 200, 100}));
  EXPECT_FALSE(products.in_one_pass({no, no, 100, 10, 100}));
  const Products rounding(openblas, {{{yes, no, 100, 40, 100}, openblas, true}}, Compute::bf16);
  EXPECT_FALSE(rounding.in_one_pass({yes, no, 100, least_rounded_samples, 100}));
  EXPECT_TRUE(rounding.in_one_pass({yes, no, 100, least_rounded_samples - 1, 100}));

  EXPECT_TRUE(Products(ordered).in_one_pass({yes, no, 100, 10, 100}));
  EXPECT_FALSE(Products(openblas).in_one_pass({yes, no, 100, 10, 100}));
}

TEST(PassTimer, TimesAllColumnsOfAPart) {
  const ProductShape shape{yes, no, 80, 20, 90};
  set_threads(1);
  if (!ColumnPass<float>::is_available(shape.n)) GTEST_SKIP() << "no kernel for this CPU";
  PassTimer<float> timer(shape, 10, 0.5 * shape.flops());
  for (int round = 0; round < 5; ++round) EXPECT_GT(timer.seconds(), 0);
}

TEST(BlasKernels, AreThoseOfTheCpu) {
  const CpuFeatures avx512{true, true};
  const CpuFeatures avx2{true, false};
  EXPECT_EQ(better_blas_kernels("Haswell", avx512), "SkylakeX");
  EXPECT_EQ(better_blas_kernels("Zen", avx512), "SkylakeX");
  EXPECT_EQ(better_blas_kernels("Prescott", avx512), "SkylakeX");
  EXPECT_EQ(better_blas_kernels("SkylakeX", avx512), "");
  EXPECT_EQ(better_blas_kernels("Cooperlake", avx512), "");
  EXPECT_EQ(better_blas_kernels("SapphireRapids", avx512), "");
  EXPECT_EQ(better_blas_kernels("Prescott", avx2), "Haswell");
  EXPECT_EQ(better_blas_kernels("Sandybridge", avx2), "Haswell");
  EXPECT_EQ(better_blas_kernels("Haswell", avx2), "");
  EXPECT_EQ(better_blas_kernels("Zen", avx2), "");
  EXPECT_EQ(better_blas_kernels("Nehalem", {}), "");
}

TEST(ProductTimer, SeesThatEveryBackEndIsRight) {
  for (const ProductShape& shape :
       {ProductShape{no, no, 90, 11, 80}, ProductShape{no, no, 90, 40, 80},
        ProductShape{yes, no, 80, 22, 90}, ProductShape{yes, no, 80, 44, 90},
        ProductShape{no, yes, 90, 24, 11}, ProductShape{no, yes, 90, 24, 40}}) {
    // A limit that leaves a part of the product: its columns of W.
    ProductTimer<float> timer(shape, 0.5 * shape.flops());
    for (const ProductBackend backend : product_backends<float>()) {
      for (const Compute compute : {Compute::float32, Compute::bf16}) {
        const Products products(backend, compute);
        timer.seconds(products);
        EXPECT_LE(timer.error_over_bound(products), 1) << name_of(backend);
      }
    }
  }
}

TEST(ProductTimer, SeesAProductOfOtherNumbers) {
  ProductTimer<float> timer({no, no, 90, 40, 80}, 1e9);
  timer.seconds(Products(openblas, Compute::bf16));

  EXPECT_GT(timer.error_over_bound(Products(openblas)), 1);
}

TEST(MachineSpeed, IsMeasuredOnSeveralThreadsTogether) {
  set_threads(2);
  StreamingBandwidth bandwidth;
  const double peak = measure_peak_flops();
  const double bytes = bandwidth.measure();
  set_threads(1);

  EXPECT_LT(peak, 1e13);
  EXPECT_LT(bytes, 1e13);
  EXPECT_GE(bandwidth.bytes(), std::size_t{192} << 20U);
}

}  // namespace
}  // namespace relgrad
