#include "data/image_source.hpp"

#include <fmt/format.h>

#include <limits>

#include "data/image_decode.hpp"
#include "data/interrupt_guard.hpp"
#include "data/progress.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

constexpr std::uint64_t whole_file = std::numeric_limits<int>::max();  // stb counts in int
constexpr std::uint64_t header_bytes = 64U << 10U;  // enough for nearly every one

class ImageSource final : public SampleSource {
 public:
  ImageSource(std::unique_ptr<ImageStore> store, const ImageOptions& options)
      : store_(std::move(store)), size_(options.size) {
    const bool colour = look_at_headers() && !options.grey;
    rows_ = store_->count();
    const ImageSize size = size_.value_or(first_size_);
    sample_shape_ = {colour ? 3 : 1, size.height, size.width};
  }

  void next(std::uint64_t count, std::byte* samples, std::int64_t* /*labels*/) override {
    const auto channels = static_cast<int>(sample_shape_[0]);
    const ImageSize size{sample_shape_[1], sample_shape_[2]};
    for (std::uint64_t i = 0; i < count; ++i, ++done_) {
      const std::vector<std::uint8_t> bytes = store_->read(done_, whole_file);
      Image image = decode_image(bytes, channels, store_->name(done_));
      if (image.size.height != size.height || image.size.width != size.width) {
        image = crop_and_resize(image, size);
      }
      to_planes(image, reinterpret_cast<std::uint8_t*>(samples + i * row_bytes()));
    }
  }

 private:
  /// Returns whether any image has colour.
  bool look_at_headers() {
    bool colour = false;
    Progress progress("image headers", store_->count());
    for (std::uint64_t i = 0; i < store_->count(); ++i) {
      InterruptGuard::check();
      std::optional<ImageHeader> header = image_header(store_->read(i, header_bytes));
      if (!header) header = image_header(store_->read(i, whole_file));
      if (!header) {
        throw DataError(
            fmt::format("{}: not a PNG, JPEG, PGM or PPM image that can be read; "
                        "replace or remove it",
                        store_->name(i)));
      }
      progress.add(1);
      colour = colour || header->channels >= 3;
      if (i == 0) first_size_ = header->size;
      if (!size_ &&
          (header->size.height != first_size_.height || header->size.width != first_size_.width)) {
        throw DataError(
            fmt::format("images of mixed sizes: {} is {}x{}, {} is {}x{} (height x "
                        "width); bring them to one with --size HxW",
                        store_->name(0), first_size_.height, first_size_.width, store_->name(i),
                        header->size.height, header->size.width));
      }
    }
    return colour;
  }

  std::unique_ptr<ImageStore> store_;
  std::optional<ImageSize> size_;
  ImageSize first_size_;
  std::uint64_t done_ = 0;
};

}  // namespace

std::unique_ptr<SampleSource> make_image_source(std::unique_ptr<ImageStore> store,
                                                const ImageOptions& options) {
  return std::make_unique<ImageSource>(std::move(store), options);
}

}  // namespace relgrad
