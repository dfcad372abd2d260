#include "data/image_source.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "data/interrupt_guard.hpp"
#include "data/progress.hpp"
#include "image/decode.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"

namespace relgrad {

namespace {

constexpr std::uint64_t whole_file = std::uint64_t{1} << 30U;  // no image file is larger
constexpr std::uint64_t header_bytes = 64U << 10U;             // enough for nearly every one

class ImageSource final : public SampleSource {
 public:
  ImageSource(std::unique_ptr<ImageStore> store, const SourceOptions& options)
      : store_(std::move(store)), size_(options.size) {
    const bool colour = look_at_headers(options.skip_damaged) && !options.grey;
    rows_ = images_.size();
    if (rows_ == 0) throw DataError(store_->name(0) + ": damaged, as all images beside it");
    const ImageSize size = size_.value_or(first_size_);
    sample_shape_ = {colour ? 3 : 1, size.height, size.width};
    find_classes();
    if (options.class_folders) label_by_class(options.class_names);
    tell_what_was_changed();
  }

  void next(std::uint64_t count, std::byte* samples, std::int64_t* labels) override {
    const auto channels = static_cast<int>(sample_shape_[0]);
    const ImageSize size{sample_shape_[1], sample_shape_[2]};
    for (std::uint64_t i = 0; i < count; ++i, ++done_) {
      InterruptGuard::check();
      const std::uint64_t image_number = images_[done_];
      const std::vector<std::uint8_t> bytes = store_->read(image_number, whole_file);
      Image image = decode_image(bytes, channels, store_->name(image_number));
      if (image.size.height != size.height || image.size.width != size.width) {
        image = crop_and_resize(image, size);
      }
      to_planes(image, reinterpret_cast<std::uint8_t*>(samples + i * row_bytes()));
      if (labels != nullptr) labels[i] = labels_[done_];
    }
  }

  std::vector<std::int64_t> all_labels() override { return labels_; }

 private:
  /// Finds the images that can be read; returns whether any has colour.
  bool look_at_headers(bool skip_damaged) {
    bool colour = false;
    Progress progress("image headers", store_->count());
    for (std::uint64_t i = 0; i < store_->count(); ++i) {
      InterruptGuard::check();
      try {
        const ImageHeader header = skip_damaged ? header_of_whole_image(i) : header_of(i);
        // Memory is taken for the size of the first: it must hold what its header claims.
        const bool decides = images_.empty() && !size_ && !skip_damaged;
        if (decides) decode_image(store_->read(i, whole_file), 1, store_->name(i));
        check_size(i, header);
        colour = colour || header.channels >= 3;
        with_16_bits_ += header.has_16_bits ? 1 : 0;
        turned_ += header.orientation > 1 ? 1 : 0;
        images_.push_back(i);
      } catch (const DataError& error) {
        if (!skip_damaged) throw;
        skipped_.emplace_back(error.what());
      }
      progress.add(1);
    }
    return colour;
  }

  ImageHeader header_of(std::uint64_t i) {
    std::optional<ImageHeader> header = image_header(store_->read(i, header_bytes));
    if (!header) header = image_header(store_->read(i, whole_file));
    if (header && header->size.height > 0 && header->size.width > 0) return *header;
    throw DataError(fmt::format(
        "{}: not a PNG, JPEG, PBM, PGM or PPM image that can be read; replace or remove it",
        store_->name(i)));
  }

  /// Decodes the image, too. @throws DataError if it is damaged anywhere.
  ImageHeader header_of_whole_image(std::uint64_t i) {
    const std::vector<std::uint8_t> bytes = store_->read(i, whole_file);
    decode_image(bytes, 3, store_->name(i));
    return image_header(bytes).value();
  }

  void check_size(std::uint64_t i, const ImageHeader& header) {
    if (images_.empty()) first_size_ = header.size;
    if (size_ ||
        (header.size.height == first_size_.height && header.size.width == first_size_.width)) {
      return;
    }
    throw DataError(
        fmt::format("images of mixed sizes: {} is {}x{}, {} is {}x{} (height x "
                    "width); bring them to one with --size HxW",
                    store_->name(images_.front()), first_size_.height, first_size_.width,
                    store_->name(i), header.size.height, header.size.width));
  }

  /// A class is a first folder: rows of one class follow each other, as paths are sorted.
  void find_classes() {
    for (std::uint64_t row = 0; row < rows_; ++row) {
      const std::string& path = store_->path(images_[row]);
      const std::size_t end = path.find('/');
      if (end == std::string::npos) {
        classes_.clear();
        return;
      }
      const std::string folder = path.substr(0, end);
      if (classes_.empty() || classes_.back().name != folder) classes_.push_back({folder, row});
    }
  }

  /// @param known  the classes of the training split, or none yet
  void label_by_class(const std::vector<std::string>& known) {
    if (classes_.empty()) {
      throw DataError(
          fmt::format("{}: not in a class folder; --class-folders takes the first "
                      "folder of every image as its class",
                      store_->name(images_.front())));
    }
    std::vector<std::string> names = known;
    if (known.empty()) {
      for (const ClassRows& rows : classes_) names.push_back(rows.name);
      std::ranges::sort(names);
      names.erase(std::unique(names.begin(), names.end()), names.end());
    }
    for (std::size_t i = 0; i < classes_.size(); ++i) {
      const auto found = std::ranges::find(names, classes_[i].name);
      if (found == names.end()) {
        throw DataError(fmt::format("{}: class folder '{}' is none of the training split's",
                                    store_->name(images_[classes_[i].first_row]),
                                    classes_[i].name));
      }
      const std::uint64_t end = i + 1 < classes_.size() ? classes_[i + 1].first_row : rows_;
      labels_.resize(end, found - names.begin());
    }
    class_names_ = std::move(names);
    has_labels_ = true;
  }

  void tell_what_was_changed() const {
    if (with_16_bits_ > 0) {
      log_info(fmt::format("{}: {} images have 16 bits a channel; 8 of them are kept",
                           store_->name(images_.front()), with_16_bits_));
    }
    if (turned_ > 0) {
      log_info(fmt::format("{}: {} images are turned upright, as their EXIF orientation says",
                           store_->name(images_.front()), turned_));
    }
  }

  std::unique_ptr<ImageStore> store_;
  std::optional<ImageSize> size_;
  ImageSize first_size_;
  std::vector<std::uint64_t> images_;  // of every row, its number in the store
  std::vector<std::int64_t> labels_;   // of every row, if wanted
  std::uint64_t with_16_bits_ = 0;
  std::uint64_t turned_ = 0;
  std::uint64_t done_ = 0;
};

}  // namespace

std::unique_ptr<SampleSource> make_image_source(std::unique_ptr<ImageStore> store,
                                                const SourceOptions& options) {
  return std::make_unique<ImageSource>(std::move(store), options);
}

}  // namespace relgrad
