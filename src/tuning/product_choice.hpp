#pragma once
/// Which back end computes which products of a run: --products, --compute.
#include <nlohmann/json.hpp>

#include "options/options.hpp"
#include "relgrad/linalg/products.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

/// What a rank multiplies in a step: W X, W^T [Delta | Y], W^T Y of the first layer, a tile of
/// Delta P^T. @param element_bytes  of a number
std::vector<ProductShape> product_shapes(const TrainOptions& options, Index dimension, int ranks,
                                         std::size_t element_bytes);

/// Collective; the same on every rank. --products auto: every back end computes every shape a few
/// times, the sum of all ranks' times decides (some tenths of a second in all). Named back ends and
/// deterministic runs need no measuring. @throws UsageError as product_backend_of, and for
/// --compute bf16 with --precision float64.
/// @param kept  to_json of an earlier choice: taken where its shapes are those of now, so that a
///              resumed run computes the same bits; null: measure
template <class T>
Products choose_products(const TrainOptions& options, Index dimension,
                         const mpi::Communicator& comm, const nlohmann::json& kept = nullptr);

/// "W X ordered, W^T [Delta | Y] onednn, Delta P^T ordered", or the one back end there is; with
/// what --compute bf16 means on this CPU.
std::string describe(const Products& products);
nlohmann::json to_json(const Products& products);

}  // namespace relgrad
