#pragma once
/// A directory that is whole or absent: built as ".NAME.partial-HOST-PID" beside its final place,
/// renamed when complete, removed otherwise.
#include <filesystem>

namespace relgrad {

class StagingDirectory {
 public:
  /// Also removes what killed processes of this machine left of the same output.
  /// @throws UsageError if `output` exists; DiskError if the directory cannot be made.
  explicit StagingDirectory(const std::filesystem::path& output);
  ~StagingDirectory();  // removes what was not committed
  StagingDirectory(const StagingDirectory&) = delete;
  StagingDirectory& operator=(const StagingDirectory&) = delete;

  const std::filesystem::path& path() const { return staging_; }
  /// fsync and rename into place; every file must have been synced. @throws DiskError, UsageError.
  void commit();

 private:
  std::filesystem::path output_;
  std::filesystem::path staging_;
  bool committed_ = false;
};

/// @throws UsageError that says how to mend it, if `output` exists.
void check_absent(const std::filesystem::path& output);

}  // namespace relgrad
