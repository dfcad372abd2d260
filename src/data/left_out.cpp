#include "data/left_out.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <utility>
#include <vector>

#include "data/image_store.hpp"
#include "relgrad/core/log.hpp"

namespace relgrad {

namespace {

/// "10 .webp, 6 .tif, 4 hidden": the most frequent first, at most eight.
std::string list_of(const std::map<std::string, std::uint64_t>& counts) {
  std::vector<std::pair<std::string, std::uint64_t>> sorted(counts.begin(), counts.end());
  std::ranges::stable_sort(sorted, std::greater<>(),
                           &std::pair<std::string, std::uint64_t>::second);
  std::vector<std::string> words;
  for (const auto& [what, count] : sorted) {
    if (words.size() == 8) {
      words.emplace_back("...");
      break;
    }
    words.push_back(fmt::format("{} {}", count, what));
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

/// "3 hidden folders, 1 link that leads nowhere"
std::string list_of(const std::map<std::pair<std::string, std::string>, std::uint64_t>& counts) {
  std::vector<std::string> words;
  for (const auto& [what, count] : counts) {
    const auto& [noun, rest] = what;
    words.push_back(fmt::format("{} {}{}{}", count, noun, count > 1 ? "s" : "", rest));
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

bool is_image_of_another_kind(const std::string& extension) {
  constexpr std::string_view kinds[] = {".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic",
                                        ".avif", ".jp2", ".jxl",  ".pam", ".pfm", ".tga"};
  return std::find(std::begin(kinds), std::end(kinds), extension) != std::end(kinds);
}

}  // namespace

void LeftOut::add_file(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const std::string extension = lower_extension(path);
  const bool is_hidden = name.starts_with('.');
  ++files_[is_hidden ? "hidden" : extension.empty() ? "without extension" : extension];
}

void LeftOut::report(const std::string& where) const {
  std::uint64_t files = 0;
  bool has_images = false;
  for (const auto& [kind, count] : files_) {
    files += count;
    has_images = has_images || is_image_of_another_kind(kind);
  }
  std::vector<std::string> parts;
  if (files > 0) {
    parts.push_back(
        fmt::format("{} {} left out: {}", files, files == 1 ? "file" : "files", list_of(files_)));
  }
  if (!others_.empty()) {
    parts.push_back((files > 0 ? "and " : "left out: ") + list_of(others_));
  }
  if (parts.empty()) return;
  const std::string line = fmt::format("{}: {}", where, fmt::join(parts, "; "));
  if (has_images) {
    log_warning(line + " (convert images to PNG to take them in)");
  } else {
    log_info(line);
  }
}

}  // namespace relgrad
