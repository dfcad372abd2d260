#include "relgrad/data/prepare.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <memory>
#include <set>

#include "data/column_check.hpp"
#include "data/dataset_json.hpp"
#include "data/interrupt_guard.hpp"
#include "data/progress.hpp"
#include "data/sample_source.hpp"
#include "data/shard_writer.hpp"
#include "data/staging_directory.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/data/epoch_order.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

struct SplitRows {
  std::string name;
  std::uint64_t rows;
};

/// One stream of samples and the splits its rows go to: one after another, or those of `drawn` to
/// the second split and all others to the first.
struct Input {
  std::unique_ptr<SampleSource> source;
  std::vector<SplitRows> splits;
  std::vector<std::uint64_t> drawn;  // rising

  struct Run {
    std::size_t split;
    std::uint64_t rows;
  };
  /// The split of row `row`, and how many rows go there with it (at least one).
  Run run_at(std::uint64_t row) const {
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
  if (!options.val.empty() + options.val_last.has_value() + options.val_random.has_value() > 1) {
    throw UsageError("--val, --val-last and --val-random exclude each other; keep one");
  }
  if (!options.synthetic.empty() && options.val_random) {
    throw UsageError("--val-random is for files; rows of --synthetic are drawn already");
  }
  if (options.class_folders && !options.train_labels.empty()) {
    throw UsageError("--class-folders and --labels exclude each other; keep one");
  }
  if (options.skip_damaged && !(options.train_labels.empty() && options.val_labels.empty() &&
                                options.test_labels.empty())) {
    throw UsageError(
        "--skip-damaged with files of labels would give images the labels of others; use "
        "--class-folders, or remove the damaged images");
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

/// Gives every input its splits: all of train, or train and val.
void split_training_rows(const PrepareOptions& options, Input& input) {
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
    input.drawn = draw_rows(options.seed, rows, *options.val_random);
    input.splits = {{"train", rows - input.drawn.size()}, {"val", input.drawn.size()}};
    return;
  }
  const std::uint64_t last = choose_val_last(options, rows);
  input.splits = {{"train", rows - last}, {"val", last}};
  warn_of_missing_classes(*input.source, rows - last);
}

std::vector<Input> open_files(const PrepareOptions& options, const fs::path& scratch) {
  SourceOptions source_options;
  source_options.size = options.size;
  source_options.grey = options.grey;
  source_options.skip_damaged = options.skip_damaged;
  source_options.class_folders = options.class_folders;
  source_options.channels_last = options.channels_last;
  source_options.scratch = scratch;
  const auto open = [&](const std::vector<fs::path>& paths, const std::vector<fs::path>& labels) {
    auto source = with_labels(open_sources(paths, source_options), labels);
    if (source_options.class_names.empty()) source_options.class_names = source->class_names();
    return source;
  };
  std::vector<Input> inputs;
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

/// The shards of one split, and what is to be known of all its rows.
struct SplitOutput {
  std::string name;
  std::unique_ptr<ShardWriter> writer;
  std::unique_ptr<ColumnCheck> columns;  // of real-valued data
  std::set<std::int64_t> labels;         // so many as tell whether classes are missing

  void write(const SampleSource& source, const std::byte* samples, const std::int64_t* row_labels,
             const float* sources, std::uint64_t count) {
    writer->write(samples, row_labels, sources, count);
    if (columns) columns->add(reinterpret_cast<const float*>(samples), count);
    constexpr std::size_t labels_at_most = 1000;
    for (std::uint64_t i = 0; source.has_labels() && i < count; ++i) {
      if (labels.size() < labels_at_most) labels.insert(row_labels[i]);
    }
  }
};

SplitOutput open_output(const PrepareOptions& options, const fs::path& directory,
                        const SampleSource& source, const SplitRows& split) {
  const std::uint64_t row_bytes = source.row_bytes();
  const SplitLayout layout{split.name,
                           split.rows,
                           choose_rows_per_shard(options, split.rows, row_bytes),
                           source.sample_shape(),
                           source.type(),
                           source.has_labels(),
                           source.has_sources()};
  SplitOutput output;
  output.name = split.name;
  output.writer = std::make_unique<ShardWriter>(directory, layout);
  if (source.type() == ElementType::float32 && options.synthetic.empty()) {
    output.columns = std::make_unique<ColumnCheck>(split.rows, row_bytes / sizeof(float));
  }
  return output;
}

/// Copies the rows of one source to the shards of its splits, about 4 MiB at a time.
void copy_rows(const Input& input, std::vector<SplitOutput>& outputs, ValueRange& range,
               Progress& progress) {
  SampleSource& source = *input.source;
  const std::uint64_t row_bytes = source.row_bytes();
  const std::uint64_t rows_at_once =
      std::max<std::uint64_t>(1, (std::uint64_t{4} << 20U) / row_bytes);
  std::vector<std::byte> samples;
  std::vector<std::int64_t> labels;
  for (std::uint64_t done = 0; done < source.rows();) {
    InterruptGuard::check();
    const std::uint64_t count = std::min(rows_at_once, source.rows() - done);
    samples.resize(count * row_bytes);
    labels.resize(source.has_labels() ? count : 0);
    std::int64_t* wanted = source.has_labels() ? labels.data() : nullptr;
    source.next(count, samples.data(), wanted);
    range.add(source.type(), samples);
    const float* sources = source.last_sources().data();
    const std::uint64_t dimension = row_bytes / bytes_of(source.type());
    for (std::uint64_t i = 0; i < count;) {
      const Input::Run run = input.run_at(done + i);
      const std::uint64_t part = std::min(run.rows, count - i);
      outputs.at(run.split).write(source, samples.data() + i * row_bytes,
                                  wanted == nullptr ? nullptr : wanted + i,
                                  sources == nullptr ? nullptr : sources + i * dimension, part);
      i += part;
    }
    done += count;
    progress.add(count);
  }
}

/// Labelled rows that come class by class leave a split at the end with the last classes alone.
void warn_of_missing_labels(const std::vector<SplitOutput>& outputs) {
  if (outputs.size() < 2 || outputs[1].name != "val") return;
  const std::size_t of_train = outputs[0].labels.size();
  const std::size_t of_val = outputs[1].labels.size();
  if (2 * of_val >= of_train || of_train >= 1000) return;
  log_warning(fmt::format(
      "split 'val' holds {} labels, 'train' {}: do the rows come class by class? Draw it from all "
      "with --val-random N",
      of_val, of_train));
}

/// A name may hold line breaks, which a list must not.
std::string on_one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return text;
}

/// Lists what was left out, a line each, in DIRECTORY/skipped.txt.
void write_skipped(const fs::path& directory, const PrepareOptions& options,
                   const std::vector<Input>& inputs) {
  std::string text;
  std::uint64_t lines = 0;
  for (const Input& input : inputs) {
    for (const std::string& line : input.source->skipped()) {
      text += on_one_line(line) + "\n";
      ++lines;
    }
  }
  if (lines == 0) return;
  write_text_file(directory / "skipped.txt", text);
  log_warning(fmt::format("{} damaged images were skipped; {} lists them", lines,
                          (options.output / "skipped.txt").string()));
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
      options.synthetic.empty() ? open_files(options, staging.path()) : open_synthetic(options);
  check_inputs(inputs);

  const SampleSource& first = *inputs.front().source;
  DatasetInfo info;
  info.name = name_of_dataset(options);
  info.sample_shape = first.sample_shape();
  info.type = first.type();
  info.dimension = static_cast<Index>(first.row_bytes() / bytes_of(info.type));
  info.true_entropy_nats = first.true_entropy_nats();
  info.class_names = first.class_names();
  ValueRange range;
  std::vector<std::string> content_hashes;
  for (const Input& input : inputs) {
    std::vector<SplitOutput> outputs;
    for (const SplitRows& split : input.splits) {
      outputs.push_back(open_output(options, staging.path(), *input.source, split));
    }
    Progress progress(fmt::format("{} {}", info.name, input.splits.front().name),
                      input.source->rows());
    copy_rows(input, outputs, range, progress);
    for (const SplitOutput& output : outputs) {
      info.splits.push_back(output.writer->finish());
      content_hashes.push_back(output.writer->content_hash());
      const std::string where = fmt::format("{}, split '{}'", info.name, output.name);
      if (output.columns) output.columns->expect_no_levels(where);
      if (output.columns && output.name == "train") output.columns->report(where);
    }
    warn_of_missing_labels(outputs);
  }
  write_skipped(staging.path(), options, inputs);
  info.value_min = range.min;
  info.value_max = range.max;
  info.identity = identity_of(info, content_hashes);
  InterruptGuard::check();
  write_dataset_info(staging.path(), info, record_of(options));
  staging.commit();
  log_info(summary_of(options.output, info));
}

}  // namespace relgrad
