#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "data/archive_reader.hpp"
#include "data/scratch_file.hpp"
#include "data/unpack.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

struct Member {
  std::string name;  // without ".npy"
  std::uint64_t number;
};

std::vector<Member> arrays_of(const fs::path& path) {
  std::vector<Member> found;
  ArchiveReader reader(path);
  while (const std::optional<ArchiveMember> member = reader.next()) {
    if (member->kind != ArchiveMember::Kind::file || !member->path.ends_with(".npy")) continue;
    found.push_back({member->path.substr(0, member->path.size() - 4), member->number});
  }
  return found;
}

/// @throws DataError with the names there are.
Member choose(const fs::path& path, const std::string& wanted) {
  const std::vector<Member> all = arrays_of(path);
  if (all.empty()) {
    throw DataError(path.string() + ": no .npy files in it; write it with numpy.savez");
  }
  std::vector<Member> fitting;
  std::ranges::copy_if(all, std::back_inserter(fitting), [&](const Member& member) {
    return wanted.empty() || member.name == wanted;
  });
  if (fitting.size() == 1) return fitting.front();
  if (fitting.size() > 1 && !wanted.empty()) {
    throw DataError(
        fmt::format("{}: holds '{}' {} times; keep one", path.string(), wanted, fitting.size()));
  }
  std::vector<std::string> names;
  for (const Member& member : all) names.push_back(member.name);
  constexpr std::size_t most_named = 20;
  const bool has_more = names.size() > most_named;
  names.resize(std::min(names.size(), most_named));
  throw DataError(fmt::format(
      "{}: {}; it holds {}{}: name one as in {}:{}", path.string(),
      wanted.empty() ? fmt::format("{} arrays", all.size()) : fmt::format("no array '{}'", wanted),
      fmt::join(names, ", "), has_more ? ", ..." : "", path.filename().string(), names.front()));
}

}  // namespace

std::unique_ptr<InputFile> unpack_npz(const fs::path& path, const std::string& member,
                                      const fs::path& scratch) {
  const Member chosen = choose(path, member);
  ScratchFile content(scratch);
  ArchiveReader reader(path);
  for (auto next = reader.next(); next && next->number != chosen.number; next = reader.next())
    continue;
  constexpr std::uint64_t piece_bytes = std::uint64_t{1} << 22U;
  for (std::uint64_t got = piece_bytes; got == piece_bytes;) {
    const std::vector<std::uint8_t> piece = reader.read(piece_bytes);
    content.append(piece);
    got = piece.size();
  }
  return std::make_unique<InputFile>(content, fmt::format("{}:{}", path.string(), chosen.name));
}

}  // namespace relgrad
