#pragma once
/// RUN/LOCK: one job at a time writes to a run directory. The file tells who; that its owner lives
/// is told by the lock the system keeps on it (flock), which no kind of death leaves behind.
#include <filesystem>

namespace relgrad {

class RunLock {
 public:
  /// Takes the lock of `run_directory`, also one left by a dead process of this host or by an
  /// earlier start of this SLURM job. Whether a process of another host lives cannot be known: its
  /// LOCK stands until somebody removes it.
  /// @throws UsageError that names the owner; DiskError if LOCK cannot be written.
  explicit RunLock(const std::filesystem::path& run_directory);
  ~RunLock();  // removes LOCK, if it is still the one taken
  /// Whether the constructor could take the lock, if the directory could be written.
  /// @throws UsageError as it does.
  static void expect_free(const std::filesystem::path& run_directory);
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;
  /// LOCK is still the file that was taken: nobody moved or removed the directory or the file.
  bool is_held() const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace relgrad
