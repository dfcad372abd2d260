#include "data/prepare_inputs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/data/epoch_order.hpp"

namespace relgrad {

namespace fs = std::filesystem;

PrepareInput::Run PrepareInput::run_at(std::uint64_t row) const {
  if (!drawn.empty()) {
    const auto next = std::ranges::lower_bound(drawn, row);
    if (next == drawn.end()) return {0, source->rows() - row};
    return *next == row ? Run{1, 1} : Run{0, *next - row};
  }
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < splits.size(); ++i) {
    end += splits[i].rows;
    if (row < end) return {i, end - row};
  }
  throw ShapeError(fmt::format("prepare: row {} of {}", row, end));
}

namespace {

constexpr std::uint64_t most_default_val_rows = 10000;

std::vector<PrepareInput> open_synthetic(const PrepareOptions& options) {
  const std::uint64_t held_out = options.val_last.value_or(
      std::clamp<std::uint64_t>(options.rows / 6, 1, most_default_val_rows));
  std::vector<PrepareInput> inputs(1);
  inputs[0].source = make_synthetic_source(options.synthetic, options.seed,
                                           options.rows + 2 * held_out, options.size);
  inputs[0].splits = {{"train", options.rows}, {"val", held_out}, {"test", held_out}};
  return inputs;
}

/// Classes that follow each other leave a split at the end with the last of them alone.
void warn_of_missing_classes(const SampleSource& source, std::uint64_t first_row_of_val) {
  std::set<std::string> all;
  std::set<std::string> of_val;
  const std::vector<SampleSource::ClassRows>& classes = source.classes();
  for (std::size_t i = 0; i < classes.size(); ++i) {
    all.insert(classes[i].name);
    const std::uint64_t end = i + 1 < classes.size() ? classes[i + 1].first_row : source.rows();
    if (end > first_row_of_val) of_val.insert(classes[i].name);
  }
  if (of_val.size() == all.size()) return;
  log_warning(fmt::format(
      "split 'val' holds {} of {} class folders ({}...): its figures say little of the others; "
      "draw it from all with --val-random N",
      of_val.size(), all.size(), *of_val.begin()));
}

/// The rows of train that become val.
std::uint64_t choose_val_last(const PrepareOptions& options, std::uint64_t rows) {
  if (options.val_last) {
    if (*options.val_last >= rows) {
      throw DataError(
          fmt::format("--val-last {}: the {} rows of --train would leave split 'train' "
                      "0 samples; take fewer",
                      *options.val_last, rows));
    }
    return *options.val_last;
  }
  const std::uint64_t last = std::min(rows / 6, most_default_val_rows);
  log_info(
      fmt::format("the last {} of {} training rows become split 'val' (choose with --val-random, "
                  "--val-last or --val)",
                  last, rows));
  return last;
}

/// `count` rows, rising, of which every label has its share, to a row: the first rows of each in
/// the order of draw_rows(). Shares are rounded down; the rows that are left go to the labels with
/// the largest remainders.
std::vector<std::uint64_t> draw_rows_of_labels(std::uint64_t seed,
                                               const std::vector<std::int64_t>& labels,
                                               std::uint64_t count) {
  struct Share {
    std::uint64_t rows = 0;
    std::uint64_t wanted = 0;
  };
  std::map<std::int64_t, Share> shares;
  for (const std::int64_t label : labels) ++shares[label].rows;
  std::vector<std::pair<long double, std::int64_t>>
      remainders;  // negative: the largest sorts first
  std::uint64_t left = count;
  for (auto& [label, share] : shares) {
    const long double exact = static_cast<long double>(count) *
                              static_cast<long double>(share.rows) /
                              static_cast<long double>(labels.size());
    share.wanted = static_cast<std::uint64_t>(exact);
    left -= share.wanted;
    remainders.emplace_back(static_cast<long double>(share.wanted) - exact, label);
  }
  std::ranges::sort(remainders);
  for (std::uint64_t i = 0; i < left; ++i) ++shares[remainders.at(i).second].wanted;

  const EpochOrder order(seed, 0, labels.size());
  std::vector<std::uint64_t> drawn;
  for (std::uint64_t i = 0; drawn.size() < count; ++i) {
    const std::uint64_t row = order.sample_at(i);
    Share& share = shares[labels[row]];
    if (share.wanted == 0) continue;
    --share.wanted;
    drawn.push_back(row);
  }
  std::ranges::sort(drawn);
  return drawn;
}

/// Gives every input its splits: all of train, or train and val.
void split_training_rows(const PrepareOptions& options, PrepareInput& input) {
  const std::uint64_t rows = input.source->rows();
  if (!options.val.empty() || rows == 0) {
    input.splits = {{"train", rows}};
    return;
  }
  if (options.val_random) {
    if (*options.val_random >= rows) {
      throw DataError(
          fmt::format("--val-random {}: the {} rows of --train would leave split "
                      "'train' 0 samples; take fewer",
                      *options.val_random, rows));
    }
    const bool has_labels = input.source->has_labels();
    input.drawn = has_labels ? draw_rows_of_labels(options.seed, input.source->all_labels(),
                                                   *options.val_random)
                             : draw_rows(options.seed, rows, *options.val_random);
    input.splits = {{"train", rows - input.drawn.size()}, {"val", input.drawn.size()}};
    return;
  }
  const std::uint64_t last = choose_val_last(options, rows);
  input.splits = {{"train", rows - last}, {"val", last}};
  warn_of_missing_classes(*input.source, rows - last);
}

std::vector<PrepareInput> open_files(const PrepareOptions& options, const fs::path& scratch) {
  SourceOptions source_options;
  source_options.size = options.size;
  source_options.grey = options.grey;
  source_options.skip_damaged = options.skip_damaged;
  source_options.class_folders = options.class_folders;
  source_options.channels_last = options.channels_last;
  source_options.scratch = scratch;
  const auto open = [&](const std::vector<fs::path>& paths, const std::vector<fs::path>& labels) {
    auto source = with_labels(open_sources(paths, source_options), labels, scratch);
    if (source_options.class_names.empty()) source_options.class_names = source->class_names();
    return source;
  };
  std::vector<PrepareInput> inputs;
  inputs.push_back({open(options.train, options.train_labels), {}, {}});
  split_training_rows(options, inputs[0]);
  if (!options.val.empty()) {
    inputs.push_back({open(options.val, options.val_labels), {}, {}});
    inputs.back().splits = {{"val", inputs.back().source->rows()}};
  }
  if (!options.test.empty()) {
    inputs.push_back({open(options.test, options.test_labels), {}, {}});
    inputs.back().splits = {{"test", inputs.back().source->rows()}};
  }
  return inputs;
}

void check_inputs(const std::vector<PrepareInput>& inputs) {
  const SampleSource& first = *inputs.front().source;
  for (const PrepareInput& input : inputs) {
    for (const SplitRows& split : input.splits) {
      if (split.rows == 0) {
        throw DataError(
            fmt::format("split '{}' would have 0 samples; give it at least one (train "
                        "needs 6 rows to spare some for val by itself)",
                        split.name));
      }
    }
    const SampleSource& source = *input.source;
    if (source.type() != first.type() || source.sample_shape() != first.sample_shape()) {
      throw DataError(fmt::format(
          "split 'train' holds {} [{}], but split '{}' holds {} [{}]; all "
          "splits need one shape and type (images: see --size, --grey)",
          name_of(first.type()), fmt::join(first.sample_shape(), ", "), input.splits.front().name,
          name_of(source.type()), fmt::join(source.sample_shape(), ", ")));
    }
  }
}

}  // namespace

std::vector<PrepareInput> open_inputs(const PrepareOptions& options, const fs::path& scratch) {
  std::vector<PrepareInput> inputs =
      options.synthetic.empty() ? open_files(options, scratch) : open_synthetic(options);
  check_inputs(inputs);
  return inputs;
}

}  // namespace relgrad
