#pragma once
/// The image files of a folder or a tar archive, by number.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace relgrad {

class ImageStore {
 public:
  virtual ~ImageStore() = default;
  virtual std::uint64_t count() const = 0;
  virtual std::string name(std::uint64_t i) const = 0;  // for messages
  /// The first `most` bytes of file i. @throws DataError.
  virtual std::vector<std::uint8_t> read(std::uint64_t i, std::uint64_t most) = 0;
};

/// .png, .jpg, .jpeg, .pgm, .ppm in any case, not hidden.
bool is_image_name(const std::filesystem::path& path);

/// Images below `folder`, in order of their paths. @throws DataError if there is none.
std::unique_ptr<ImageStore> open_folder(const std::filesystem::path& folder);
/// Images in a ustar, GNU or pax archive: in order of their paths; in the archive's order if it is
/// compressed, because it can then only be read forwards. @throws DataError if there is none.
std::unique_ptr<ImageStore> open_tar(const std::filesystem::path& path);

}  // namespace relgrad
