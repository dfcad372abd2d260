#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <set>
#include <system_error>
#include <utility>

#include "data/image_store.hpp"
#include "data/interrupt_guard.hpp"
#include "data/left_out.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace fs = std::filesystem;

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension;
}

bool is_image_name(const fs::path& path) {
  const std::string file = path.filename().string();
  if (file.empty() || file.front() == '.') return false;
  constexpr std::string_view known[] = {".png", ".jpg", ".jpeg", ".jpe", ".jfif",
                                        ".pgm", ".ppm", ".pbm",  ".pnm"};
  return std::find(std::begin(known), std::end(known), lower_extension(path)) != std::end(known);
}

bool is_hidden_folder(const std::string& name) {
  return name.starts_with('.') || name == "__MACOSX" || name == "@eaDir";
}

namespace {

/// Lists the images below a folder.
class Walk {
 public:
  explicit Walk(fs::path root) : root_(std::move(root)) {
    visit(root_);
    // Links to folders come last: what they lead to keeps its own path where it has one here.
    while (!links_.empty()) {
      std::vector<fs::path> links = std::exchange(links_, {});
      std::ranges::sort(links);
      for (const fs::path& link : links) follow(link);
    }
    std::ranges::sort(names_);
  }

  std::vector<std::string> take_names() { return std::move(names_); }
  const LeftOut& left_out() const { return left_out_; }

 private:
  [[noreturn]] static void refuse(const fs::path& path, const std::error_code& error) {
    throw DataError(fmt::format("{}: cannot read: {}", path.string(), error.message()));
  }

  /// False if this folder was seen before, under whatever name.
  bool is_new(const fs::path& folder) {
    struct stat status = {};
    if (::stat(folder.c_str(), &status) != 0) {
      refuse(folder, std::error_code(errno, std::generic_category()));
    }
    return seen_.emplace(status.st_dev, status.st_ino).second;
  }

  void visit(const fs::path& top) {
    std::vector<fs::path> folders{top};
    while (!folders.empty()) {
      InterruptGuard::check();
      const fs::path folder = std::move(folders.back());
      folders.pop_back();
      if (!is_new(folder)) continue;
      std::error_code error;
      fs::directory_iterator entry(folder, error);
      for (const fs::directory_iterator end; !error && entry != end; entry.increment(error)) {
        take(*entry, folders);
      }
      if (error) {
        throw DataError(fmt::format("{}: cannot list: {}", folder.string(), error.message()));
      }
    }
  }

  void take(const fs::directory_entry& entry, std::vector<fs::path>& folders) {
    const fs::path& path = entry.path();
    std::error_code error;
    const fs::file_type type = entry.symlink_status(error).type();
    if (error) refuse(path, error);
    if (type == fs::file_type::directory) {
      take_folder(path, folders);
    } else if (type == fs::file_type::symlink) {
      take_link(path);
    } else if (type == fs::file_type::regular) {
      take_file(path);
    } else {
      left_out_.add_other("pipe, socket or device file");
    }
  }

  void take_folder(const fs::path& path, std::vector<fs::path>& folders) {
    if (is_hidden_folder(path.filename().string())) {
      left_out_.add_other("hidden folder");
    } else {
      folders.push_back(path);
    }
  }

  void take_file(const fs::path& path) {
    // Names relative to the folder: a third of the memory for millions of files.
    if (is_image_name(path)) {
      names_.push_back(path.lexically_relative(root_).generic_string());
    } else {
      left_out_.add_file(path);
    }
  }

  void take_link(const fs::path& path) {
    if (is_hidden_folder(path.filename().string())) return left_out_.add_file(path);
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (fs::is_regular_file(status)) return take_file(path);
    if (fs::is_directory(status)) return links_.push_back(path);
    if (!is_image_name(path)) return left_out_.add_other("link", " that leads nowhere");
    const std::string reason = error && error != std::errc::no_such_file_or_directory
                                   ? error.message()
                               : fs::exists(status) ? "it is no file"
                                                    : "it leads nowhere";
    throw DataError(fmt::format(
        "{}: a link that cannot be read: {}; fetch the file that it names, or remove the link",
        path.string(), reason));
  }

  /// Reads the folder that a link leads to, unless it is read already or holds the root.
  void follow(const fs::path& link) {
    std::error_code error;
    const fs::path target = fs::canonical(link, error);
    if (error) refuse(link, error);
    const fs::path root = fs::canonical(root_, error);
    if (error) refuse(root_, error);
    const auto [end_of_target, rest] =
        std::mismatch(target.begin(), target.end(), root.begin(), root.end());
    const bool holds_root = end_of_target == target.end();
    struct stat status = {};
    if (::stat(target.c_str(), &status) != 0) {
      refuse(link, std::error_code(errno, std::generic_category()));
    }
    if (holds_root || seen_.contains({status.st_dev, status.st_ino})) {
      left_out_.add_other("link", " to a folder that is read already");
    } else {
      visit(link);
    }
  }

  fs::path root_;
  std::vector<std::string> names_;
  std::vector<fs::path> links_;  // to folders, not followed yet
  std::set<std::pair<dev_t, ino_t>> seen_;
  LeftOut left_out_;
};

class Folder final : public ImageStore {
 public:
  explicit Folder(const fs::path& folder) : folder_(folder) {
    Walk walk(folder);
    names_ = walk.take_names();
    walk.left_out().report(folder.string());
    if (names_.empty()) {
      throw DataError(fmt::format("{}: no images in this folder; expected {} files in it or below",
                                  folder.string(), image_extensions));
    }
  }

  std::uint64_t count() const override { return names_.size(); }
  const std::string& path(std::uint64_t i) const override { return names_[i]; }
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
