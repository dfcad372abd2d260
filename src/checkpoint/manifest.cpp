#include "checkpoint/manifest.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <map>

#include "core/build_info.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/files.hpp"
#include "relgrad/core/json.hpp"

namespace relgrad::checkpoint {
namespace {

using nlohmann::json;

/// Checksum over the canonical text: compact, keys sorted, without the checksum itself. Parsed once
/// more first, so that what the text cannot hold (NaN, wrong UTF-8) counts as what it becomes.
std::string checksum_of(json manifest) {
  manifest.erase("manifest_checksum");
  const std::string text = json_text(json::parse(json_text(manifest)));
  return hash_text(XXH3_64bits(text.data(), text.size()));
}

void check_format(const json& manifest, const std::string& path) {
  const auto format = manifest.is_object() ? manifest.find("format_version") : manifest.end();
  if (!manifest.is_object() || format == manifest.end() || !format->is_number_integer())
    throw CheckpointError(path + ": holds no format_version: it is not a manifest of relgrad");
  if (format->get<std::int64_t>() > format_version)
    throw CheckpointError(fmt::format(
        "{}: format {} is newer than this program reads (format {}). Use a newer relgrad.", path,
        format->get<std::int64_t>(), format_version));
}

/// What readers rely on, checked once: every name they look up is there with its type.
void check_structure(const json& manifest) {
  manifest.at("step").get<std::int64_t>();
  manifest.at("ordinal").get<std::int64_t>();
  static_cast<void>(manifest.at("state"));
  for (const json& file : manifest.at("files")) {
    const std::filesystem::path name = file.at("name").get<std::string>();
    if (name.empty() || name != name.filename())
      throw CheckpointError("file name " + name.string() + " leads out of the checkpoint");
    file.at("bytes").get<std::uint64_t>();
    file.at("checksum").get<std::string>();
  }
  for (const json& tensor : manifest.at("tensors")) {
    tensor.at("name").get<std::string>();
    tensor.at("type").get<std::string>();
    tensor.at("hash").get<std::string>();
    tensor.at("shape").at(1).get<Index>();
    for (const json& block : tensor.at("blocks")) {
      const std::filesystem::path name = block.at("file").get<std::string>();
      if (name != name.filename())
        throw CheckpointError("file name " + name.string() + " leads out of the checkpoint");
      block.at("offset").get<std::uint64_t>();
      block.at("col_begin").get<Index>();
      block.at("col_end").get<Index>();
    }
  }
}

}  // namespace

std::string hash_text(std::uint64_t hash) { return fmt::format("xxh3:{:016x}", hash); }

std::string report_of(const ShardJob& job, const ShardWritten& written) {
  json report = {
      {"bytes", written.bytes}, {"checksum", written.checksum}, {"pieces", json::array()}};
  for (std::size_t i = 0; i < job.pieces.size(); ++i) {
    report["pieces"].push_back({{"offset", job.pieces[i].offset}, {"hash", written.hashes[i]}});
  }
  return report.dump();
}

json make_manifest(const Plan& plan, const std::vector<std::string>& reports, std::int64_t step,
                   std::int64_t ordinal, const json& state) {
  std::vector<std::uint64_t> hashes(plan.tensors.size(), 0);
  std::vector<json> blocks(plan.tensors.size(), json::array());
  json files = json::array();
  for (std::size_t rank = 0; rank < plan.of_rank.size(); ++rank) {
    if (plan.of_rank[rank].empty()) continue;
    const json report = json::parse(reports[rank]);
    const std::string file = plan.shard_of(static_cast<int>(rank));
    files.push_back(
        {{"name", file}, {"bytes", report.at("bytes")}, {"checksum", report.at("checksum")}});
    for (std::size_t i = 0; i < plan.of_rank[rank].size(); ++i) {
      const PlannedBlock& block = plan.of_rank[rank][i];
      const json& piece = report.at("pieces").at(i);
      hashes[block.tensor] += piece.at("hash").get<std::uint64_t>();
      blocks[block.tensor].push_back({{"file", file},
                                      {"offset", piece.at("offset")},
                                      {"col_begin", block.col_begin},
                                      {"col_end", block.col_end}});
    }
  }
  json tensors = json::array();
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const Tensor& tensor = plan.tensors[i];
    tensors.push_back({{"name", tensor.name},
                       {"type", name_of(tensor.type)},
                       {"shape", {tensor.rows, tensor.cols}},
                       {"hash", hash_text(hashes[i])},
                       {"blocks", blocks[i]}});
  }
  return {{"format_version", format_version},
          {"relgrad_version", build_info().version},
          {"step", step},
          {"ordinal", ordinal},
          {"ranks", plan.of_rank.size()},
          {"state", state},
          {"tensors", tensors},
          {"files", files}};
}

std::string sealed(const json& manifest) {
  json complete = manifest;
  complete["manifest_checksum"] = checksum_of(manifest);
  return json_text(complete, 1) + "\n";
}

json read_manifest(const std::filesystem::path& path) {
  try {
    const json manifest = parse_json(read_file(path));
    check_format(manifest, path.string());
    if (manifest.value("manifest_checksum", "") != checksum_of(manifest))
      throw CheckpointError(path.string() + ": its checksum does not hold: it is damaged");
    check_structure(manifest);
    return manifest;
  } catch (const DataError& error) {
    throw CheckpointError(error.what());
  } catch (const json::exception& error) {
    throw CheckpointError(fmt::format("{}: cannot be read: {}", path.string(), error.what()));
  }
}

const json& tensor_entry(const Found& checkpoint, const std::string& name) {
  std::string names;
  for (const json& tensor : checkpoint.manifest.at("tensors")) {
    if (tensor.at("name") == name) return tensor;
    names += (names.empty() ? "" : ", ") + tensor.at("name").get<std::string>();
  }
  throw CheckpointError(
      fmt::format("{}: holds no {}; it holds {}. It is of another model or made "
                  "with other options.",
                  checkpoint.directory.string(), name, names.empty() ? "nothing" : names));
}

}  // namespace relgrad::checkpoint
