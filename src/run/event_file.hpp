#pragma once
/// Event files of TensorBoard, written without its libraries. Formats: TensorFlow's
/// core/lib/io/record_writer.h (records), core/util/event.proto and core/framework/summary.proto
/// (events), the protocol buffers' encoding guide (fields).
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace relgrad {

/// CRC-32C (Castagnoli), RFC 3720, appendix B.4.
std::uint32_t crc32c(std::string_view bytes);

class EventFile {
 public:
  /// Makes DIRECTORY/events.out.tfevents.SECONDS.HOST.PROCESS, later by name than all event files
  /// there: readers take files in the order of their names.
  /// @param first_step  readers forget what earlier files say of this step and later ones
  /// @throws DiskError
  EventFile(const std::filesystem::path& directory, std::int64_t first_step);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  // A failure loses the point, not the run: it is warned of once.
  void scalar(std::int64_t step, std::string_view tag, double value);
  /// @param png  a whole PNG
  void image(std::int64_t step, std::string_view tag, std::string_view png);

 private:
  void append(const std::string& event);

  std::filesystem::path path_;
  int descriptor_ = -1;
  bool warned_ = false;
};

}  // namespace relgrad
