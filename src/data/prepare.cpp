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
#include "data/prepare_inputs.hpp"
#include "data/progress.hpp"
#include "data/shard_writer.hpp"
#include "data/staging_directory.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

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
void copy_rows(const PrepareInput& input, std::vector<SplitOutput>& outputs, ValueRange& range,
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
      const PrepareInput::Run run = input.run_at(done + i);
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
                   const std::vector<PrepareInput>& inputs) {
  std::string text;
  std::uint64_t lines = 0;
  for (const PrepareInput& input : inputs) {
    for (const std::string& line : input.source->skipped()) {
      text += on_one_line(line) + "\n";
      ++lines;
    }
  }
  if (lines == 0) return;
  write_text_file(directory / "skipped.txt", text);
  log_warning(fmt::format("{} damaged image{} skipped; {} lists {}", lines,
                          lines == 1 ? " was" : "s were", (options.output / "skipped.txt").string(),
                          lines == 1 ? "it" : "them"));
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
  const std::vector<PrepareInput> inputs = open_inputs(options, staging.path());

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
  for (const PrepareInput& input : inputs) {
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
      if (output.columns && output.name != "train") output.columns->report_extreme_values(where);
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
