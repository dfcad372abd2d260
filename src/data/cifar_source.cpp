/// CIFAR binary (www.cs.toronto.edu/~kriz/cifar.html): records of one label byte (CIFAR-10) or a
/// coarse and a fine one (CIFAR-100), then 3 planes of 32 x 32.
#include <fmt/format.h>

#include <cstring>

#include "data/file_sources.hpp"
#include "data/input_file.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

constexpr std::uint64_t image_bytes = 3 * 32 * 32;

class CifarSource final : public SampleSource {
 public:
  explicit CifarSource(const std::filesystem::path& path) : file_(path) {
    const std::uint64_t bytes = file_.content_bytes();
    label_bytes_ = bytes % (image_bytes + 1) == 0 ? 1 : 2;
    if (bytes == 0 || bytes % (image_bytes + label_bytes_) != 0) {
      throw DataError(fmt::format(
          "{}: {} bytes of content are no whole number of CIFAR records of {} (CIFAR-10) "
          "or {} bytes (CIFAR-100): truncated or another format",
          file_.name(), bytes, image_bytes + 1, image_bytes + 2));
    }
    rows_ = bytes / (image_bytes + label_bytes_);
    sample_shape_ = {3, 32, 32};
    has_labels_ = true;
  }

  void next(std::uint64_t count, std::byte* samples, std::int64_t* labels) override {
    const std::uint64_t record_bytes = image_bytes + label_bytes_;
    records_.resize(count * record_bytes);
    file_.read(records_.data(), records_.size(), "a CIFAR record");
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint8_t* record = records_.data() + i * record_bytes;
      const int label = label_of(record);
      const int classes = label_bytes_ == 1 ? 10 : 100;
      if (label >= classes) {
        throw DataError(fmt::format("{}: record {} has label {}, expected below {}: not CIFAR-{}",
                                    file_.name(), done_ + i, label, classes, classes));
      }
      if (labels != nullptr) labels[i] = label;
      std::memcpy(samples + i * image_bytes, record + label_bytes_, image_bytes);
    }
    done_ += count;
  }

  std::vector<std::int64_t> all_labels() override {
    InputFile file(file_.path());
    std::vector<std::uint8_t> record(image_bytes + label_bytes_);
    std::vector<std::int64_t> labels(rows_);
    for (std::int64_t& label : labels) {
      file.read(record.data(), record.size(), "a CIFAR record");
      label = label_of(record.data());
    }
    return labels;
  }

 private:
  int label_of(const std::uint8_t* record) const {
    return record[label_bytes_ - 1];  // the fine one of CIFAR-100
  }

  InputFile file_;
  std::uint64_t label_bytes_ = 1;
  std::uint64_t done_ = 0;
  std::vector<std::uint8_t> records_;
};

}  // namespace

std::unique_ptr<SampleSource> open_cifar(const std::filesystem::path& path) {
  return std::make_unique<CifarSource>(path);
}

}  // namespace relgrad
