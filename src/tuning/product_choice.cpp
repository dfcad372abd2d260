#include "tuning/product_choice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "linalg/product_timing.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/exchange/exchange.hpp"
#include "tuning/determinism.hpp"

namespace relgrad {

namespace {

constexpr double most_flops = 4e8;  // of one timed product: some milliseconds
constexpr int rounds = 7;           // the first is a warm-up; other programs disturb some
// Of one pass over separate products, as timed here. Steps gain more than that: at D = 3072, B = 10
// 0.82 to 1.05 are timed, and its backward pass and optimizer take 0.75 of the time.
constexpr double most_time = 1.06;

/// seconds[b] = the shortest time of back end b.
template <class T>
std::vector<double> measure(const ProductShape& shape,
                            const std::vector<ProductBackend>& backends) {
  ProductTimer<T> timer(shape, most_flops);
  std::vector<double> least(backends.size(), HUGE_VAL);
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t b = 0; b < backends.size(); ++b) {
      const double seconds = timer.seconds(Products(backends[b]));
      if (round > 0) least[b] = std::min(least[b], seconds);
    }
  }
  return least;
}

/// The shortest time of W^T X of this shape with a product left right^T of all columns of W in one
/// pass; HUGE_VAL where there is none. @param tile  of left right^T
template <class T>
double measure_pass(const ProductShape& shape, const ProductShape& tile) {
  if (!ColumnPass<T>::is_available(shape.n)) return HUGE_VAL;
  PassTimer<T> timer(shape, tile.k, most_flops);
  double least = HUGE_VAL;
  for (int round = 0; round < rounds; ++round) {
    const double seconds = timer.seconds();
    if (round > 0) least = std::min(least, seconds);
  }
  return least;
}

std::string_view formula(const ProductShape& shape) {
  if (shape.op_b == Transpose::yes) return "Delta P^T";
  return shape.op_a == Transpose::yes ? "W^T [Delta | Y]" : "W X";
}

/// `kept` as choices for `shapes`; none if it is about other ones, or names what is not in this
/// build.
std::vector<ProductChoice> choices_from(const nlohmann::json& kept,
                                        const std::vector<ProductShape>& shapes) {
  if (!kept.is_array() || kept.size() != shapes.size()) return {};
  std::vector<ProductChoice> choices;
  for (std::size_t s = 0; s < shapes.size(); ++s) {
    const ProductShape& shape = shapes[s];
    const nlohmann::json& of = kept[s];
    if (of.value("m", Index{0}) != shape.m || of.value("n", Index{0}) != shape.n ||
        of.value("k", Index{0}) != shape.k) {
      return {};
    }
    try {
      choices.push_back(
          {shape, parse_product_backend(of.value("backend", "")), of.value("in_one_pass", false)});
    } catch (const UsageError&) {
      return {};
    }
  }
  return choices;
}

}  // namespace

std::vector<ProductShape> product_shapes(const TrainOptions& options, Index dimension, int ranks,
                                         std::size_t element_bytes) {
  using enum Transpose;
  const bool by_columns = options.exchange == "row";
  const Index together = !by_columns              ? 1
                         : options.row_groups > 0 ? std::min<Index>(options.row_groups, ranks)
                                                  : ranks;
  const Index batch = options.batch_size;
  const Index samples = std::min<Index>((batch + ranks - 1) / ranks * together, batch);
  const Index columns = (dimension + together - 1) / together;
  const bool gathers =
      options.exchange == "factor" || options.exchange == "gathered" || options.exchange == "auto";
  return {{no, no, dimension, samples, columns},
          {yes, no, columns, 2 * samples, dimension},
          {yes, no, columns, samples, dimension},
          {no, yes, dimension, std::min(columns, tile_columns(dimension, element_bytes)),
           gathers ? batch : samples}};
}

template <class T>
Products choose_products(const TrainOptions& options, Index dimension,
                         const mpi::Communicator& comm, const nlohmann::json& kept) {
  const Compute compute = parse_compute(options.compute);
  if (compute == Compute::bf16 && sizeof(T) != sizeof(float)) {
    throw UsageError("--compute: bf16 sums in float32; leave --precision at float32");
  }
  const ProductBackend fixed = product_backend_of(options);
  if (dimension == 0 || options.products != "auto" || options.deterministic) {
    return Products(fixed, compute);
  }
  const std::vector<ProductShape> shapes =
      product_shapes(options, dimension, comm.world_size(), sizeof(T));
  double lacks_units = multiplies_bf16() ? 0 : 1;
  if (compute == Compute::bf16) comm.allreduce_max(std::span(&lacks_units, 1));
  const auto is_by_units = [&](const ProductShape& shape) {
    return lacks_units == 0 && Products(fixed, compute).rounds(shape);
  };
  if (std::ranges::all_of(shapes, is_by_units)) return Products(fixed, compute);
  const std::vector<ProductChoice> same = choices_from(kept, shapes);
  if (!same.empty()) return Products(fixed, same, compute);
  const std::vector<ProductBackend> backends = product_backends<T>();
  std::vector<double> seconds;
  for (const ProductShape& shape : shapes) {
    const std::vector<double> here = measure<T>(shape, backends);
    seconds.insert(seconds.end(), here.begin(), here.end());
  }
  const bool moves_alone = comm.world_size() == 1 || options.exchange == "row";
  for (const ProductShape& shape : shapes) {
    const bool is_of_transpose = shape.op_a == Transpose::yes;
    seconds.push_back(moves_alone && is_of_transpose ? measure_pass<T>(shape, shapes.back())
                                                     : HUGE_VAL);
  }
  comm.allreduce_sum(std::span(seconds));
  std::vector<ProductChoice> choices;
  std::vector<double> shortest;
  for (std::size_t s = 0; s < shapes.size(); ++s) {
    const auto first = seconds.begin() + static_cast<std::ptrdiff_t>(s * backends.size());
    const auto best = std::min_element(first, first + static_cast<std::ptrdiff_t>(backends.size()));
    const ProductBackend fastest = backends[static_cast<std::size_t>(best - first)];
    choices.push_back({shapes[s], is_by_units(shapes[s]) ? fixed : fastest});
    shortest.push_back(*best);
  }
  const ProductShape& tile = shapes.back();
  for (std::size_t s = 0; s < shapes.size(); ++s) {
    const double tiles = static_cast<double>(shapes[s].m) / static_cast<double>(tile.n);
    const double apart = shortest[s] + tiles * shortest.back();
    const double together = seconds[shapes.size() * backends.size() + s];
    choices[s].in_one_pass = together < most_time * apart;
  }
  return Products(fixed, choices, compute);
}

std::string describe(const Products& products) {
  std::string words;
  for (const ProductChoice& choice : products.choices()) {
    const std::string backend(name_of(choice.backend));
    words += fmt::format("{}{} ({} x {} x {}) {}", words.empty() ? "" : ", ", formula(choice.shape),
                         choice.shape.m, choice.shape.n, choice.shape.k,
                         choice.in_one_pass ? "in one pass with the update" : backend);
  }
  if (words.empty()) words = name_of(products.backend_of({}));
  if (products.compute() == Compute::float32) return words;
  const bool none_is_rounded =
      !products.choices().empty() &&
      std::ranges::none_of(products.choices(), [&](const ProductChoice& choice) {
        return products.rounds(choice.shape);
      });
  if (none_is_rounded) {
    return words +
           fmt::format("; nothing is rounded to bf16: fewer than {} samples in each product",
                       least_rounded_samples);
  }
  return words + (products.backend_of({}) != ProductBackend::ordered && multiplies_bf16()
                      ? "; bf16 by the CPU's own units"
                      : "; operands rounded to bf16, at no gain in speed");
}

nlohmann::json to_json(const Products& products) {
  nlohmann::json choices = nlohmann::json::array();
  for (const ProductChoice& choice : products.choices()) {
    choices.push_back({{"product", formula(choice.shape)},
                       {"m", choice.shape.m},
                       {"n", choice.shape.n},
                       {"k", choice.shape.k},
                       {"backend", name_of(choice.backend)},
                       {"in_one_pass", choice.in_one_pass}});
  }
  if (choices.empty()) return name_of(products.backend_of({}));
  return choices;
}

template Products choose_products<float>(const TrainOptions&, Index, const mpi::Communicator&,
                                         const nlohmann::json&);
template Products choose_products<double>(const TrainOptions&, Index, const mpi::Communicator&,
                                          const nlohmann::json&);

}  // namespace relgrad
