#pragma once
/// The image files of a folder or an archive, by number.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace relgrad {

class ImageStore {
 public:
  virtual ~ImageStore() = default;
  virtual std::uint64_t count() const = 0;
  /// Of image i, within the folder or archive, '/' between its parts.
  virtual const std::string& path(std::uint64_t i) const = 0;
  virtual std::string name(std::uint64_t i) const = 0;  // for messages
  /// The first `most` bytes of file i. @throws DataError.
  virtual std::vector<std::uint8_t> read(std::uint64_t i, std::uint64_t most) = 0;
};

inline constexpr const char* image_extensions =
    ".png, .jpg, .jpeg, .jfif, .pgm, .ppm, .pbm or .pnm";

/// With its dot, in lower case; "" if there is none.
std::string lower_extension(const std::filesystem::path& path);
/// One of image_extensions in any case, not hidden.
bool is_image_name(const std::filesystem::path& path);
/// Folders of tools and systems, whose pictures are copies: .git, .ipynb_checkpoints, __MACOSX.
bool is_hidden_folder(const std::string& name);

/// Images below `folder`, in order of their paths. Links to files are followed; a folder is read
/// once, whatever links lead to it, and hidden ones are not. What is left out is logged.
/// @throws DataError naming a link that leads nowhere, or if there is no image.
std::unique_ptr<ImageStore> open_folder(const std::filesystem::path& folder);

/// Images in a tar (ustar, GNU, pax; plain or compressed) or zip archive, in order of their paths,
/// as unpacking it would leave them: links are the member they name, later members replace earlier
/// ones of the same path. Only a plain tar can be read at any place: the images of others are first
/// unpacked to a file in `scratch` that has no name.
/// @throws DataError naming a link that leads nowhere, or if there is no image; DiskError.
std::unique_ptr<ImageStore> open_archive(const std::filesystem::path& path,
                                         const std::filesystem::path& scratch);

}  // namespace relgrad
