/// IDX, the format of MNIST: 0, 0, type, number of dimensions, then the dimensions as big-endian
/// 32-bit integers, then the values, last dimension fastest (yann.lecun.com/exdb/mnist).
#include <fmt/format.h>

#include <array>

#include "data/file_sources.hpp"
#include "data/input_file.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

constexpr std::uint8_t unsigned_byte = 0x08;

/// Dimensions of the file, which is left at its first value. @throws DataError.
std::vector<std::uint64_t> read_header(InputFile& file, std::size_t fewest, std::size_t most) {
  std::array<std::uint8_t, 4> magic{};
  file.read(magic.data(), magic.size(), "the IDX magic number");
  const auto [zero, zero_too, type, dimensions] = magic;
  if (zero != 0 || zero_too != 0 || type != unsigned_byte || dimensions < fewest ||
      dimensions > most) {
    throw DataError(fmt::format(
        "{}: wrong magic number {:02x}{:02x}{:02x}{:02x}, expected IDX of unsigned bytes with {} "
        "to {} dimensions (000008{:02x} to 000008{:02x})",
        file.name(), zero, zero_too, type, dimensions, fewest, most, fewest, most));
  }
  std::vector<std::uint64_t> shape;
  std::uint64_t bytes = 1;
  for (std::size_t i = 0; i < dimensions; ++i) {
    std::array<std::uint8_t, 4> word{};
    file.read(word.data(), word.size(), "the IDX header");
    shape.push_back((std::uint64_t{word[0]} << 24U) | (std::uint64_t{word[1]} << 16U) |
                    (std::uint64_t{word[2]} << 8U) | word[3]);
    const bool empty_sample = i > 0 && shape.back() == 0;
    if (empty_sample || __builtin_mul_overflow(bytes, shape.back(), &bytes)) {
      throw DataError(
          fmt::format("{}: IDX dimension {} is {}: damaged", file.name(), i, shape.back()));
    }
  }
  file.expect_content_bytes(file.position() + bytes, "its IDX header");
  return shape;
}

class IdxSource final : public SampleSource {
 public:
  explicit IdxSource(const std::filesystem::path& path) : file_(path) {
    const std::vector<std::uint64_t> shape = read_header(file_, 2, 4);
    rows_ = shape[0];
    sample_shape_.assign(shape.begin() + 1, shape.end());
    if (sample_shape_.size() == 2) sample_shape_.insert(sample_shape_.begin(), 1);  // {1, H, W}
  }

  void next(std::uint64_t count, std::byte* samples, std::int64_t* /*labels*/) override {
    file_.read(samples, count * row_bytes(), "its IDX header");
    done_ += count;
    if (done_ == rows_) file_.expect_end("its IDX header");
  }

 private:
  InputFile file_;
  std::uint64_t done_ = 0;
};

class IdxLabels final : public LabelSource {
 public:
  explicit IdxLabels(const std::filesystem::path& path) : file_(path) {
    rows_ = read_header(file_, 1, 1)[0];
  }

  void next(std::uint64_t count, std::int64_t* labels) override {
    std::vector<std::uint8_t> bytes(count);
    file_.read(bytes.data(), count, "its IDX header");
    std::copy(bytes.begin(), bytes.end(), labels);
    done_ += count;
    if (done_ == rows_) file_.expect_end("its IDX header");
  }

 private:
  InputFile file_;
  std::uint64_t done_ = 0;
};

}  // namespace

std::unique_ptr<SampleSource> open_idx(const std::filesystem::path& path) {
  return std::make_unique<IdxSource>(path);
}
std::unique_ptr<LabelSource> open_idx_labels(const std::filesystem::path& path) {
  return std::make_unique<IdxLabels>(path);
}

}  // namespace relgrad
