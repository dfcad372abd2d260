#include <nlohmann/json.hpp>

#include "commands/weight_files.hpp"
#include "hdf5/file.hpp"

namespace relgrad {

void write_safetensors(const std::filesystem::path& path,
                       const std::vector<ExportedTensor>& tensors, const Texts& texts) {
  nlohmann::ordered_json header = {{"__metadata__", texts}};
  std::uint64_t end = 0;
  for (const ExportedTensor& tensor : tensors) {
    const bool is_single = tensor.type == checkpoint::TensorType::float32;
    header[tensor.name] = {{"dtype", is_single ? "F32" : "F64"},
                           {"shape", tensor.shape},
                           {"data_offsets", {end, end + tensor.bytes()}}};
    end += tensor.bytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the numbers begin at a multiple of 8 bytes

  const hdf5::RawFile file(path, hdf5::RawFile::Mode::write);
  const std::uint64_t length = text.size();
  file.reserve(sizeof(length) + length + end);
  file.write_at(0, &length, sizeof(length));
  file.write_at(sizeof(length), text.data(), length);
  std::uint64_t at = sizeof(length) + length;
  for (const ExportedTensor& tensor : tensors) {
    const std::vector<std::byte> values = tensor.values();
    file.write_at(at, values.data(), values.size());
    at += values.size();
  }
}

}  // namespace relgrad
