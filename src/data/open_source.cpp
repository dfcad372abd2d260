#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <numeric>

#include "data/file_sources.hpp"
#include "data/image_source.hpp"
#include "data/input_file.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/data/sample_source.hpp"

namespace relgrad {

namespace fs = std::filesystem;

std::uint64_t SampleSource::row_bytes() const {
  const Index elements =
      std::accumulate(sample_shape_.begin(), sample_shape_.end(), Index{1}, std::multiplies<>());
  return static_cast<std::uint64_t>(elements) * bytes_of(type_);
}

namespace {

enum class Format { idx, npy, cifar, tar, unknown };

Format format_of_name(const fs::path& path) {
  std::string name = path.filename().string();
  if (name.ends_with(".tgz")) return Format::tar;
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  if (name.ends_with(".npy")) return Format::npy;
  if (name.ends_with(".bin")) return Format::cifar;
  if (name.ends_with(".tar")) return Format::tar;
  if (name.ends_with(".idx") || name.ends_with("-ubyte") || name.ends_with(".ubyte")) {
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
  if (std::memcmp(bytes.data(), "\0\0\x08", 3) == 0) return Format::idx;
  if (std::memcmp(bytes.data() + 257, "ustar", 5) == 0) return Format::tar;
  return Format::unknown;
}

Format format_of(const fs::path& path) {
  const Format format = format_of_name(path);
  return format == Format::unknown ? format_of_content(path) : format;
}

[[noreturn]] void throw_unknown(const fs::path& path) {
  if (is_image_name(path)) {
    throw DataError(
        fmt::format("{}: a single image; name the folder that holds the images", path.string()));
  }
  const std::string extension = path.extension().string();
  if (extension == ".xz" || extension == ".bz2" || extension == ".zst" || extension == ".zip") {
    throw DataError(
        fmt::format("{}: {} is not read; unpack it first or use .gz", path.string(), extension));
  }
  throw DataError(
      fmt::format("{}: unknown format; expected IDX (.idx, -ubyte), CIFAR binary (.bin) "
                  "or .npy, plain or .gz, or a folder or .tar of images",
                  path.string()));
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

 private:
  std::vector<std::unique_ptr<SampleSource>> sources_;
  std::size_t at_ = 0;
  std::uint64_t done_ = 0;  // rows of sources_[at_]
};

std::unique_ptr<LabelSource> open_labels(const fs::path& path) {
  const Format format = format_of(path);
  if (format == Format::npy) return open_npy_labels(path);
  if (format == Format::idx) return open_idx_labels(path);
  throw DataError(
      fmt::format("{}: labels are IDX (idx1-ubyte) or .npy files of integers", path.string()));
}

class Labelled final : public SampleSource {
 public:
  Labelled(std::unique_ptr<SampleSource> source, const std::vector<fs::path>& paths)
      : source_(std::move(source)) {
    type_ = source_->type();
    sample_shape_ = source_->sample_shape();
    rows_ = source_->rows();
    has_labels_ = true;
    std::uint64_t labels = 0;
    for (const fs::path& path : paths) {
      labels_.push_back(open_labels(path));
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

 private:
  std::unique_ptr<SampleSource> source_;
  std::vector<std::unique_ptr<LabelSource>> labels_;
  std::size_t at_ = 0;
  std::uint64_t done_ = 0;
};

}  // namespace

std::unique_ptr<SampleSource> open_source(const fs::path& path, const ImageOptions& images) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw DataError(fmt::format("{}: no such file or folder; check the path", path.string()));
  }
  if (fs::is_directory(path)) return make_image_source(open_folder(path), images);
  switch (format_of(path)) {
    case Format::idx:
      return open_idx(path);
    case Format::npy:
      return open_npy(path);
    case Format::cifar:
      return open_cifar(path);
    case Format::tar:
      return make_image_source(open_tar(path), images);
    case Format::unknown:
      break;
  }
  throw_unknown(path);
}

std::unique_ptr<SampleSource> open_sources(const std::vector<fs::path>& paths,
                                           const ImageOptions& images) {
  std::vector<std::unique_ptr<SampleSource>> sources;
  for (const fs::path& path : paths) sources.push_back(open_source(path, images));
  if (sources.empty()) throw UsageError("no input files; name at least one");
  if (sources.size() == 1) return std::move(sources.front());
  return std::make_unique<Concatenation>(std::move(sources), paths);
}

std::unique_ptr<SampleSource> with_labels(std::unique_ptr<SampleSource> source,
                                          const std::vector<fs::path>& labels) {
  if (labels.empty()) return source;
  return std::make_unique<Labelled>(std::move(source), labels);
}

}  // namespace relgrad
