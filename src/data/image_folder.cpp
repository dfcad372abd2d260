#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <fstream>

#include "data/image_store.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace fs = std::filesystem;

bool is_image_name(const fs::path& path) {
  const std::string file = path.filename().string();
  if (file.empty() || file.front() == '.') return false;
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  constexpr std::string_view known[] = {".png", ".jpg", ".jpeg", ".pgm", ".ppm"};
  return std::find(std::begin(known), std::end(known), extension) != std::end(known);
}

namespace {

class Folder final : public ImageStore {
 public:
  explicit Folder(const fs::path& folder) : folder_(folder) {
    std::error_code error;
    fs::recursive_directory_iterator it(folder, fs::directory_options::follow_directory_symlink,
                                        error);
    for (const fs::recursive_directory_iterator end; !error && it != end; it.increment(error)) {
      const fs::path& path = it->path();
      // Names relative to the folder: a third of the memory for millions of files.
      if (is_image_name(path) && it->is_regular_file()) {
        names_.push_back(path.lexically_relative(folder).generic_string());
      }
    }
    if (error) {
      throw DataError(fmt::format("{}: cannot list: {}", folder.string(), error.message()));
    }
    if (names_.empty()) {
      throw DataError(
          fmt::format("{}: no images in this folder; expected .png, .jpg, .jpeg, .pgm "
                      "or .ppm files in it or below",
                      folder.string()));
    }
    std::sort(names_.begin(), names_.end());
  }

  std::uint64_t count() const override { return names_.size(); }
  std::string name(std::uint64_t i) const override { return (folder_ / names_[i]).string(); }

  std::vector<std::uint8_t> read(std::uint64_t i, std::uint64_t most) override {
    std::error_code error;
    const std::uintmax_t size = fs::file_size(folder_ / names_[i], error);
    std::ifstream file(folder_ / names_[i], std::ios::binary);
    std::vector<std::uint8_t> bytes(error ? 0 : std::min<std::uint64_t>(size, most));
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (error || !file) {
      throw DataError(fmt::format("{}: cannot read{}", name(i),
                                  error ? ": " + error.message() : std::string()));
    }
    return bytes;
  }

 private:
  fs::path folder_;
  std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<ImageStore> open_folder(const fs::path& folder) {
  return std::make_unique<Folder>(folder);
}

}  // namespace relgrad
