#pragma once
/// Sources of samples for a new data set. A source is read once, from first to last, a few samples
/// at a time.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "relgrad/data/prepare.hpp"
#include "relgrad/data/raw_batch.hpp"

namespace relgrad {

class SampleSource {
 public:
  virtual ~SampleSource() = default;
  /// {C, H, W}, planar, or {D}.
  const std::vector<Index>& sample_shape() const { return sample_shape_; }
  ElementType type() const { return type_; }
  std::uint64_t rows() const { return rows_; }
  bool has_labels() const { return has_labels_; }
  /// Entropy of one sample in nats, if it is known.
  std::optional<double> true_entropy_nats() const { return true_entropy_nats_; }
  /// Whether every sample was made from D independent sources that are known.
  bool has_sources() const { return has_sources_; }
  /// The sources of the samples that next() read last, [count, D].
  std::span<const float> last_sources() const { return last_sources_; }
  std::uint64_t row_bytes() const;
  /// Runs of rows of one class, of images in class folders; empty elsewhere.
  struct ClassRows {
    std::string name;
    std::uint64_t first_row;
  };
  const std::vector<ClassRows>& classes() const { return classes_; }
  /// What the labels 0, 1, ... mean, where they come from class folders.
  const std::vector<std::string>& class_names() const { return class_names_; }
  /// Why inputs were skipped, a line each (SourceOptions::skip_damaged).
  const std::vector<std::string>& skipped() const { return skipped_; }

  /// Reads the next `count` samples (no more than are left) to `samples`, count * row_bytes()
  /// bytes, and their labels to `labels`, which is null unless wanted and has_labels(). With the
  /// last sample the input must be at its end.
  /// @throws DataError naming file, row and remedy.
  virtual void next(std::uint64_t count, std::byte* samples, std::int64_t* labels) = 0;

  /// The labels of all rows, ahead of their samples, if has_labels(). @throws DataError.
  virtual std::vector<std::int64_t> all_labels() { return {}; }

 protected:
  std::vector<Index> sample_shape_;
  ElementType type_ = ElementType::uint8;
  std::uint64_t rows_ = 0;
  bool has_labels_ = false;
  bool has_sources_ = false;
  std::optional<double> true_entropy_nats_;
  std::vector<float> last_sources_;
  std::vector<ClassRows> classes_;
  std::vector<std::string> class_names_;
  std::vector<std::string> skipped_;
};

/// How files become samples.
struct SourceOptions {
  std::optional<ImageSize> size;
  bool grey = false;
  bool skip_damaged = false;             // images that cannot be decoded; all are decoded twice
  bool class_folders = false;            // labels are the first folders of the images' paths
  std::vector<std::string> class_names;  // of another split: names and order; empty: sorted
  bool channels_last = false;            // arrays are (N, H, W, C)
  std::filesystem::path scratch;         // where files are unpacked; empty: the system's place
};

/// A file or folder of any known format, found by the extension, then by the first bytes.
/// FILE:NAME is an array inside an .npz or HDF5 file.
/// @throws DataError naming the path and what was expected.
std::unique_ptr<SampleSource> open_source(const std::filesystem::path& path,
                                          const SourceOptions& options);
/// Several, one after another; @throws DataError naming both files if shapes or types differ.
std::unique_ptr<SampleSource> open_sources(const std::vector<std::filesystem::path>& paths,
                                           const SourceOptions& options);
/// `source` with the labels of these files of integers instead of its own.
/// @param scratch  where they are unpacked; empty: the system's place
/// @throws DataError if there are not as many labels as samples.
std::unique_ptr<SampleSource> with_labels(std::unique_ptr<SampleSource> source,
                                          const std::vector<std::filesystem::path>& labels,
                                          const std::filesystem::path& scratch = {});

/// "images", "toy:NAME" or "flow[:D]" (see PrepareOptions); sample i depends on (seed, i) alone.
/// @throws UsageError naming the choices.
std::unique_ptr<SampleSource> make_synthetic_source(const std::string& kind, std::uint64_t seed,
                                                    std::uint64_t rows,
                                                    const std::optional<ImageSize>& size);

}  // namespace relgrad
