#include "tuning/determinism.hpp"

#include <fmt/format.h>

#include "relgrad/core/error.hpp"
#include "relgrad/exchange/exchange.hpp"

namespace relgrad {

ProductBackend product_backend_of(const TrainOptions& options) {
  if (!options.deterministic) return parse_product_backend(options.products);
  if (options.products == "auto" || options.products == "ordered") return ProductBackend::ordered;
  throw UsageError(
      fmt::format("--products: {} sums in an order of its own, so --deterministic cannot use it; "
                  "leave --products at auto, or leave --deterministic out",
                  options.products));
}

std::string exchange_of(const TrainOptions& options, Index dimension, int world_size) {
  // A norm over all parameters is one of whole gradients: clipping updates all on every rank.
  const bool clips = options.clip_norm > 0;
  if (!options.deterministic) {
    return choose_exchange(clips && options.exchange != "row" ? "dense" : options.exchange,
                           {dimension, options.batch_size, world_size});
  }
  if (options.exchange != "auto" && options.exchange != "factor") {
    throw UsageError(
        fmt::format("--exchange: with {}, sums depend on the number of ranks, so --deterministic "
                    "cannot use it; leave --exchange at auto, or leave --deterministic out",
                    options.exchange));
  }
  if (world_size == 1) return "dense";  // one rank has all samples in order
  return clips ? "gathered" : "factor";
}

std::int64_t exact_terms_of(const TrainOptions& options) {
  return options.deterministic ? options.batch_size : 0;
}

}  // namespace relgrad
