/// .npy of numpy: magic, version, header length, a Python dictionary of dtype, order and shape,
/// then the values (numpy.lib.format).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "data/file_sources.hpp"
#include "data/input_file.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"

namespace relgrad {

namespace {

struct NpyHeader {
  std::string dtype;  // "<f4", "|u1", ...
  std::vector<std::uint64_t> shape;
};

/// The text after "'KEY':" in the dictionary up to `end`, from `begin` on; "" if there is none.
std::string value_of(const std::string& dictionary, const std::string& key, char begin, char end) {
  std::size_t at = dictionary.find("'" + key + "':");
  if (at == std::string::npos) return "";
  at = dictionary.find_first_not_of(' ', at + key.size() + 3);
  if (at == std::string::npos || dictionary[at] != begin) return "";
  const std::size_t stop = dictionary.find(end, at + 1);
  return stop == std::string::npos ? "" : dictionary.substr(at + 1, stop - at - 1);
}

/// The numbers of "3, 4" or "3,".
std::vector<std::uint64_t> parse_shape(const InputFile& file, const std::string& text) {
  std::vector<std::uint64_t> shape;
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at != end;) {
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    std::uint64_t extent = 0;
    const auto [next, error] = std::from_chars(at, end, extent);
    if (error != std::errc()) {
      throw DataError(fmt::format("{}: npy shape ({}): damaged", file.name(), text));
    }
    shape.push_back(extent);
    at = next;
  }
  return shape;
}

std::string read_dictionary(InputFile& file) {
  std::array<std::uint8_t, 8> start{};
  file.read(start.data(), start.size(), "the npy header");
  if (std::memcmp(start.data(), "\x93NUMPY", 6) != 0) {
    throw DataError(file.name() + ": not an .npy file; write it with numpy.save");
  }
  const std::size_t length_bytes = start[6] == 1 ? 2 : 4;
  std::array<std::uint8_t, 4> word{};
  file.read(word.data(), length_bytes, "the npy header");
  std::size_t length = 0;
  for (std::size_t i = length_bytes; i-- > 0;) length = (length << 8U) | word[i];
  if (length > (std::size_t{1} << 20U)) {
    throw DataError(fmt::format("{}: npy header of {} bytes: damaged", file.name(), length));
  }
  std::string dictionary(length, '\0');
  file.read(dictionary.data(), length, "the npy header");
  return dictionary;
}

/// The file is left at its first value.
NpyHeader read_header(InputFile& file) {
  const std::string dictionary = read_dictionary(file);
  const std::string dtype = value_of(dictionary, "descr", '\'', '\'');
  const std::string shape = value_of(dictionary, "shape", '(', ')');
  if (dtype.empty() || shape.empty()) {
    throw DataError(
        fmt::format("{}: npy header without a plain dtype and shape; save one plain "
                    "array with numpy.save",
                    file.name()));
  }
  NpyHeader header{dtype, parse_shape(file, shape)};
  const bool fortran_order = value_of(dictionary, "fortran_order", 'T', 'e') == "ru";
  if (fortran_order && header.shape.size() > 1) {
    throw DataError(file.name() + ": Fortran order; save numpy.ascontiguousarray(x)");
  }
  return header;
}

std::uint64_t product(const InputFile& file, const std::vector<std::uint64_t>& shape,
                      std::uint64_t element_bytes) {
  std::uint64_t bytes = element_bytes;
  for (const std::uint64_t extent : shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes)) {
      throw DataError(file.name() + ": npy shape too large: damaged");
    }
  }
  return bytes;
}

enum class NpyType { uint8, float32, float64 };

NpyType parse_sample_dtype(const InputFile& file, const std::string& dtype) {
  if (dtype == "|u1") return NpyType::uint8;
  if (dtype == "<f4") return NpyType::float32;
  if (dtype == "<f8") return NpyType::float64;
  throw DataError(
      fmt::format("{}: dtype '{}', expected uint8, float32 or float64 in little-endian "
                  "order; save x.astype('float32')",
                  file.name(), dtype));
}

class NpySource final : public SampleSource {
 public:
  explicit NpySource(const std::filesystem::path& path) : file_(path) {
    const NpyHeader header = read_header(file_);
    npy_type_ = parse_sample_dtype(file_, header.dtype);
    type_ = npy_type_ == NpyType::uint8 ? ElementType::uint8 : ElementType::float32;
    take_shape(header.shape);
    const std::uint64_t element_bytes =
        npy_type_ == NpyType::uint8 ? 1 : (npy_type_ == NpyType::float32 ? 4 : 8);
    const std::uint64_t bytes = product(file_, header.shape, element_bytes);
    file_.expect_content_bytes(file_.position() + bytes, "its npy header");
  }

  void next(std::uint64_t count, std::byte* samples, std::int64_t* /*labels*/) override {
    const std::uint64_t elements = count * row_bytes() / bytes_of(type_);
    if (npy_type_ == NpyType::float64) {
      doubles_.resize(elements);
      file_.read(doubles_.data(), elements * sizeof(double), "its npy header");
      auto* floats = reinterpret_cast<float*>(samples);
      for (std::uint64_t i = 0; i < elements; ++i) floats[i] = narrow(i, doubles_[i]);
    } else {
      file_.read(samples, count * row_bytes(), "its npy header");
    }
    if (npy_type_ == NpyType::float32) {
      const auto* floats = reinterpret_cast<const float*>(samples);
      for (std::uint64_t i = 0; i < elements; ++i) narrow(i, floats[i]);
    }
    done_ += count;
    if (done_ == rows_) file_.expect_end("its npy header");
  }

 private:
  void take_shape(const std::vector<std::uint64_t>& shape) {
    if (shape.size() < 2 || shape.size() > 4 ||
        std::count(shape.begin() + 1, shape.end(), 0U) > 0) {
      throw DataError(
          fmt::format("{}: {} dimensions, expected (N, D), (N, H, W) or (N, C, H, W), "
                      "none of the last empty; save x.reshape(len(x), -1)",
                      file_.name(), shape.size()));
    }
    rows_ = shape[0];
    sample_shape_.assign(shape.begin() + 1, shape.end());
    if (shape.size() == 3) sample_shape_.insert(sample_shape_.begin(), 1);  // {1, H, W}
    if (shape.size() == 4 && shape[1] > 4 && (shape[3] == 1 || shape[3] == 3)) {
      log_warning(
          fmt::format("{}: shape (N, {}, {}, {}) is read as (N, C, H, W) but looks like (N, "
                      "H, W, C); save x.transpose(0, 3, 1, 2)",
                      file_.name(), shape[1], shape[2], shape[3]));
    }
  }

  /// `value`, element `i` of the samples being read, as stored. @throws DataError if not finite.
  float narrow(std::uint64_t i, double value) const {
    if (std::abs(value) <= std::numeric_limits<float>::max()) return static_cast<float>(value);
    const std::uint64_t dimension = row_bytes() / sizeof(float);
    throw DataError(fmt::format(
        "{}: row {}, element {} is {}; values must be finite and within single precision",
        file_.name(), done_ + i / dimension, i % dimension, value));
  }

  InputFile file_;
  NpyType npy_type_;
  std::uint64_t done_ = 0;
  std::vector<double> doubles_;
};

class NpyLabels final : public LabelSource {
 public:
  explicit NpyLabels(const std::filesystem::path& path) : file_(path) {
    const NpyHeader header = read_header(file_);
    constexpr std::array known{"|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8"};
    if (header.shape.size() != 1 ||
        std::find(known.begin(), known.end(), header.dtype) == known.end()) {
      throw DataError(
          fmt::format("{}: dtype '{}' in {} dimensions; labels are integers in one "
                      "dimension: save y.astype('int64').ravel()",
                      file_.name(), header.dtype, header.shape.size()));
    }
    is_signed_ = header.dtype[1] == 'i';
    element_bytes_ = static_cast<std::size_t>(header.dtype[2] - '0');
    rows_ = header.shape[0];
    file_.expect_content_bytes(file_.position() + product(file_, header.shape, element_bytes_),
                               "its npy header");
  }

  void next(std::uint64_t count, std::int64_t* labels) override {
    std::vector<std::uint8_t> bytes(count * element_bytes_);
    file_.read(bytes.data(), bytes.size(), "its npy header");
    for (std::uint64_t i = 0; i < count; ++i) labels[i] = decode(&bytes[i * element_bytes_]);
    done_ += count;
    if (done_ == rows_) file_.expect_end("its npy header");
  }

 private:
  std::int64_t decode(const std::uint8_t* bytes) const {
    std::uint64_t value = 0;
    for (std::size_t i = element_bytes_; i-- > 0;) value = (value << 8U) | bytes[i];
    const auto unused_bits = static_cast<unsigned>(64 - 8 * element_bytes_);
    if (!is_signed_ || unused_bits == 0) return static_cast<std::int64_t>(value);
    return static_cast<std::int64_t>(value << unused_bits) >> unused_bits;  // extends the sign
  }

  InputFile file_;
  bool is_signed_ = false;
  std::size_t element_bytes_ = 1;
  std::uint64_t done_ = 0;
};

}  // namespace

std::unique_ptr<SampleSource> open_npy(const std::filesystem::path& path) {
  return std::make_unique<NpySource>(path);
}
std::unique_ptr<LabelSource> open_npy_labels(const std::filesystem::path& path) {
  return std::make_unique<NpyLabels>(path);
}

}  // namespace relgrad
