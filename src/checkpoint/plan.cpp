#include "checkpoint/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "relgrad/core/error.hpp"

namespace relgrad::checkpoint {
namespace {

using Range = std::pair<Index, Index>;

/// A tensor and, for every range of columns of it, the ranks that hold this range.
struct Holdings {
  Tensor tensor;
  std::map<Range, std::vector<int>> holders;
};

void add_block(std::map<std::string, Holdings>& all, const nlohmann::json& block, int rank) {
  const Tensor tensor{block.at("name"), block.at("type"), block.at("rows"), block.at("cols")};
  const Range range{block.at("begin"), block.at("end")};
  const auto [where, is_new] = all.try_emplace(tensor.name, Holdings{tensor, {}});
  Holdings& holdings = where->second;
  const Tensor& known = holdings.tensor;
  if (known.rows != tensor.rows || known.cols != tensor.cols || known.type != tensor.type)
    throw ShapeError(fmt::format("checkpoint: {} is {} x {} {} on rank {} and {} x {} {} elsewhere",
                                 tensor.name, tensor.rows, tensor.cols, name_of(tensor.type), rank,
                                 known.rows, known.cols, name_of(known.type)));
  if (range.first < 0 || range.second < range.first || range.second > tensor.cols)
    throw ShapeError(fmt::format("checkpoint: {} has {} columns, rank {} passes [{}, {})",
                                 tensor.name, tensor.cols, rank, range.first, range.second));
  if (range.first == range.second) return;  // holds nothing of it
  for (const auto& [other, ranks] : holdings.holders) {
    if (std::ranges::find(ranks, rank) != ranks.end())
      throw ShapeError(
          fmt::format("checkpoint: rank {} passes two blocks of {}", rank, tensor.name));
  }
  holdings.holders[range].push_back(rank);
}

void check_coverage(const Holdings& holdings) {
  Index covered = 0;
  for (const auto& [range, ranks] : holdings.holders) {
    if (range.first != covered)
      throw ShapeError(fmt::format("checkpoint: columns [{}, {}) of {} are held {}",
                                   std::min(covered, range.first), std::max(covered, range.first),
                                   holdings.tensor.name,
                                   range.first > covered ? "by no rank" : "in two ways"));
    covered = range.second;
  }
  if (covered != holdings.tensor.cols)
    throw ShapeError(fmt::format("checkpoint: columns [{}, {}) of {} are held by no rank", covered,
                                 holdings.tensor.cols, holdings.tensor.name));
}

/// W = clamp(ceil(bytes / bytes per writer), 1, ranks) ranks, spread evenly and so over the nodes.
std::vector<int> writers_of(std::uint64_t bytes, int ranks, const WriterPolicy& policy) {
  const std::uint64_t wanted = (bytes + policy.bytes_per_writer - 1) / policy.bytes_per_writer;
  const int count =
      static_cast<int>(std::clamp<std::uint64_t>(wanted, 1, static_cast<std::uint64_t>(ranks)));
  std::vector<int> writers;
  for (int w = 0; w < count; ++w) {
    writers.push_back(static_cast<int>(static_cast<std::int64_t>(w) * ranks / count));
  }
  return writers;
}

/// The ranks that share the writing of a range: the writers among its holders, else its first
/// holder.
std::vector<int> sharers_of(const std::vector<int>& holders, const std::vector<int>& writers,
                            bool is_small) {
  std::vector<int> sharers;
  std::ranges::set_intersection(holders, writers, std::back_inserter(sharers));
  if (sharers.empty()) sharers.push_back(holders.front());
  if (is_small) sharers.resize(1);
  return sharers;
}

std::map<std::string, Holdings> holdings_of(const std::vector<std::string>& tables) {
  std::map<std::string, Holdings> all;
  const nlohmann::json first = nlohmann::json::parse(tables.front());
  for (std::size_t rank = 0; rank < tables.size(); ++rank) {
    const nlohmann::json table = nlohmann::json::parse(tables[rank]);
    if (table.at("step") != first.at("step"))
      throw ShapeError(fmt::format("checkpoint: rank {} saves step {}, rank 0 step {}", rank,
                                   table.at("step").dump(), first.at("step").dump()));
    for (const auto& block : table.at("blocks")) add_block(all, block, static_cast<int>(rank));
  }
  for (const auto& [name, holdings] : all) check_coverage(holdings);
  return all;
}

}  // namespace

std::uint64_t bytes_of(TensorType type) { return hdf5::bytes_of(file_type(type)); }
std::string_view name_of(TensorType type) { return hdf5::name_of(file_type(type)); }
hdf5::Type file_type(TensorType type) {
  return type == TensorType::float32 ? hdf5::Type::float32 : hdf5::Type::float64;
}

std::uint64_t Tensor::column_bytes() const {
  return static_cast<std::uint64_t>(rows) * bytes_of(type);
}

std::string Plan::shard_of(int rank) const {
  const auto before = std::count_if(of_rank.begin(), of_rank.begin() + rank,
                                    [](const auto& blocks) { return !blocks.empty(); });
  return fmt::format("shard-{:04d}.h5", before);
}

std::string describe(std::int64_t step, const std::vector<ConstBlock>& blocks) {
  nlohmann::json table = {{"step", step}, {"blocks", nlohmann::json::array()}};
  for (const ConstBlock& block : blocks) {
    table["blocks"].push_back({{"name", block.name},
                               {"type", block.type},
                               {"rows", block.rows},
                               {"cols", block.cols},
                               {"begin", block.col_begin},
                               {"end", block.col_end}});
  }
  return table.dump();
}

Plan make_plan(const std::vector<std::string>& tables, const WriterPolicy& policy) {
  const std::map<std::string, Holdings> all = holdings_of(tables);
  Plan plan;
  plan.of_rank.resize(tables.size());
  for (const auto& [name, holdings] : all) {
    plan.tensors.push_back(holdings.tensor);
    plan.bytes += holdings.tensor.column_bytes() * static_cast<std::uint64_t>(holdings.tensor.cols);
  }
  const std::vector<int> writers = writers_of(plan.bytes, static_cast<int>(tables.size()), policy);
  for (std::size_t tensor = 0; tensor < plan.tensors.size(); ++tensor) {
    for (const auto& [range, holders] : all.at(plan.tensors[tensor].name).holders) {
      const Index cols = range.second - range.first;
      const std::uint64_t bytes =
          plan.tensors[tensor].column_bytes() * static_cast<std::uint64_t>(cols);
      const auto sharers = sharers_of(holders, writers, bytes < policy.smallest_split);
      const auto parts = static_cast<Index>(sharers.size());
      for (Index part = 0; part < parts; ++part) {
        const PlannedBlock block{tensor, range.first + cols * part / parts,
                                 range.first + cols * (part + 1) / parts};
        if (block.col_begin == block.col_end) continue;
        plan.of_rank[static_cast<std::size_t>(sharers[static_cast<std::size_t>(part)])].push_back(
            block);
      }
    }
  }
  return plan;
}

}  // namespace relgrad::checkpoint
