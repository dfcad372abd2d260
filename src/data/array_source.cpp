/// Array files, .npy and IDX: a header, then the values.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "data/array_header.hpp"
#include "data/file_sources.hpp"
#include "data/input_file.hpp"
#include "data/narrowing_check.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"

namespace relgrad {

namespace {

using ReadHeader = ArrayHeader (*)(InputFile&);

std::string what_says(const ArrayHeader& header) {
  return fmt::format("its {} header", header.format);
}

/// The rows of an array in C order, whatever the order of the file.
class RowReader {
 public:
  RowReader(InputFile& file, const ArrayHeader& header)
      : file_(file), header_(header), values_at_(file.position()) {
    rows_ = header.shape[0];
    row_elements_ = 1;
    for (std::size_t i = 1; i < header.shape.size(); ++i) row_elements_ *= header.shape[i];
    is_transposed_ = header.is_fortran_order && header.shape.size() > 1 && rows_ > 1;
    if (is_transposed_ && file.is_compressed()) {
      throw DataError(file.name() +
                      ": Fortran order cannot be read from a .gz; unpack it, or save "
                      "numpy.ascontiguousarray(x)");
    }
  }

  std::uint64_t row_bytes() const { return row_elements_ * header_.element_bytes; }

  void read(std::uint64_t count, std::uint8_t* to) {
    if (!is_transposed_) {
      file_.read(to, count * row_bytes(), what_says(header_));
      done_ += count;
      return;
    }
    while (count > 0) {
      if (done_ >= block_begin_ + block_rows_) load_block();
      const std::uint64_t part = std::min(count, block_begin_ + block_rows_ - done_);
      std::memcpy(to, block_.data() + (done_ - block_begin_) * row_bytes(), part * row_bytes());
      to += part * row_bytes();
      done_ += part;
      count -= part;
    }
  }

  void expect_end() {
    if (!is_transposed_) file_.expect_end(what_says(header_));
  }

 private:
  /// The rows from done_ on, as many as take 64 MiB. Element (n, i, j, k) of a Fortran array of N
  /// rows is number n + N (i + I (j + J k)).
  void load_block() {
    constexpr std::uint64_t block_bytes = std::uint64_t{64} << 20U;
    const std::size_t size = header_.element_bytes;
    block_begin_ = done_;
    block_rows_ = std::min(rows_ - done_, std::max<std::uint64_t>(1, block_bytes / row_bytes()));
    block_.resize(block_rows_ * row_bytes());
    std::vector<std::uint8_t> column(block_rows_ * size);
    for (std::uint64_t element = 0; element < row_elements_; ++element) {
      file_.seek(values_at_ + (fortran_number(element) * rows_ + block_begin_) * size);
      file_.read(column.data(), column.size(), what_says(header_));
      for (std::uint64_t row = 0; row < block_rows_; ++row) {
        std::memcpy(block_.data() + row * row_bytes() + element * size, &column[row * size], size);
      }
    }
  }

  /// i + I (j + J k) of element number (i J + j) K + k of a row.
  std::uint64_t fortran_number(std::uint64_t element) const {
    std::uint64_t number = 0;
    for (std::size_t axis = 1; axis < header_.shape.size(); ++axis) {
      std::uint64_t after = 1;
      for (std::size_t i = axis + 1; i < header_.shape.size(); ++i) after *= header_.shape[i];
      std::uint64_t before = 1;
      for (std::size_t i = 1; i < axis; ++i) before *= header_.shape[i];
      number += element / after % header_.shape[axis] * before;
    }
    return number;
  }

  InputFile& file_;
  const ArrayHeader& header_;
  std::uint64_t values_at_;
  std::uint64_t rows_ = 0;
  std::uint64_t row_elements_ = 1;
  bool is_transposed_ = false;
  std::uint64_t done_ = 0;
  std::uint64_t block_begin_ = 0;
  std::uint64_t block_rows_ = 0;
  std::vector<std::uint8_t> block_;
};

/// The file is left at its first value. @throws DataError unless the values fit the file.
ArrayHeader checked_header(InputFile& file, ReadHeader read_header) {
  ArrayHeader header = read_header(file);
  if (header.kind == '?') {
    throw DataError(fmt::format(
        "{}: dtype '{}', expected integers or reals of at most 64 bits; save x.astype('float32')",
        file.name(), header.type_name));
  }
  const std::uint64_t bytes = header.content_bytes(file);
  file.expect_content_bytes(file.position() + bytes, what_says(header));
  return header;
}

class ArraySource final : public SampleSource {
 public:
  ArraySource(std::unique_ptr<InputFile> file, ReadHeader read_header)
      : owned_(std::move(file)), header_(checked_header(file_, read_header)) {
    take_shape();
    rows_reader_.emplace(file_, header_);
    const bool is_levels = header_.kind != 'f';
    type_ = is_levels ? ElementType::uint8 : ElementType::float32;
    if (is_levels && header_.kind != 'b' && (header_.kind == 'i' || header_.element_bytes > 1))
      expect_levels();
    const bool as_stored = !header_.is_big_endian || header_.element_bytes == 1;
    copies_ = as_stored && header_.element_bytes == bytes_of(type_);
    if (header_.kind == 'f' && header_.element_bytes == 8) narrowing_.emplace(row_elements());
  }

  void next(std::uint64_t count, std::byte* samples, std::int64_t* /*labels*/) override {
    const std::uint64_t elements = count * row_elements();
    if (copies_) {
      rows_reader_->read(count, reinterpret_cast<std::uint8_t*>(samples));
    } else {
      stored_.resize(elements * header_.element_bytes);
      rows_reader_->read(count, stored_.data());
    }
    if (type_ == ElementType::float32) {
      convert(elements, reinterpret_cast<float*>(samples));
    } else if (header_.kind == 'b') {
      expect_truth_values({reinterpret_cast<const std::uint8_t*>(samples), elements});
    } else if (!copies_) {
      for (std::uint64_t i = 0; i < elements; ++i) {
        samples[i] =
            static_cast<std::byte>(level(integer_of(header_, &stored_[i * header_.element_bytes])));
      }
    }
    done_ += count;
    if (done_ < rows_) return;
    rows_reader_->expect_end();
    if (narrowing_) narrowing_->expect_nothing_lost(file_.name());
  }

 private:
  std::uint64_t row_elements() const { return row_bytes() / bytes_of(type_); }

  void take_shape() {
    const std::vector<std::uint64_t>& shape = header_.shape;
    if (shape.size() < 2 || shape.size() > 4 ||
        std::count(shape.begin() + 1, shape.end(), 0U) > 0) {
      throw DataError(fmt::format(
          "{}: shape ({}), expected (N, D), (N, H, W) or (N, C, H, W), none of the last "
          "empty; save x.reshape(len(x), -1)",
          file_.name(), fmt::join(shape, ", ")));
    }
    rows_ = shape[0];
    sample_shape_.assign(shape.begin() + 1, shape.end());
    if (shape.size() == 3) sample_shape_.insert(sample_shape_.begin(), 1);  // {1, H, W}
    row_bytes();  // a shape of no rows may be of any size
  }

  /// Integers are levels of 8 bits, wherever they fit: their noise makes a density of them.
  void expect_levels() {
    const std::uint64_t begin = file_.position();
    std::vector<std::uint8_t> bytes((std::size_t{1} << 20U) * header_.element_bytes);
    double least = 255;
    double most = 0;
    for (std::uint64_t left = header_.content_bytes(file_); left > 0;) {
      const std::uint64_t part = std::min<std::uint64_t>(left, bytes.size());
      file_.read(bytes.data(), part, what_says(header_));
      for (std::uint64_t i = 0; i < part; i += header_.element_bytes) {
        const double value = value_of(header_, &bytes[i]);
        least = std::min(least, value);
        most = std::max(most, value);
      }
      left -= part;
    }
    file_.seek(begin);
    if (least < 0 || most > 255) {
      throw DataError(fmt::format(
          "{}: integers ({}) from {:.0f} to {:.0f}; integers are read as levels from 0 to 255 "
          "(save "
          "x.astype('uint8')); for others, which have no density, add noise of one step: save (x + "
          "numpy.random.rand(*x.shape)).astype('float32')",
          file_.name(), header_.type_name, least, most));
    }
    log_info(fmt::format("{}: integers ({}) within 0 to 255 are stored as uint8", file_.name(),
                         header_.type_name));
  }

  /// What other programs take 2 for differs.
  void expect_truth_values(std::span<const std::uint8_t> values) const {
    const auto other = std::ranges::find_if(values, [](std::uint8_t value) { return value > 1; });
    if (other == values.end()) return;
    throw DataError(fmt::format("{}: a truth value is {}, expected 0 or 1; save x.astype('uint8')",
                                file_.name(), *other));
  }

  /// expect_levels() saw the file before, which may have changed since.
  std::uint8_t level(std::int64_t value) const {
    if (value >= 0 && value <= 255) return static_cast<std::uint8_t>(value);
    throw DataError(fmt::format("{}: changed while it was read", file_.name()));
  }

  void convert(std::uint64_t elements, float* to) {
    const std::uint64_t columns = row_elements();
    for (std::uint64_t i = 0; i < elements; ++i) {
      const double value = copies_ ? static_cast<double>(to[i])
                                   : value_of(header_, &stored_[i * header_.element_bytes]);
      if (!(std::abs(value) <= std::numeric_limits<float>::max())) {
        throw DataError(fmt::format(
            "{}: row {}, element {} is {}; values must be finite and within single precision",
            file_.name(), done_ + i / columns, i % columns, value));
      }
      to[i] = static_cast<float>(value);
      if (narrowing_) narrowing_->add(i % columns, value, to[i]);
    }
  }

  std::unique_ptr<InputFile> owned_;
  InputFile& file_ = *owned_;
  ArrayHeader header_;
  std::optional<RowReader> rows_reader_;
  bool copies_ = false;  // elements are stored as they are in the file
  std::optional<NarrowingCheck> narrowing_;
  std::uint64_t done_ = 0;
  std::vector<std::uint8_t> stored_;
};

class ArrayLabels final : public LabelSource {
 public:
  ArrayLabels(std::unique_ptr<InputFile> file, ReadHeader read_header)
      : owned_(std::move(file)), header_(checked_header(file_, read_header)) {
    const std::vector<std::uint64_t>& shape = header_.shape;
    // QMNIST has eight numbers per sample, of which the first is the class.
    const bool is_qmnist = shape.size() == 2 && shape[1] == 8 && header_.type_name == "0x0C";
    columns_ = is_qmnist ? 8 : 1;
    const bool is_column = shape.size() == 1 || (shape.size() == 2 && shape[1] == 1);
    if ((!is_column && !is_qmnist) || header_.kind == 'f') {
      throw DataError(
          fmt::format("{}: type '{}', shape ({}); labels are integers, one per sample: "
                      "save y.astype('int64').ravel()",
                      file_.name(), header_.type_name, fmt::join(shape, ", ")));
    }
    rows_ = header_.shape[0];
  }

  void next(std::uint64_t count, std::int64_t* labels) override {
    const std::uint64_t row_bytes = columns_ * header_.element_bytes;
    std::vector<std::uint8_t> bytes(count * row_bytes);
    file_.read(bytes.data(), bytes.size(), what_says(header_));
    for (std::uint64_t i = 0; i < count; ++i) {
      labels[i] = integer_of(header_, &bytes[i * row_bytes]);
      if (header_.kind == 'u' && labels[i] < 0) {
        throw DataError(fmt::format("{}: label {} is {}, above 2^63 - 1", file_.name(), done_ + i,
                                    static_cast<std::uint64_t>(labels[i])));
      }
    }
    done_ += count;
    if (done_ == rows_) file_.expect_end(what_says(header_));
  }

 private:
  std::unique_ptr<InputFile> owned_;
  InputFile& file_ = *owned_;
  ArrayHeader header_;
  std::uint64_t columns_ = 1;
  std::uint64_t done_ = 0;
};

}  // namespace

std::unique_ptr<SampleSource> read_npy(std::unique_ptr<InputFile> file) {
  return std::make_unique<ArraySource>(std::move(file), read_npy_header);
}
std::unique_ptr<SampleSource> read_idx(std::unique_ptr<InputFile> file) {
  return std::make_unique<ArraySource>(std::move(file), read_idx_header);
}
std::unique_ptr<LabelSource> read_npy_labels(std::unique_ptr<InputFile> file) {
  return std::make_unique<ArrayLabels>(std::move(file), read_npy_header);
}
std::unique_ptr<LabelSource> read_idx_labels(std::unique_ptr<InputFile> file) {
  return std::make_unique<ArrayLabels>(std::move(file), read_idx_header);
}

}  // namespace relgrad
