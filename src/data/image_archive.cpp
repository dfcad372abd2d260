#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "data/archive_reader.hpp"
#include "data/image_store.hpp"
#include "data/interrupt_guard.hpp"
#include "data/left_out.hpp"
#include "data/scratch_file.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t largest_image = std::uint64_t{1} << 30U;  // bytes of a file

/// Without "./", "a/.." and a slash at either end.
std::string tidy_path(const std::string& path) {
  std::string tidy = fs::path(path).lexically_normal().relative_path().generic_string();
  while (tidy.ends_with('/')) tidy.pop_back();
  return tidy == "." ? "" : tidy;
}

bool is_in_hidden_folder(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  return std::ranges::any_of(
      folder, [](const fs::path& part) { return part != ".." && is_hidden_folder(part.string()); });
}

/// The member that holds the bytes of a file.
struct Source {
  std::uint64_t number = 0;
  std::uint64_t position = 0;
};

/// The files that unpacking an archive would leave, by path.
class Contents {
 public:
  struct Node {
    ArchiveMember::Kind kind = ArchiveMember::Kind::other;
    Source source;     // of a file, or of the file that a hard link is
    std::string link;  // of a symbolic link
  };

  explicit Contents(ArchiveReader& reader, std::string archive) : archive_(std::move(archive)) {
    while (std::optional<ArchiveMember> member = reader.next()) add(*member);
  }

  const std::map<std::string, Node>& nodes() const { return nodes_; }

  /// The file at `path`, through symbolic links; nothing if there is none.
  std::optional<Source> find(std::string path) const {
    constexpr int most_links = 40;  // as Linux
    for (int links = 0; links < most_links; ++links) {
      const auto found = nodes_.find(path);
      if (found != nodes_.end() && found->second.kind == ArchiveMember::Kind::file) {
        return found->second.source;
      }
      const std::optional<std::string> next = follow_first_link(path);
      if (!next) return std::nullopt;
      path = *next;
    }
    return std::nullopt;
  }

 private:
  void add(const ArchiveMember& member) {
    const std::string path = tidy_path(member.path);
    if (path.empty()) return;
    Node node{member.kind, {member.number, member.position}, member.link};
    if (member.kind == ArchiveMember::Kind::hard_link) {
      // Unpacking joins it to the file of now; a later member of that path would not change it.
      const std::optional<Source> source = find(tidy_path(member.link));
      if (!source && is_image_name(path)) {
        throw DataError(
            fmt::format("{}: {} is a hard link to {}, which does not come before it: "
                        "part of another archive?",
                        archive_, path, member.link));
      }
      node = {source ? ArchiveMember::Kind::file : ArchiveMember::Kind::other,
              source.value_or(Source{}), ""};
    }
    nodes_[path] = node;
  }

  /// `path` with its first part that is a symbolic link replaced by what that names.
  std::optional<std::string> follow_first_link(const std::string& path) const {
    for (std::size_t end = path.find('/'); true; end = path.find('/', end + 1)) {
      const std::string front = path.substr(0, end);
      const auto found = nodes_.find(front);
      if (found != nodes_.end() && found->second.kind == ArchiveMember::Kind::symbolic_link) {
        const fs::path target = fs::path(front).parent_path() / found->second.link;
        const std::string rest = end == std::string::npos ? "" : path.substr(end);
        if (fs::path(found->second.link).is_absolute()) return std::nullopt;
        return tidy_path(target.generic_string() + rest);
      }
      if (end == std::string::npos) return std::nullopt;
    }
  }

  std::string archive_;
  std::map<std::string, Node> nodes_;
};

class Archive final : public ImageStore {
 public:
  Archive(const fs::path& path, const fs::path& scratch) : archive_(path) {
    bool is_plain_tar = false;
    {
      ArchiveReader reader(path);
      const Contents contents(reader, path.string());
      is_plain_tar = reader.is_plain_tar();
      choose_images(contents);
    }
    if (images_.empty()) {
      throw DataError(fmt::format("{}: no images in this archive; expected {} files", path.string(),
                                  image_extensions));
    }
    if (!is_plain_tar) unpack(scratch);
  }

  std::uint64_t count() const override { return images_.size(); }
  const std::string& path(std::uint64_t i) const override { return images_[i].path; }
  std::string name(std::uint64_t i) const override {
    return fmt::format("{}: {}", archive_.string(), images_[i].path);
  }

  std::vector<std::uint8_t> read(std::uint64_t i, std::uint64_t most) override {
    const Source source = images_[i].source;
    if (unpacked_) {
      const auto [offset, size] = places_.at(source.number);
      std::vector<std::uint8_t> bytes(std::min(size, most));
      unpacked_->read_at(offset, bytes);
      return bytes;
    }
    ArchiveReader reader(archive_, source.position);
    if (!reader.next()) throw DataError(name(i) + ": cannot be read again");
    return reader.read(std::min(most, largest_image));
  }

 private:
  struct Image {
    std::string path;
    Source source;
  };
  struct Place {
    std::uint64_t offset;
    std::uint64_t bytes;
  };

  void choose_images(const Contents& contents) {
    LeftOut left_out;
    for (const auto& [path, node] : contents.nodes()) {  // in order of their paths
      if (node.kind == ArchiveMember::Kind::folder) continue;
      if (is_in_hidden_folder(path)) {
        left_out.add_other("file", " in hidden folders");
        continue;
      }
      if (!is_image_name(path)) {
        if (node.kind == ArchiveMember::Kind::file) left_out.add_file(path);
        if (node.kind == ArchiveMember::Kind::symbolic_link) left_out.add_other("link");
        continue;
      }
      const std::optional<Source> source = contents.find(path);
      if (!source) {
        throw DataError(fmt::format(
            "{}: {} is {}; fetch what it names, or leave it out of the archive", archive_.string(),
            path,
            node.kind == ArchiveMember::Kind::symbolic_link
                ? fmt::format("a link to {}, which the archive does not hold", node.link)
                : "neither a file nor a link"));
      }
      images_.push_back({path, *source});
    }
    left_out.report(archive_.string());
  }

  /// Copies the images to a file that can be read at any place; one pass.
  void unpack(const fs::path& scratch) {
    log_info(fmt::format("{}: unpacking {} images to {}", archive_.string(), images_.size(),
                         scratch.string()));
    for (const Image& image : images_) places_[image.source.number] = {0, 0};
    unpacked_ = std::make_unique<ScratchFile>(scratch);
    ArchiveReader reader(archive_);
    while (const std::optional<ArchiveMember> member = reader.next()) {
      const auto place = places_.find(member->number);
      if (place == places_.end()) continue;
      place->second.offset = unpacked_->size();
      const std::vector<std::uint8_t> bytes = reader.read(largest_image);
      unpacked_->append(bytes);
      place->second.bytes = bytes.size();
    }
  }

  fs::path archive_;
  std::vector<Image> images_;
  std::map<std::uint64_t, Place> places_;  // by number of the member; where it was unpacked to
  std::unique_ptr<ScratchFile> unpacked_;
};

}  // namespace

std::unique_ptr<ImageStore> open_archive(const fs::path& path, const fs::path& scratch) {
  return std::make_unique<Archive>(path, scratch);
}

}  // namespace relgrad
