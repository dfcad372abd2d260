#include "relgrad/data/prepare.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <limits>
#include <memory>

#include "data/dataset_json.hpp"
#include "data/interrupt_guard.hpp"
#include "data/progress.hpp"
#include "data/shard_writer.hpp"
#include "data/staging_directory.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/data/sample_source.hpp"

namespace relgrad {

namespace fs = std::filesystem;

ImageSize parse_image_size(std::string_view text) {
  constexpr Index largest = 65536;
  ImageSize size;
  const char* end = text.data() + text.size();
  const auto height = std::from_chars(text.data(), end, size.height);
  const bool has_cross = height.ec == std::errc() && height.ptr != end && *height.ptr == 'x';
  const auto width = has_cross ? std::from_chars(height.ptr + 1, end, size.width) : height;
  if (!has_cross || width.ec != std::errc() || width.ptr != end || size.height < 1 ||
      size.width < 1 || size.height > largest || size.width > largest) {
    throw UsageError(
        fmt::format("--size {}: expected HEIGHTxWIDTH in pixels from 1 to {}, as in "
                    "32x32",
                    text, largest));
  }
  return size;
}

namespace {

struct SplitRows {
  std::string name;
  std::uint64_t rows;
};

/// One stream of samples and the splits its rows go to, in order.
struct Input {
  std::unique_ptr<SampleSource> source;
  std::vector<SplitRows> splits;
};

constexpr std::uint64_t most_default_val_rows = 10000;

void check_options(const PrepareOptions& options) {
  if (options.output.empty()) throw UsageError("--output is missing; name the directory to make");
  if (options.synthetic.empty() && options.train.empty()) {
    throw UsageError("nothing to prepare: give --train FILE or --synthetic KIND");
  }
  if (!options.synthetic.empty()) {
    if (!options.train.empty() || !options.val.empty() || !options.test.empty() ||
        !options.train_labels.empty() || !options.val_labels.empty() ||
        !options.test_labels.empty()) {
      throw UsageError("--synthetic makes its own samples; leave out the input files");
    }
    constexpr std::uint64_t most_rows = std::uint64_t{1} << 48U;
    if (options.rows > most_rows || options.val_last.value_or(0) > most_rows) {
      throw UsageError(fmt::format("--rows {}: at most {}", options.rows, most_rows));
    }
  }
  if (!options.val.empty() && options.val_last) {
    throw UsageError("--val and --val-last exclude each other; leave one out");
  }
  if (options.val.empty() && !options.val_labels.empty()) {
    throw UsageError("labels for val without --val; leave them out or give --val");
  }
  if (options.test.empty() && !options.test_labels.empty()) {
    throw UsageError("labels for test without --test; leave them out or give --test");
  }
}

std::vector<Input> open_synthetic(const PrepareOptions& options) {
  const std::uint64_t held_out = options.val_last.value_or(
      std::clamp<std::uint64_t>(options.rows / 6, 1, most_default_val_rows));
  std::vector<Input> inputs(1);
  inputs[0].source = make_synthetic_source(options.synthetic, options.seed,
                                           options.rows + 2 * held_out, options.size);
  inputs[0].splits = {{"train", options.rows}, {"val", held_out}, {"test", held_out}};
  return inputs;
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
      fmt::format("the last {} of {} training rows become split 'val' (choose with --val-last "
                  "or --val)",
                  last, rows));
  return last;
}

std::vector<Input> open_files(const PrepareOptions& options) {
  const ImageOptions images{options.size, options.grey};
  const auto open = [&](const std::vector<fs::path>& paths, const std::vector<fs::path>& labels) {
    return with_labels(open_sources(paths, images), labels);
  };
  std::vector<Input> inputs;
  inputs.push_back({open(options.train, options.train_labels), {}});
  const std::uint64_t rows = inputs[0].source->rows();
  if (options.val.empty() && rows > 0) {
    const std::uint64_t last = choose_val_last(options, rows);
    inputs[0].splits = {{"train", rows - last}, {"val", last}};
  } else {
    inputs[0].splits = {{"train", rows}};
  }
  if (!options.val.empty()) {
    inputs.push_back({open(options.val, options.val_labels), {}});
    inputs.back().splits = {{"val", inputs.back().source->rows()}};
  }
  if (!options.test.empty()) {
    inputs.push_back({open(options.test, options.test_labels), {}});
    inputs.back().splits = {{"test", inputs.back().source->rows()}};
  }
  return inputs;
}

void check_inputs(const std::vector<Input>& inputs) {
  const SampleSource& first = *inputs.front().source;
  for (const Input& input : inputs) {
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

/// Shards of about 256 MiB, but at most 256 of them, since a reader keeps every one open.
std::uint64_t choose_rows_per_shard(const PrepareOptions& options, std::uint64_t rows,
                                    std::uint64_t row_bytes) {
  if (options.rows_per_shard > 0) return options.rows_per_shard;
  const std::uint64_t rows_of_256_mib = (std::uint64_t{256} << 20U) / row_bytes;
  return std::max({std::uint64_t{1}, rows_of_256_mib, (rows + 255) / 256});
}

/// Smallest and largest value of all samples.
struct ValueRange {
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();

  template <class Element>
  void add(const Element* values, std::size_t count) {
    const auto [low, high] = std::minmax_element(values, values + count);
    min = std::min(min, static_cast<double>(*low));
    max = std::max(max, static_cast<double>(*high));
  }
  void add(ElementType type, const std::vector<std::byte>& bytes) {
    if (type == ElementType::uint8) {
      add(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    } else {
      add(reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float));
    }
  }
};

/// Copies one split from its source to shards, about 4 MiB at a time.
SplitInfo copy_split(SampleSource& source, ShardWriter& writer, ValueRange& range,
                     Progress& progress) {
  const std::uint64_t rows_at_once =
      std::max<std::uint64_t>(1, (std::uint64_t{4} << 20U) / source.row_bytes());
  std::vector<std::byte> samples;
  std::vector<std::int64_t> labels;
  while (writer.left() > 0) {
    InterruptGuard::check();
    const std::uint64_t count = std::min(rows_at_once, writer.left());
    samples.resize(count * source.row_bytes());
    labels.resize(source.has_labels() ? count : 0);
    std::int64_t* wanted = source.has_labels() ? labels.data() : nullptr;
    source.next(count, samples.data(), wanted);
    range.add(source.type(), samples);
    writer.write(samples.data(), wanted, source.last_sources().data(), count);
    progress.add(count);
  }
  return writer.finish();
}

CreationRecord record_of(const PrepareOptions& options) {
  CreationRecord record;
  record.command = options.command;
  for (const auto* paths : {&options.train, &options.val, &options.test, &options.train_labels,
                            &options.val_labels, &options.test_labels}) {
    for (const fs::path& path : *paths) record.sources.push_back(path.string());
  }
  if (!options.synthetic.empty()) {
    record.sources.push_back(fmt::format("synthetic {} seed {}", options.synthetic, options.seed));
  }
  record.time = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  return record;
}

/// "data/mnist: uint8 [1, 28, 28], train 50000, val 10000 rows"
std::string summary_of(const fs::path& output, const DatasetInfo& info) {
  std::vector<std::string> splits;
  for (const SplitInfo& split : info.splits) {
    splits.push_back(fmt::format("{} {}", split.name, split.rows));
  }
  return fmt::format("{}: {} [{}], {} rows", output.string(), name_of(info.type),
                     fmt::join(info.sample_shape, ", "), fmt::join(splits, ", "));
}

std::string name_of_dataset(const PrepareOptions& options) {
  if (!options.name.empty()) return options.name;
  const fs::path output = fs::absolute(options.output).lexically_normal();
  return (output.filename().empty() ? output.parent_path() : output).filename().string();
}

}  // namespace

void prepare(const PrepareOptions& options) {
  check_options(options);
  const InterruptGuard interrupts;
  StagingDirectory staging(options.output);
  std::vector<Input> inputs =
      options.synthetic.empty() ? open_files(options) : open_synthetic(options);
  check_inputs(inputs);

  const SampleSource& first = *inputs.front().source;
  DatasetInfo info;
  info.name = name_of_dataset(options);
  info.sample_shape = first.sample_shape();
  info.type = first.type();
  info.dimension = static_cast<Index>(first.row_bytes() / bytes_of(info.type));
  info.true_entropy_nats = first.true_entropy_nats();
  ValueRange range;
  std::vector<std::string> content_hashes;
  for (const Input& input : inputs) {
    for (const SplitRows& split : input.splits) {
      const SplitLayout layout{split.name,
                               split.rows,
                               choose_rows_per_shard(options, split.rows, first.row_bytes()),
                               info.sample_shape,
                               info.type,
                               input.source->has_labels(),
                               input.source->has_sources()};
      ShardWriter writer(staging.path(), layout);
      Progress progress(fmt::format("{} {}", info.name, split.name), split.rows);
      info.splits.push_back(copy_split(*input.source, writer, range, progress));
      content_hashes.push_back(writer.content_hash());
    }
  }
  info.value_min = range.min;
  info.value_max = range.max;
  info.identity = identity_of(info, content_hashes);
  InterruptGuard::check();
  write_dataset_info(staging.path(), info, record_of(options));
  staging.commit();
  log_info(summary_of(options.output, info));
}

}  // namespace relgrad
