// Every rank runs every test; run with 1, 2 and 4 ranks.
#include <gtest/gtest.h>

#include "relgrad/core/error.hpp"
#include "tuning/product_choice.hpp"

namespace relgrad {
namespace {

TEST(ChooseProducts, IsTheSameOnEveryRank) {
  const auto comm = mpi::Communicator::world();
  TrainOptions options;
  options.batch_size = 40;

  const Products products = choose_products<float>(options, 64, comm);

  ASSERT_EQ(products.choices().size(), 4U);
  for (const ProductChoice& choice : products.choices()) {
    const double backend = static_cast<double>(choice.backend);
    EXPECT_EQ(comm.allgather(backend),
              std::vector<double>(static_cast<std::size_t>(comm.world_size()), backend));
  }
  for (const char* formula : {"W X (64 x ", "W^T [Delta | Y] (64 x ", "Delta P^T (64 x "}) {
    EXPECT_NE(describe(products).find(formula), std::string::npos) << describe(products);
  }
}

TEST(ChooseProducts, TakesWhatIsNamedAndPinsDeterministicRunsToOrdered) {
  const auto comm = mpi::Communicator::world();
  TrainOptions options;
  options.products = "openblas";
  EXPECT_EQ(describe(choose_products<float>(options, 64, comm)), "openblas");

  options.products = "auto";
  options.deterministic = true;
  EXPECT_EQ(describe(choose_products<float>(options, 64, comm)), "ordered");
}

TEST(ChooseProducts, TakesAKeptChoiceWhereTheShapesAreTheSame) {
  const auto comm = mpi::Communicator::world();
  const TrainOptions options;
  nlohmann::json kept = to_json(choose_products<float>(options, 64, comm));
  for (const char* backend : {"openblas", "ordered"}) {
    for (auto& choice : kept) choice["backend"] = backend;
    kept[1]["in_one_pass"] = !kept[1]["in_one_pass"].get<bool>();
    EXPECT_EQ(to_json(choose_products<float>(options, 64, comm, kept)), kept);
  }

  EXPECT_EQ(choose_products<float>(options, 65, comm, kept).choices()[0].shape.m, 65);
  kept[0]["backend"] = "of another build";
  EXPECT_NE(to_json(choose_products<float>(options, 64, comm, kept)), kept);
}

TEST(ChooseProducts, Bf16NeedsSinglePrecision) {
  TrainOptions options;
  options.compute = "bf16";
  EXPECT_THROW(choose_products<double>(options, 64, mpi::Communicator::world()), UsageError);

  options.products = "ordered";
  const Products products = choose_products<float>(options, 64, mpi::Communicator::world());
  EXPECT_EQ(products.compute(), Compute::bf16);
  EXPECT_NE(describe(products).find("no gain"), std::string::npos);
}

TEST(ProductShapes, AreThoseOfARank) {
  TrainOptions options;
  options.batch_size = 40;
  options.exchange = "row";
  options.row_groups = 2;

  const auto shapes = product_shapes(options, 100, 4, sizeof(float));

  EXPECT_EQ(shapes[0].m, 100);  // W[:, I] X[I] of the 2 ranks' samples
  EXPECT_EQ(shapes[0].n, 20);
  EXPECT_EQ(shapes[0].k, 50);
  EXPECT_EQ(shapes[1].m, 50);  // W[:, I]^T [Delta | Y]
  EXPECT_EQ(shapes[1].n, 40);
  EXPECT_EQ(shapes[1].k, 100);
}

}  // namespace
}  // namespace relgrad
