#include "commands/audit_order.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "options/option_value.hpp"
#include "relgrad/checkpoint/checkpoint.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/data/dataset.hpp"
#include "run/resume.hpp"

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

/// The position `steps` steps on. Batches never cross the end of an epoch: whole epochs count by
/// their steps. @throws CheckpointError where the samples are too many to be counted.
DataPosition after(DataPosition position, std::uint64_t steps, std::int64_t batch_size) {
  const auto batch = static_cast<std::uint64_t>(batch_size);
  const auto steps_for = [&](std::uint64_t samples) { return (samples + batch - 1) / batch; };
  const std::uint64_t left = position.rows - position.in_epoch();
  if (steps < steps_for(left)) {
    position.samples_consumed += steps * batch;
    return position;
  }
  steps -= steps_for(left);
  const std::uint64_t epoch_steps = steps_for(position.rows);
  const std::uint64_t epochs = position.samples_consumed / position.rows + 1 + steps / epoch_steps;
  if (epochs >= std::numeric_limits<std::uint32_t>::max()) {
    throw CheckpointError("--from-step: no run is so long; ask for an earlier step");
  }
  position.samples_consumed = epochs * position.rows + steps % epoch_steps * batch;
  return position;
}

/// A run's newest checkpoint knows all that happened to it.
checkpoint::Found checkpoint_of(const AuditOrderOptions& options) {
  if (!options.checkpoint.empty()) {
    checkpoint::Found found = checkpoint::open(options.checkpoint);
    check_state(found);
    return found;
  }
  auto all = checkpoint::list(options.run);
  if (all.empty()) {
    throw CheckpointError(fmt::format(
        "--run: {} holds no usable checkpoint yet; wait for one, or name one with --checkpoint",
        options.run));
  }
  check_state(all.front());
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
  const RunOrder::Stretch& newest = order.stretches.back();
  DataPosition position{newest.samples_consumed, order.rows};
  if (newest.step < step) {
    position = after(position, static_cast<std::uint64_t>(step - newest.step), newest.batch_size);
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
    const std::int64_t begin = std::max(from, stretches[i].step);
    if (begin >= end) continue;
    DataPosition position =
        after({stretches[i].samples_consumed, order.rows},
              static_cast<std::uint64_t>(begin - stretches[i].step), stretches[i].batch_size);
    for (std::int64_t step = begin; step < end; ++step) {
      work(step, position, stretches[i].batch_size);
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
