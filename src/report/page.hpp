#pragma once
/// `relgrad report`: runs as one HTML file that loads nothing else.
#include <filesystem>
#include <string>
#include <vector>

#include "report/run_record.hpp"

namespace relgrad {

struct ReportOptions {
  std::vector<std::filesystem::path> runs;
  std::filesystem::path output;
};

namespace reporting {

/// The whole page.
/// @param written  the time that the page gives as its own
std::string page(const std::vector<RunRecord>& runs, const std::string& written);

}  // namespace reporting

/// Reads the runs and writes the page; returns the exit code.
/// @throws UsageError if something other than an earlier report is at `output`; DataError where no
/// run is; DiskError.
int write_report(const ReportOptions& options);

}  // namespace relgrad
