#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

#include "data/file_sources.hpp"
#include "data/image_source.hpp"
#include "data/input_file.hpp"
#include "data/sample_source.hpp"
#include "data/unpack.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"

namespace relgrad {

namespace fs = std::filesystem;

std::uint64_t SampleSource::row_bytes() const {
  constexpr std::uint64_t most = std::uint64_t{1} << 40U;
  std::uint64_t bytes = bytes_of(type_);
  for (const Index extent : sample_shape_) {
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes) || bytes > most) {
      throw DataError(fmt::format("samples [{}] are too large: damaged or another format",
                                  fmt::join(sample_shape_, ", ")));
    }
  }
  return bytes;
}

namespace {

enum class Format { idx, npy, npz, hdf5, csv, cifar, archive, unknown };

/// A file, and the name of an array inside it if several may be there.
struct InputName {
  fs::path file;
  std::string inside;

  /// FILE, or FILE:NAME where only FILE is there.
  explicit InputName(const fs::path& path) : file(path) {
    std::error_code error;
    if (fs::exists(path, error)) return;
    const std::string text = path.string();
    for (std::size_t colon = text.rfind(':'); colon != std::string::npos && colon > 0;
         colon = text.rfind(':', colon - 1)) {
      if (!fs::is_regular_file(text.substr(0, colon), error)) continue;
      file = text.substr(0, colon);
      inside = text.substr(colon + 1);
      return;
    }
  }
};

Format format_of_name(const fs::path& path) {
  std::string name = path.filename().string();
  for (const char* end : {".tgz", ".txz", ".tbz2", ".tzst", ".zip", ".tar", ".tar.gz", ".tar.xz",
                          ".tar.bz2", ".tar.zst", ".tar.lzma"}) {
    if (name.ends_with(end)) return Format::archive;
  }
  if (name.ends_with(".npz")) return Format::npz;
  if (name.ends_with(".h5") || name.ends_with(".hdf5")) return Format::hdf5;
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  if (name.ends_with(".npy")) return Format::npy;
  if (name.ends_with(".csv") || name.ends_with(".tsv")) return Format::csv;
  if (name.ends_with(".bin")) return Format::cifar;
  if (name.ends_with(".idx") || name.ends_with("-ubyte") || name.ends_with(".ubyte") ||
      name.ends_with("-int")) {
    return Format::idx;
  }
  // train.idx3, train-images.idx3-ubyte
  const std::string stem_end = name.size() > 5 ? name.substr(name.size() - 5) : "";
  return stem_end.starts_with(".idx") ? Format::idx : Format::unknown;
}

Format format_of_content(const fs::path& path) {
  InputFile file(path);
  std::array<char, 263> bytes{};
  file.read_some(bytes.data(), bytes.size());
  if (std::memcmp(bytes.data(), "\x93NUMPY", 6) == 0) return Format::npy;
  if (std::memcmp(bytes.data(), "\x89HDF\r\n\x1a\n", 8) == 0) return Format::hdf5;
  const bool is_idx = bytes[0] == 0 && bytes[1] == 0 && bytes[2] >= 0x08 && bytes[2] <= 0x0E &&
                      bytes[3] >= 1 && bytes[3] <= 4;
  if (is_idx) return Format::idx;
  if (std::memcmp(bytes.data() + 257, "ustar", 5) == 0) return Format::archive;
  if (std::memcmp(bytes.data(), "PK\3\4", 4) == 0) return Format::archive;
  return Format::unknown;
}

/// Formats of tables that numpy can turn into .npy in one line. @throws DataError with that line.
void refuse_tables(const fs::path& path) {
  const std::string extension = lower_extension(path);
  const std::string name = path.filename().string();
  std::string values;
  if (extension == ".txt") {
    values = fmt::format("numpy.loadtxt('{}', skiprows=1)", name);
  } else if (extension == ".mat") {
    values = fmt::format("scipy.io.loadmat('{}')['NAME']", name);
  }
  if (values.empty()) return;
  throw DataError(fmt::format("{}: {} is not read; convert it in Python: numpy.save('x.npy', {})",
                              path.string(), extension, values));
}

Format format_of(const InputName& name) {
  refuse_tables(name.file);
  Format format = format_of_name(name.file);
  if (format == Format::unknown) format = format_of_content(name.file);
  if (!name.inside.empty() && format != Format::npz && format != Format::hdf5) {
    throw DataError(fmt::format("{}: '{}' names an array inside it, which only .npz and HDF5 have",
                                name.file.string(), name.inside));
  }
  return format;
}

/// The file as IDX or .npy, unpacked if need be. @throws ShapeError for other formats.
std::unique_ptr<InputFile> open_array(const InputName& name, Format format,
                                      const fs::path& scratch) {
  switch (format) {
    case Format::idx:
    case Format::npy:
      return std::make_unique<InputFile>(name.file);
    case Format::npz:
      return unpack_npz(name.file, name.inside, scratch);
    case Format::hdf5:
      return unpack_hdf5(name.file, name.inside, scratch);
    case Format::csv:
      return unpack_csv(name.file, scratch);
    case Format::cifar:
    case Format::archive:
    case Format::unknown:
      break;
  }
  throw ShapeError("open_array: not an array");
}

[[noreturn]] void throw_unknown(const fs::path& path) {
  if (is_image_name(path)) {
    throw DataError(
        fmt::format("{}: a single image; name the folder that holds the images", path.string()));
  }
  const std::string extension = path.extension().string();
  if (extension == ".xz" || extension == ".bz2" || extension == ".zst") {
    throw DataError(
        fmt::format("{}: {} is read for archives of images only; unpack it, or compress it to .gz",
                    path.string(), extension));
  }
  throw DataError(
      fmt::format("{}: unknown format; expected IDX (.idx, -ubyte), .npy, .csv or CIFAR binary "
                  "(.bin), plain or .gz, .npz, HDF5 (.h5), or a folder, .tar or .zip of images",
                  path.string()));
}

/// (H, W, C) samples as {C, H, W}.
class Planes final : public SampleSource {
 public:
  explicit Planes(std::unique_ptr<SampleSource> source) : source_(std::move(source)) {
    const std::vector<Index>& shape = source_->sample_shape();
    sample_shape_ = {shape[2], shape[0], shape[1]};
    type_ = source_->type();
    rows_ = source_->rows();
  }

  void next(std::uint64_t count, std::byte* samples, std::int64_t* labels) override {
    interleaved_.resize(count * row_bytes());
    source_->next(count, interleaved_.data(), labels);
    const auto channels = static_cast<std::uint64_t>(sample_shape_[0]);
    const std::uint64_t size = bytes_of(type_);
    const std::uint64_t pixels = row_bytes() / size / channels;
    for (std::uint64_t i = 0; i < count; ++i) {
      for (std::uint64_t from = 0; from < pixels * channels; ++from) {
        const std::uint64_t to = from % channels * pixels + from / channels;
        std::memcpy(samples + i * row_bytes() + to * size,
                    interleaved_.data() + i * row_bytes() + from * size, size);
      }
    }
  }

 private:
  std::unique_ptr<SampleSource> source_;
  std::vector<std::byte> interleaved_;
};

std::unique_ptr<SampleSource> with_planes(std::unique_ptr<SampleSource> source,
                                          const fs::path& path, bool channels_last) {
  const std::vector<Index>& shape = source->sample_shape();
  if (channels_last && shape.size() == 3) return std::make_unique<Planes>(std::move(source));
  if (shape.size() == 3 && shape[0] > 4 && (shape[2] == 1 || shape[2] == 3 || shape[2] == 4)) {
    log_warning(
        fmt::format("{}: shape (N, {}, {}, {}) is read as (N, C, H, W) but looks like (N, "
                    "H, W, C); if it is, give --channels-last",
                    path.string(), shape[0], shape[1], shape[2]));
  }
  return source;
}

class Concatenation final : public SampleSource {
 public:
  Concatenation(std::vector<std::unique_ptr<SampleSource>> sources,
                const std::vector<fs::path>& paths)
      : sources_(std::move(sources)) {
    const SampleSource& first = *sources_.front();
    type_ = first.type();
    sample_shape_ = first.sample_shape();
    has_labels_ = true;
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      const SampleSource& source = *sources_[i];
      if (source.type() != type_ || source.sample_shape() != sample_shape_) {
        throw DataError(fmt::format(
            "{} holds {} [{}], but {} holds {} [{}]; prepare them apart", paths[0].string(),
            name_of(type_), fmt::join(sample_shape_, ", "), paths[i].string(),
            name_of(source.type()), fmt::join(source.sample_shape(), ", ")));
      }
      for (const ClassRows& rows : source.classes()) {
        classes_.push_back({rows.name, rows_ + rows.first_row});
      }
      skipped_.insert(skipped_.end(), source.skipped().begin(), source.skipped().end());
      if (i == 0) class_names_ = source.class_names();
      rows_ += source.rows();
      has_labels_ = has_labels_ && source.has_labels();
    }
  }

  void next(std::uint64_t count, std::byte* samples, std::int64_t* labels) override {
    while (count > 0) {
      SampleSource& source = *sources_[at_];
      const std::uint64_t part = std::min(count, source.rows() - done_);
      if (part > 0) source.next(part, samples, labels);
      samples += part * row_bytes();
      if (labels != nullptr) labels += part;
      count -= part;
      done_ += part;
      if (done_ == source.rows() && at_ + 1 < sources_.size()) {
        ++at_;
        done_ = 0;
      }
    }
  }

  std::vector<std::int64_t> all_labels() override {
    std::vector<std::int64_t> all;
    for (const std::unique_ptr<SampleSource>& source : sources_) {
      const std::vector<std::int64_t> labels = source->all_labels();
      all.insert(all.end(), labels.begin(), labels.end());
    }
    return all;
  }

 private:
  std::vector<std::unique_ptr<SampleSource>> sources_;
  std::size_t at_ = 0;
  std::uint64_t done_ = 0;  // rows of sources_[at_]
};

std::unique_ptr<LabelSource> open_labels(const fs::path& path, const fs::path& scratch) {
  const InputName name(path);
  const Format format = format_of(name);
  if (format == Format::cifar || format == Format::archive || format == Format::unknown) {
    throw DataError(fmt::format(
        "{}: labels are integers in a file of IDX (idx1-ubyte), .npy, .npz, HDF5 or .csv",
        path.string()));
  }
  auto file = open_array(name, format, scratch);
  return format == Format::idx ? read_idx_labels(std::move(file))
                               : read_npy_labels(std::move(file));
}

class Labelled final : public SampleSource {
 public:
  Labelled(std::unique_ptr<SampleSource> source, const std::vector<fs::path>& paths,
           const fs::path& scratch)
      : source_(std::move(source)), paths_(paths), scratch_(scratch) {
    type_ = source_->type();
    sample_shape_ = source_->sample_shape();
    rows_ = source_->rows();
    classes_ = source_->classes();
    has_labels_ = true;
    std::uint64_t labels = 0;
    for (const fs::path& path : paths) {
      labels_.push_back(open_labels(path, scratch));
      labels += labels_.back()->rows();
    }
    if (labels != rows_) {
      throw DataError(fmt::format("{}: {} labels for {} samples; give one label file per input",
                                  paths.front().string(), labels, rows_));
    }
  }

  void next(std::uint64_t count, std::byte* samples, std::int64_t* labels) override {
    source_->next(count, samples, nullptr);
    while (labels != nullptr && count > 0) {
      const std::uint64_t part = std::min(count, labels_[at_]->rows() - done_);
      if (part > 0) labels_[at_]->next(part, labels);
      labels += part;
      count -= part;
      done_ += part;
      if (done_ == labels_[at_]->rows() && at_ + 1 < labels_.size()) {
        ++at_;
        done_ = 0;
      }
    }
  }

  std::vector<std::int64_t> all_labels() override {
    std::vector<std::int64_t> all;
    for (const fs::path& path : paths_) {
      const std::unique_ptr<LabelSource> labels = open_labels(path, scratch_);
      const std::size_t before = all.size();
      all.resize(before + labels->rows());
      labels->next(labels->rows(), all.data() + before);
    }
    return all;
  }

 private:
  std::unique_ptr<SampleSource> source_;
  std::vector<fs::path> paths_;
  fs::path scratch_;
  std::vector<std::unique_ptr<LabelSource>> labels_;
  std::size_t at_ = 0;
  std::uint64_t done_ = 0;
};

}  // namespace

std::unique_ptr<SampleSource> open_source(const fs::path& path, const SourceOptions& options) {
  const InputName name(path);
  std::error_code error;
  const fs::file_status status = fs::status(name.file, error);
  if (status.type() == fs::file_type::not_found) {
    throw DataError(fmt::format("{}: no such file or folder; check the path", path.string()));
  }
  if (fs::is_directory(status)) return make_image_source(open_folder(path), options);
  const Format format = format_of(name);
  switch (format) {
    case Format::idx:
    case Format::npy:
    case Format::npz:
    case Format::hdf5:
    case Format::csv: {
      auto file = open_array(name, format, options.scratch);
      return with_planes(
          format == Format::idx ? read_idx(std::move(file)) : read_npy(std::move(file)), path,
          options.channels_last);
    }
    case Format::cifar:
      return open_cifar(path);
    case Format::archive:
      return make_image_source(open_archive(path, options.scratch), options);
    case Format::unknown:
      break;
  }
  throw_unknown(path);
}

std::unique_ptr<SampleSource> open_sources(const std::vector<fs::path>& paths,
                                           const SourceOptions& options) {
  std::vector<std::unique_ptr<SampleSource>> sources;
  SourceOptions next = options;
  for (const fs::path& path : paths) {
    sources.push_back(open_source(path, next));
    if (next.class_names.empty()) next.class_names = sources.back()->class_names();
  }
  if (sources.empty()) throw UsageError("no input files; name at least one");
  if (sources.size() == 1) return std::move(sources.front());
  return std::make_unique<Concatenation>(std::move(sources), paths);
}

std::unique_ptr<SampleSource> with_labels(std::unique_ptr<SampleSource> source,
                                          const std::vector<fs::path>& labels,
                                          const fs::path& scratch) {
  if (labels.empty()) return source;
  return std::make_unique<Labelled>(std::move(source), labels, scratch);
}

}  // namespace relgrad
