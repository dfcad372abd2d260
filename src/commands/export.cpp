#include "commands/export.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "commands/weight_files.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/files.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/model/model_line.hpp"
#include "run/checkpoint_choice.hpp"
#include "start/model.hpp"

namespace relgrad {

namespace {

namespace fs = std::filesystem;

/// What a reader needs beside the arrays. JSON with escapes is ASCII.
Texts texts_of(const checkpoint::Found& found) {
  const nlohmann::json& manifest = found.manifest;
  const auto ascii = [](const nlohmann::json& value) {
    return value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  };
  return {{"model", model_line(flow_spec_of(found).layers)},
          {"description", ascii(manifest.at("state").at("model"))},
          {"step", fmt::format("{}", manifest.at("step").get<std::int64_t>())},
          {"relgrad_version", manifest.at("relgrad_version").get<std::string>()}};
}

}  // namespace

int export_weights(const ExportOptions& options) {
  const fs::path output = options.output;
  const bool is_npz = output.extension() == ".npz";
  if (!is_npz && output.extension() != ".safetensors") {
    throw UsageError(
        fmt::format("--output: {} ends neither in .safetensors nor in .npz", options.output));
  }
  NewFile file(output, "--output");
  const bool is_checkpoint = fs::exists(fs::path(options.model) / "manifest.json");
  const checkpoint::Found found =
      find_checkpoint(is_checkpoint ? "" : options.model, is_checkpoint ? options.model : "");
  const std::vector<ExportedTensor> tensors = exported_tensors(found);
  write_file(file.temporary(), "");
  (is_npz ? write_npz : write_safetensors)(file.temporary(), tensors, texts_of(found));
  file.commit();
  std::uint64_t bytes = 0;
  for (const ExportedTensor& tensor : tensors) bytes += tensor.bytes();
  fmt::print("{}: {} tensors, {:.1f} MiB, of step {}\n", printable(output.string()), tensors.size(),
             static_cast<double>(bytes) / 1048576.0, found.manifest.at("step").get<std::int64_t>());
  return 0;
}

}  // namespace relgrad
