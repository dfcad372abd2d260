#include <png.h>

#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "image/exif_orientation.hpp"
#include "image/kinds.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::png {

namespace {

/// What libpng's calls into this file see. An error leaves through longjmp, which runs no
/// destructors: functions that call setjmp hold nothing that needs one.
struct Session {
  ImageBytes bytes;
  std::size_t at = 0;
  std::array<char, 160> reason{};
};

void read_bytes(png_structp png, png_bytep to, png_size_t count) {
  auto* session = static_cast<Session*>(png_get_io_ptr(png));
  if (count > session->bytes.size() - session->at) png_error(png, "truncated");
  std::memcpy(to, session->bytes.data() + session->at, count);
  session->at += count;
}

[[noreturn]] void keep_reason(png_structp png, png_const_charp reason) {
  auto* session = static_cast<Session*>(png_get_error_ptr(png));
  std::snprintf(session->reason.data(), session->reason.size(), "%s", reason);
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

class Reader {
 public:
  explicit Reader(ImageBytes bytes) : session_{bytes} {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &session_, keep_reason, ignore_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) throw std::bad_alloc();
  }
  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Each returns false if libpng ran into an error, whose reason is then in reason().
  bool read_info();
  bool set_up_rows();  // 8 bits, 1 or 3 channels
  bool read_row(std::uint8_t* row);
  bool read_end();

  const char* reason() const { return session_.reason.data(); }
  ImageHeader header() const;
  int passes() const { return passes_; }
  std::size_t row_bytes() const { return png_get_rowbytes(png_, info_); }

 private:
  Session session_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int passes_ = 1;
};

bool Reader::read_info() {
  if (setjmp(png_jmpbuf(png_)) != 0) return false;
  png_set_read_fn(png_, &session_, read_bytes);
  png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png_set_user_limits(png_, 1U << 24U, 1U << 24U);
  png_read_info(png_, info_);
  return true;
}

bool Reader::set_up_rows() {
  if (setjmp(png_jmpbuf(png_)) != 0) return false;
  png_set_strip_16(png_);
  png_set_packing(png_);
  png_set_palette_to_rgb(png_);
  if ((png_get_color_type(png_, info_) & PNG_COLOR_MASK_COLOR) == 0) {
    png_set_expand_gray_1_2_4_to_8(png_);
  }
  png_set_strip_alpha(png_);
  passes_ = png_set_interlace_handling(png_);
  png_read_update_info(png_, info_);
  return true;
}

bool Reader::read_row(std::uint8_t* row) {
  if (setjmp(png_jmpbuf(png_)) != 0) return false;
  png_read_row(png_, row, nullptr);
  return true;
}

bool Reader::read_end() {
  if (setjmp(png_jmpbuf(png_)) != 0) return false;
  png_read_end(png_, nullptr);
  return true;
}

ImageHeader Reader::header() const {
  ImageHeader header;
  header.size = {png_get_image_height(png_, info_), png_get_image_width(png_, info_)};
  const auto type = png_get_color_type(png_, info_);
  header.channels =
      ((type & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1) + ((type & PNG_COLOR_MASK_ALPHA) != 0 ? 1 : 0);
  header.has_16_bits = png_get_bit_depth(png_, info_) == 16;
#ifdef PNG_eXIf_SUPPORTED
  png_uint_32 bytes = 0;
  png_bytep exif = nullptr;
  if (png_get_eXIf_1(png_, info_, &bytes, &exif) != 0) {
    header.orientation = exif_orientation({exif, bytes});
  }
#endif
  return header;
}

}  // namespace

std::optional<ImageHeader> header(ImageBytes bytes) {
  Reader reader(bytes);
  if (!reader.read_info()) return std::nullopt;
  return reader.header();
}

Image decode(ImageBytes bytes) {
  Reader reader(bytes);
  if (!reader.read_info()) throw DataError(reader.reason());
  const ImageHeader header = reader.header();
  const auto height = static_cast<std::size_t>(header.size.height);
  check_pixel_claim(height, static_cast<std::uint64_t>(header.size.width), bytes.size());
  if (!reader.set_up_rows()) throw DataError(reader.reason());
  Image image{header.size, header.channels >= 3 ? 3 : 1, {}};
  const std::size_t row_bytes = reader.row_bytes();
  for (int pass = 0; pass < reader.passes(); ++pass) {
    for (std::size_t y = 0; y < height; ++y) {
      image.pixels.resize(std::max(image.pixels.size(), (y + 1) * row_bytes));  // as rows come
      if (!reader.read_row(image.pixels.data() + y * row_bytes)) throw DataError(reader.reason());
    }
  }
  if (!reader.read_end()) throw DataError(reader.reason());
  return image;
}

}  // namespace relgrad::png
