#include "commands/audit_order.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "options/option_value.hpp"
#include "relgrad/checkpoint/checkpoint.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/data/dataset.hpp"

namespace relgrad {

namespace {

constexpr std::string_view change_prefix = "batch-size: ";

std::int64_t batch_size_in(const std::string& text) {
  return read_number<std::int64_t>("batch-size", text, at_least<std::int64_t>(1), 100);
}

DataPosition next(DataPosition position, std::int64_t batch_size) {
  position.samples_consumed += position.batch(static_cast<std::uint64_t>(batch_size));
  return position;
}

/// A run's newest checkpoint knows all that happened to it.
checkpoint::Found checkpoint_of(const AuditOrderOptions& options) {
  if (!options.checkpoint.empty()) return checkpoint::open(options.checkpoint);
  auto all = checkpoint::list(options.run);
  if (all.empty()) {
    throw CheckpointError(fmt::format(
        "--run: {} holds no usable checkpoint yet; wait for one, or name one with --checkpoint",
        options.run));
  }
  return all.front();
}

void check_data(const AuditOrderOptions& options, const checkpoint::Found& found) {
  const DatasetInfo dataset = read_dataset_info(options.data);
  const auto& data = found.manifest.at("state").at("model").at("data");
  if (data.at("identity") == dataset.identity) return;
  throw CheckpointError(fmt::format(
      "{}: trained on data set '{}' ({}), but {} is '{}' ({}); use the data it was trained on",
      found.directory.string(), data.at("name").get<std::string>(),
      data.at("identity").get<std::string>(), options.data, dataset.name, dataset.identity));
}

void print_part(const AuditOrderOptions& options, std::int64_t step, const DataPosition& position,
                int rank, const std::vector<std::uint64_t>& rows) {
  if (!options.json) {
    fmt::print("step {} epoch {}{}: {}\n", step, position.epoch(),
               options.ranks > 1 ? fmt::format(" rank {}", rank) : "", fmt::join(rows, " "));
    return;
  }
  nlohmann::ordered_json line = {
      {"step", step}, {"epoch", position.epoch()}, {"samples_consumed", position.samples_consumed}};
  if (options.ranks > 1) line["rank"] = rank;
  line["rows"] = rows;
  fmt::print("{}\n", line.dump());
}

}  // namespace

RunOrder order_of_run(const nlohmann::json& state) {
  RunOrder order;
  order.seed = state.at("seed").get<std::uint64_t>();
  order.rows = state.at("rows").get<std::uint64_t>();
  RunOrder::Stretch last{0, 0,
                         batch_size_in(state.at("options").at("batch-size").get<std::string>())};
  // Every change tells the batch size before it: the first stretch has that before the first.
  bool is_first = true;
  for (const auto& entry : state.value("history", nlohmann::json::array())) {
    for (const auto& change : entry.at("changes")) {
      const auto text = change.get<std::string>();
      const std::size_t arrow = text.find(" -> ");
      if (!text.starts_with(change_prefix) || arrow == std::string::npos) continue;
      if (is_first) {
        const std::string before = text.substr(change_prefix.size(), arrow - change_prefix.size());
        order.stretches.push_back({0, 0, batch_size_in(before)});
      }
      is_first = false;
      order.stretches.push_back({entry.at("step").get<std::int64_t>(),
                                 entry.at("samples_consumed").get<std::uint64_t>(),
                                 batch_size_in(text.substr(arrow + 4))});
    }
  }
  if (is_first) order.stretches.push_back(last);

  // Checkpoints of relgrad 0.1 keep no history: if these batch sizes do not lead to where the
  // checkpoint is, the order is known from there on only.
  const auto step = state.at("step").get<std::int64_t>();
  const auto consumed = state.at("samples_consumed").get<std::uint64_t>();
  DataPosition position{order.stretches.back().samples_consumed, order.rows};
  for (std::int64_t i = order.stretches.back().step; i < step; ++i) {
    position = next(position, order.stretches.back().batch_size);
  }
  if (position.samples_consumed != consumed) {
    last.step = step;
    last.samples_consumed = consumed;
    order.stretches = {last};
  }
  return order;
}

void for_each_step(const RunOrder& order, std::int64_t from, std::int64_t to,
                   const std::function<void(std::int64_t step, const DataPosition& position,
                                            std::int64_t batch_size)>& work) {
  const std::vector<RunOrder::Stretch>& stretches = order.stretches;
  if (from < stretches.front().step) {
    throw CheckpointError(
        fmt::format("--from-step: {} is before step {}, where the batch size changed; the "
                    "checkpoint does not hold the older "
                    "size: ask from step {} on, or name an older --checkpoint",
                    from, stretches.front().step, stretches.front().step));
  }
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    const std::int64_t end = i + 1 < stretches.size() ? std::min(to, stretches[i + 1].step) : to;
    DataPosition position{stretches[i].samples_consumed, order.rows};
    for (std::int64_t step = stretches[i].step; step < end; ++step) {
      if (step >= from) work(step, position, stretches[i].batch_size);
      position = next(position, stretches[i].batch_size);
    }
  }
}

int audit_order(const AuditOrderOptions& options) {
  const checkpoint::Found found = checkpoint_of(options);
  check_data(options, found);
  const RunOrder order = order_of_run(found.manifest.at("state"));
  std::vector<std::uint64_t> rows;
  const int ranks = static_cast<int>(options.ranks);
  for_each_step(order, options.from_step, options.to_step,
                [&](std::int64_t step, const DataPosition& position, std::int64_t batch_size) {
                  for (int rank = 0; rank < ranks; ++rank) {
                    rows_of_part(position, order.seed, batch_size, rank, ranks, rows);
                    print_part(options, step, position, rank, rows);
                  }
                });
  return 0;
}

}  // namespace relgrad
