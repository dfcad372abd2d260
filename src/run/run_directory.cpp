#include "run/run_directory.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"

namespace relgrad {

namespace fs = std::filesystem;

void write_file_atomically(const fs::path& path, const std::string& content) {
  const fs::path temporary = path.string() + ".tmp";
  {
    std::ofstream file(temporary, std::ios::trunc);
    file << content;
    file.flush();
    if (!file) {
      const std::string reason = std::strerror(errno);
      std::error_code ignored;
      fs::remove(temporary, ignored);
      throw DiskError(fmt::format("{}: cannot write: {}; free space or choose another place",
                                  path.string(), reason));
    }
  }
  std::error_code error;
  fs::rename(temporary, path, error);
  if (error) throw DiskError(fmt::format("{}: cannot write: {}", path.string(), error.message()));
}

RunDirectory::RunDirectory(fs::path path, bool may_exist) : path_(std::move(path)) {
  std::error_code error;
  const bool holds_run = fs::exists(path_ / "config.ini") || fs::exists(path_ / "ckpt");
  if (holds_run && !may_exist) {
    throw UsageError(fmt::format(
        "--run: {} already holds a run; continue it with --resume auto, or name another directory",
        path_.string()));
  }
  made_ = fs::create_directories(path_, error);
  if (error || access(path_.c_str(), W_OK) != 0) {
    throw DiskError(fmt::format("--run: cannot write to {}: {}; name a directory you may write to",
                                path_.string(), error ? error.message() : std::strerror(errno)));
  }
  if (stop_requested()) {
    throw UsageError(fmt::format("--run: {} asks this run to stay stopped; remove it to go on",
                                 (path_ / "STOP").string()));
  }
  try {
    lock_.emplace(path_);
  } catch (const Error&) {
    if (made_) fs::remove(path_, error);
    throw;
  }
}

RunDirectory::~RunDirectory() {
  lock_.reset();
  std::error_code ignored;
  if (made_) fs::remove(path_, ignored);  // only if nothing was written to it
}

void RunDirectory::write_config(const std::string& text) const {
  write_file_atomically(path_ / "config.ini", text);
}

void RunDirectory::write_status(const nlohmann::json& status) const {
  try {
    write_file_atomically(path_ / "STATUS", status.dump() + "\n");
  } catch (const DiskError& error) {
    log_warning(error.what());
  }
}

void RunDirectory::cut_metrics(std::int64_t step) const {
  std::ifstream file(path_ / "metrics.jsonl");
  if (!file) return;
  std::string kept;
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (json.is_object() && json.value("step", std::int64_t{0}) <= step) kept += line + "\n";
  }
  write_file_atomically(path_ / "metrics.jsonl", kept);
}

void RunDirectory::set_aside_checkpoints_after(std::int64_t step) const {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_ / "ckpt", error)) {
    const std::string name = entry.path().filename().string();
    std::int64_t of = -1;
    const char* const end = name.data() + name.size();
    if (!name.starts_with("step-") ||
        std::from_chars(name.data() + 5, end, of) != std::from_chars_result{end, std::errc()} ||
        of <= step)
      continue;
    fs::path aside = path_ / "ckpt" / (".stale-" + name);
    for (int i = 1; fs::exists(aside); ++i)
      aside = path_ / "ckpt" / fmt::format(".stale-{}-{}", name, i);
    fs::rename(entry.path(), aside);
    log_warning(fmt::format("{} is of a later step than the one resumed from: set aside as {}",
                            entry.path().string(), aside.filename().string()));
  }
}

void RunDirectory::append_metrics(const nlohmann::json& line) {
  const fs::path path = path_ / "metrics.jsonl";
  std::error_code error;
  const std::uintmax_t bytes_before = fs::file_size(path, error);
  std::ofstream file(path, std::ios::app);
  file << line.dump() << '\n';
  file.flush();
  if (file) return;
  const std::string reason = std::strerror(errno);
  file.close();
  if (!error) fs::resize_file(path, bytes_before, error);  // half a line would spoil the next
  if (!metrics_warned_) {
    log_warning(fmt::format("{}: cannot write: {}; metrics are lost until there is space",
                            path.string(), reason));
    metrics_warned_ = true;
  }
}

bool RunDirectory::stop_requested() const {
  std::error_code ignored;
  return fs::exists(path_ / "STOP", ignored);
}

}  // namespace relgrad
