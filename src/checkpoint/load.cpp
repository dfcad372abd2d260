#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "checkpoint/manifest.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/json.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad::checkpoint {
namespace {

using nlohmann::json;

TensorType type_of(const json& entry) {
  const auto name = entry.at("type").get<std::string>();
  for (const TensorType type : {TensorType::float32, TensorType::float64}) {
    if (name == name_of(type)) return type;
  }
  throw CheckpointError("element type '" + name + "' is not known. Use a newer relgrad.");
}

Tensor tensor_of(const json& entry) {
  return {entry.at("name"), type_of(entry), entry.at("shape").at(0), entry.at("shape").at(1)};
}

/// The shards of a checkpoint, opened as they are needed.
class Reader {
 public:
  explicit Reader(const Found& checkpoint) : checkpoint_(checkpoint) {}

  /// Columns [col_begin, col_end) of the tensor, as they lie on disk.
  void read(const json& entry, Index col_begin, Index col_end, void* to) {
    const std::uint64_t column_bytes = tensor_of(entry).column_bytes();
    Index found = 0;
    for (const json& block : entry.at("blocks")) {
      const auto block_begin = block.at("col_begin").get<Index>();
      const Index begin = std::max(col_begin, block_begin);
      const Index end = std::min(col_end, block.at("col_end").get<Index>());
      if (begin >= end) continue;
      const auto columns = [&](Index from, Index until) {
        return static_cast<std::uint64_t>(until - from) * column_bytes;
      };
      file(block.at("file"))
          .read_at(block.at("offset").get<std::uint64_t>() + columns(block_begin, begin),
                   static_cast<std::byte*>(to) + columns(col_begin, begin), columns(begin, end));
      found += end - begin;
    }
    if (found != col_end - col_begin)
      throw CheckpointError(fmt::format("{}: {} of the columns [{}, {}) of {} are there",
                                        checkpoint_.directory.string(), found, col_begin, col_end,
                                        entry.at("name").get<std::string>()));
  }

 private:
  const hdf5::RawFile& file(const std::string& name) {
    const auto open = files_.find(name);
    if (open != files_.end()) return open->second;
    return files_
        .emplace(name, hdf5::RawFile(checkpoint_.directory / name, hdf5::RawFile::Mode::read))
        .first->second;
  }

  const Found& checkpoint_;
  std::map<std::string, hdf5::RawFile> files_;
};

void check_block(const Found& checkpoint, const MutableBlock& block) {
  const json& entry = tensor_entry(checkpoint, block.name);
  const Tensor saved = tensor_of(entry);
  if (saved.rows != block.rows || saved.cols != block.cols)
    throw CheckpointError(fmt::format(
        "{}: {} is {} x {} in the checkpoint, {} x {} here: it is of another model. Resume with "
        "the "
        "data and the options it was made with.",
        checkpoint.directory.string(), block.name, saved.rows, saved.cols, block.rows, block.cols));
  if (saved.type != block.type)
    throw CheckpointError(
        fmt::format("{}: {} is {} in the checkpoint, {} here. Use --precision {}.",
                    checkpoint.directory.string(), block.name, name_of(saved.type),
                    name_of(block.type), name_of(saved.type)));
}

std::optional<std::string> file_problem(const Found& checkpoint, const json& entry) {
  const auto path = checkpoint.directory / entry.at("name").get<std::string>();
  const auto expected = entry.at("checksum").get<std::string>();
  try {
    const std::string checksum = hdf5::checksum_of_file(path);
    if (checksum == expected) return std::nullopt;
    return fmt::format("{}: its checksum is {}, the manifest says {}: it is damaged", path.string(),
                       checksum, expected);
  } catch (const DataError& error) {
    return error.what();
  }
}

/// Every file of the checkpoint is checked by one rank.
void check_files(const mpi::Communicator& comm, const Found& checkpoint) {
  int turn = 0;
  for (const json& entry : checkpoint.manifest.at("files")) {
    if (turn++ % comm.world_size() != comm.rank()) continue;
    if (const auto problem = file_problem(checkpoint, entry)) throw CheckpointError(*problem);
  }
}

void fill(const Found& checkpoint, const std::vector<MutableBlock>& blocks) {
  for (const MutableBlock& block : blocks) check_block(checkpoint, block);
  Reader reader(checkpoint);
  for (const MutableBlock& block : blocks) {
    reader.read(tensor_entry(checkpoint, block.name), block.col_begin, block.col_end, block.data);
  }
}

std::string hashes_of(const std::vector<MutableBlock>& blocks) {
  json table = json::array();
  for (const MutableBlock& block : blocks) {
    const std::uint64_t column_bytes =
        static_cast<std::uint64_t>(block.rows) * bytes_of(block.type);
    table.push_back(
        {{"name", block.name},
         {"begin", block.col_begin},
         {"end", block.col_end},
         {"hash", hash_of_columns(block.data, column_bytes, block.col_begin, block.col_end)}});
  }
  return table.dump();
}

/// What the ranks now hold, against each other and against the manifest: equal ranges must have
/// equal hashes, and where the ranges of a tensor tile it their sum must be its hash.
void compare_hashes(const Found& checkpoint, const std::vector<std::string>& tables) {
  using Range = std::pair<Index, Index>;
  std::map<std::string, std::map<Range, std::uint64_t>> held;
  for (std::size_t rank = 0; rank < tables.size(); ++rank) {
    for (const json& block : json::parse(tables[rank])) {
      const Range range{block.at("begin"), block.at("end")};
      if (range.first == range.second) continue;
      const std::string name = block.at("name");
      const auto hash = block.at("hash").get<std::uint64_t>();
      if (held[name].try_emplace(range, hash).first->second != hash)
        throw CheckpointError(
            fmt::format("{}: {} differs on rank {} after loading: its disk or "
                        "memory is unreliable",
                        checkpoint.directory.string(), name, rank));
    }
  }
  for (const auto& [name, ranges] : held) {
    const json& entry = tensor_entry(checkpoint, name);
    Index covered = 0;
    std::uint64_t sum = 0;
    bool tiles = true;
    for (const auto& [range, hash] : ranges) {
      tiles = tiles && range.first == covered;
      covered = range.second;
      sum += hash;
    }
    if (tiles && covered == entry.at("shape").at(1).get<Index>() &&
        entry.at("hash") != hash_text(sum))
      throw CheckpointError(
          fmt::format("{}: the hash of {} after loading is {}, the manifest says "
                      "{}: it is damaged",
                      checkpoint.directory.string(), name, hash_text(sum),
                      entry.at("hash").get<std::string>()));
  }
}

/// Rank 0's finding on every rank: no rank goes by what it saw itself.
Found found_by_root(const mpi::Communicator& comm, const Found& checkpoint) {
  return {comm.broadcast_string(checkpoint.directory.string()),
          json::parse(comm.broadcast_string(json_text(checkpoint.manifest)))};
}

/// The tensor's columns as doubles, checked against its hash.
template <class T>
Matrix<double> whole_tensor(const Found& checkpoint, const json& entry) {
  const Tensor tensor = tensor_of(entry);
  Matrix<T> values(tensor.rows, tensor.cols);
  Reader(checkpoint).read(entry, 0, tensor.cols, values.data());
  const std::string hash =
      hash_text(hash_of_columns(values.data(), tensor.column_bytes(), 0, tensor.cols));
  if (entry.at("hash") != hash)
    throw CheckpointError(fmt::format(
        "{}: the hash of {} is {}, the manifest says {}: it is damaged",
        checkpoint.directory.string(), tensor.name, hash, entry.at("hash").get<std::string>()));
  return values.template cast<double>();
}

/// What HDF5 readers see must be what the manifest describes.
void compare_with_hdf5(const Found& checkpoint, const std::string& file,
                       std::vector<std::string>& problems) {
  const auto path = checkpoint.directory / file;
  try {
    const auto datasets = hdf5::contents(path);
    for (const json& entry : checkpoint.manifest.at("tensors")) {
      for (const json& block : entry.at("blocks")) {
        if (block.at("file") != file) continue;
        const auto dataset = datasets.find(fmt::format("/{}", entry.at("name").get<std::string>()));
        if (dataset == datasets.end() || dataset->second.place.offset != block.at("offset") ||
            hdf5::name_of(dataset->second.type) != entry.at("type").get<std::string>())
          problems.push_back(fmt::format("{}: {} is not where the manifest says", path.string(),
                                         entry.at("name").get<std::string>()));
      }
    }
  } catch (const Error& error) {
    problems.emplace_back(error.what());
  }
}

}  // namespace

void load(const mpi::Communicator& comm, const Found& checkpoint,
          const std::vector<MutableBlock>& blocks) {
  const Found agreed = found_by_root(comm, checkpoint);
  try {
    mpi::together(comm, [&] { fill(agreed, blocks); });
    mpi::together(comm, [&] { check_files(comm, agreed); });
    compare_hashes(agreed, comm.allgather_strings(hashes_of(blocks)));
  } catch (const Error& error) {  // agreed: the same on every rank
    throw CheckpointError(error.what());
  }
}

Matrix<double> read_tensor(const Found& checkpoint, const std::string& name) {
  const json& entry = tensor_entry(checkpoint, name);
  try {
    return type_of(entry) == TensorType::float32 ? whole_tensor<float>(checkpoint, entry)
                                                 : whole_tensor<double>(checkpoint, entry);
  } catch (const DataError& error) {
    throw CheckpointError(error.what());
  }
}

std::vector<std::string> verify(const Found& checkpoint) {
  std::vector<std::string> problems;
  Found again{checkpoint.directory, {}};
  try {
    again.manifest = read_manifest(checkpoint.directory / "manifest.json");
  } catch (const CheckpointError& error) {
    return {error.what()};
  }
  std::vector<std::string> expected = {"manifest.json"};
  for (const json& entry : again.manifest.at("files")) {
    expected.push_back(entry.at("name"));
    const auto problem = file_problem(again, entry);
    if (problem) problems.push_back(*problem);
    if (!problem) compare_with_hdf5(again, entry.at("name"), problems);
  }
  for (const json& entry : again.manifest.at("tensors")) {
    const auto trouble = mpi::trouble_in([&] { read_tensor(again, entry.at("name")); });
    if (trouble) problems.emplace_back(trouble->what());
  }
  std::error_code error;
  for (std::filesystem::directory_iterator entry(checkpoint.directory, error), end;
       !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (std::ranges::find(expected, name) == expected.end())
      problems.push_back(entry->path().string() + ": is not part of the checkpoint");
  }
  return problems;
}

}  // namespace relgrad::checkpoint
