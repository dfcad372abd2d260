#include "relgrad/model/flow.hpp"

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <cmath>

#include "relgrad/core/error.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

const Products& products() {
  static const Products openblas(ProductBackend::openblas);
  return openblas;
}

FlowSpec spec_of(const std::string& kind) {
  const LayerSpec layer = kind == "spline" ? LayerSpec{kind, {{"bins", 6}, {"bound", 3}}}
                                           : LayerSpec{kind, {{"slope", 0.3}, {"scale", 1.0}}};
  return make_flow_spec(8, 3, layer, layer, Latent::normal);
}

TEST(Flow, OrthogonalStartIsOrthogonalAndIdentityStartIsTheIdentity) {
  Flow<double> flow(spec_of("spline"), products());
  flow.initialize(Initialization::orthogonal, 0.0, 2);
  const Matrix<double> w = std::as_const(flow.parameters()).matrix(0);
  EXPECT_LE((w.transpose() * w - Matrix<double>::Identity(8, 8)).cwiseAbs().maxCoeff(), 1e-12);

  flow.initialize(Initialization::identity, 0.0, 2);
  Workspace<double> workspace(flow, 4);
  const Matrix<double> x = test::normal_matrix<double>(8, 4, 3);
  workspace.input() = x;
  forward(flow, workspace);
  EXPECT_LE((workspace.latents() - x).cwiseAbs().maxCoeff(), 1e-13);
}

TEST(Flow, StartDependsOnTheSeedAlone) {
  Flow<float> one(spec_of("spline"), products());
  Flow<float> same(spec_of("spline"), products());
  Flow<float> other(spec_of("spline"), products());
  one.initialize(Initialization::identity, 0.1, 5);
  same.initialize(Initialization::identity, 0.1, 5);
  other.initialize(Initialization::identity, 0.1, 6);
  EXPECT_TRUE(std::ranges::equal(one.parameters().flat(), same.parameters().flat()));
  EXPECT_FALSE(std::ranges::equal(one.parameters().flat(), other.parameters().flat()));
}

TEST(Registry, NamesTheKindsThereAreWhenAskedForAnother) {
  try {
    Flow<double>({4, Latent::normal, {{"unheard-of", {}}}}, products());
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("smooth-leaky-relu"), std::string::npos);
  }
}

TEST(ParameterStore, LaysParametersOnCacheLinesByName) {
  ParameterStore<float> store;
  store.add("a", {}, 3, 1);
  const ParameterId b = store.add("b", {.by_columns = true}, 4, 5);
  store.allocate(2);
  EXPECT_EQ(store.id_of("b"), b);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(store.values(b).data()) % 64, 0U);
  EXPECT_EQ(store.values(b).size(), 20U);
  EXPECT_EQ(store.moment_count(), 2);
  EXPECT_EQ(store.moment(1, b)[19], 0.0F);
  EXPECT_THROW(store.id_of("c"), ShapeError);
}

}  // namespace
}  // namespace relgrad
