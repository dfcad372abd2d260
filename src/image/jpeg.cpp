// jpeglib.h needs <cstdio> before it.
// clang-format off
#include <cstdio>
#include <jerror.h>
#include <jpeglib.h>
// clang-format on

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <string>

#include "image/exif_orientation.hpp"
#include "image/kinds.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::jpeg {

namespace {

/// libjpeg's error manager with what this file adds. An error leaves through longjmp, which runs no
/// destructors: functions that call setjmp hold nothing that needs one.
struct ErrorManager : jpeg_error_mgr {
  std::jmp_buf escape;
  std::array<char, JMSG_LENGTH_MAX> reason;
};

[[noreturn]] void keep_reason(j_common_ptr library) {
  auto* manager = static_cast<ErrorManager*>(library->err);
  manager->format_message(library, manager->reason.data());
  std::longjmp(manager->escape, 1);
}

/// Data that end early or make no sense are errors; bytes between segments and other oddities that
/// whole files have are not.
void judge_message(j_common_ptr library, int level) {
  if (level >= 0) return;
  constexpr std::array damage{JWRN_JPEG_EOF, JWRN_HIT_MARKER, JWRN_HUFF_BAD_CODE, JWRN_MUST_RESYNC,
                              JWRN_BOGUS_PROGRESSION};
  if (std::find(damage.begin(), damage.end(), library->err->msg_code) != damage.end()) {
    keep_reason(library);
  }
}

void print_nothing(j_common_ptr) {}

/// A short file may ask for thousands of passes over a large image: no camera does.
void limit_scans(j_common_ptr library) {
  constexpr int most_scans = 500;
  const auto* decompressor = reinterpret_cast<j_decompress_ptr>(library);
  if (decompressor->input_scan_number > most_scans) {
    auto* manager = static_cast<ErrorManager*>(library->err);
    std::snprintf(manager->reason.data(), manager->reason.size(), "more than %d scans", most_scans);
    std::longjmp(manager->escape, 1);
  }
}

class Reader {
 public:
  explicit Reader(ImageBytes bytes) : bytes_(bytes) {
    library_.err = jpeg_std_error(&errors_);
    errors_.error_exit = keep_reason;
    errors_.emit_message = judge_message;
    errors_.output_message = print_nothing;
    progress_.progress_monitor = limit_scans;
  }
  ~Reader() { jpeg_destroy_decompress(&library_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Each returns false if libjpeg ran into an error, whose reason is then in reason().
  bool read_header();
  bool start();
  bool read_row(std::uint8_t* row);
  bool finish();

  const char* reason() const { return errors_.reason.data(); }
  ImageHeader header() const;
  /// 1 grey, 3 colour, 4 inks
  int components() const { return library_.output_components; }

 private:
  ImageBytes bytes_;
  jpeg_decompress_struct library_{};
  ErrorManager errors_{};
  jpeg_progress_mgr progress_{};
};

bool Reader::read_header() {
  if (setjmp(errors_.escape) != 0) return false;
  jpeg_create_decompress(&library_);
  library_.progress = &progress_;
  // The coefficients of a progressive image, which are allocated by its header's claim.
  library_.mem->max_memory_to_use =
      static_cast<long>((std::size_t{512} << 20U) + 100 * bytes_.size());
  jpeg_mem_src(&library_, bytes_.data(), static_cast<unsigned long>(bytes_.size()));
  jpeg_save_markers(&library_, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&library_, TRUE);
  return true;
}

bool Reader::start() {
  if (setjmp(errors_.escape) != 0) return false;
  switch (library_.jpeg_color_space) {
    case JCS_GRAYSCALE:
      library_.out_color_space = JCS_GRAYSCALE;
      break;
    case JCS_CMYK:
    case JCS_YCCK:
      library_.out_color_space = JCS_CMYK;
      break;
    default:
      library_.out_color_space = JCS_RGB;
  }
  jpeg_start_decompress(&library_);
  return true;
}

bool Reader::read_row(std::uint8_t* row) {
  if (setjmp(errors_.escape) != 0) return false;
  while (jpeg_read_scanlines(&library_, &row, 1) == 0) continue;
  return true;
}

bool Reader::finish() {
  if (setjmp(errors_.escape) != 0) return false;
  jpeg_finish_decompress(&library_);
  return true;
}

ImageHeader Reader::header() const {
  ImageHeader header;
  header.size = {static_cast<Index>(library_.image_height),
                 static_cast<Index>(library_.image_width)};
  header.channels = library_.num_components == 1 ? 1 : 3;
  for (const auto* marker = library_.marker_list; marker != nullptr; marker = marker->next) {
    constexpr std::size_t mark = 6;
    if (marker->data_length < mark || std::memcmp(marker->data, "Exif\0\0", mark) != 0) continue;
    header.orientation =
        exif_orientation({marker->data + mark, marker->data_length - std::size_t{mark}});
    break;
  }
  return header;
}

/// Inks as Adobe's programs store them: inverted, 255 is none. rgb may be where cmyk is.
void inks_to_colours(const std::uint8_t* cmyk, std::uint8_t* rgb, Index pixels) {
  for (Index i = 0; i < pixels; ++i) {
    const unsigned black = cmyk[4 * i + 3];
    for (Index c = 0; c < 3; ++c) {
      rgb[3 * i + c] = static_cast<std::uint8_t>((cmyk[4 * i + c] * black + 127) / 255);
    }
  }
}

}  // namespace

std::optional<ImageHeader> header(ImageBytes bytes) {
  Reader reader(bytes);
  if (!reader.read_header()) return std::nullopt;
  return reader.header();
}

Image decode(ImageBytes bytes) {
  Reader reader(bytes);
  if (!reader.read_header()) throw DataError(reader.reason());
  const ImageHeader header = reader.header();
  const Index width = header.size.width;
  check_pixel_claim(static_cast<std::uint64_t>(header.size.height),
                    static_cast<std::uint64_t>(width), bytes.size());
  if (!reader.start()) throw DataError(reader.reason());
  Image image{header.size, header.channels, {}};
  const auto row_bytes = static_cast<std::size_t>(width * image.channels);
  std::vector<std::uint8_t> row(static_cast<std::size_t>(width * reader.components()));
  for (Index y = 0; y < header.size.height; ++y) {
    if (!reader.read_row(row.data())) throw DataError(reader.reason());
    if (reader.components() == 4) inks_to_colours(row.data(), row.data(), width);
    image.pixels.insert(image.pixels.end(), row.begin(),
                        row.begin() + static_cast<std::ptrdiff_t>(row_bytes));
  }
  if (!reader.finish()) throw DataError(reader.reason());
  return image;
}

}  // namespace relgrad::jpeg
